// Who is measured, a row each: what runs, how its rows are laid out, and which settings it may choose the fastest of.
import { fileURLToPath } from 'node:url'
import { startChild } from './child.mjs'
import { startPeer } from './python.mjs'
import { chunks, tokensOf } from './rows.mjs'

const adviceRows = 4
const everySetting = { rows: [4, 2, 1, 8, 16], malloc: ['tuned', 'default'] }

/**
 * `layOut(step, setting)` gives the micro-batches of a step. `settings` are tried when there is something to choose;
 * `rows` is the number of rows of a micro-batch (of packed blocks for trl).
 */
export const contestants = {
  fused: {
    title: 'bt-native, fused',
    start: startOurs,
    open: { engine: 'fused' },
    layOut: ourRows,
  },
  reference: {
    title: 'bt-native, reference',
    start: startOurs,
    open: { engine: 'reference' },
    layOut: ourRows,
  },
  documented: {
    title: 'PEFT as documented (P0)',
    start: peer('documented.py'),
    settings: { rows: [adviceRows], malloc: ['default'] },
    layOut: (step, { rows }) => chunks(step.rows, rows),
  },
  careful: {
    title: 'PEFT, careful loop (P1)',
    start: peer('careful.py'),
    settings: everySetting,
    layOut: (step, { rows }) => chunks(step.sorted, rows),
  },
  compiled: {
    title: 'the same, torch.compile (P4)',
    start: peer('compiled.py'),
    settings: everySetting,
    layOut: (step, { rows }) => chunks(step.sorted, rows),
  },
  trl: {
    title: 'TRL SFTTrainer, packing',
    start: peer('trl_packing.py'),
    settings: { rows: [1, 2, 4], malloc: ['tuned', 'default'] },
    reopens: true,
    openMore: ({ steps }, { rows }) => packingOptions(steps, rows),
    layOut: () => [],
  },
}

export const ours = ['fused', 'reference']

/** What a contestant is measured with when nothing was tried. */
export const defaultSetting = { rows: adviceRows, malloc: 'default' }

/** As `bt-native train` takes them by itself, unless another number of rows is set. */
function ourRows(step, { rows }) {
  return rows === adviceRows ? step.microBatches : chunks(step.sorted, rows)
}

function startOurs() {
  return startChild({
    label: 'bt-native',
    command: process.execPath,
    args: [fileURLToPath(new URL('ours.mjs', import.meta.url))],
  })
}

function peer(script) {
  return (setting, { machine, inductorFolder }) =>
    startPeer(script, {
      malloc: setting.malloc,
      threads: machine.threads,
      env: inductorFolder ? { TORCHINDUCTOR_CACHE_DIR: inductorFolder } : {},
    })
}

/** SFTTrainer packs its data set by itself: it gets all rows, and steps of about as many tokens as the others'. */
function packingOptions(steps, rows) {
  const all = steps.flatMap((step) => step.rows)
  const blockTokens = Math.max(...all.map(({ tokens }) => tokens.length))
  const tokensPerStep = tokensOf(all) / steps.length
  const gradAccumSteps = Math.max(1, Math.round(tokensPerStep / (blockTokens * rows)))
  return { rows: forChild(all), blockTokens, blocksPerBatch: rows, gradAccumSteps, learningRate: 1e-3 }
}

/** A contestant in its process, opened. @param context { machine, model, adapter, steps, inductorFolder } */
export async function openContestant(name, setting, context) {
  const contestant = contestants[name]
  const child = contestant.start(setting, context)
  const { machine, model, adapter } = context
  const { dtype, device, precision, threads } = machine
  const isOurs = ours.includes(name)
  const base = isOurs ? { model: model.ours, precision } : { model: model.peers }

  async function open(chosen) {
    const more = contestant.openMore?.(context, chosen) ?? {}
    const started = performance.now()
    const answer = await child.ask('open', { ...base, adapter, dtype, device, threads, ...contestant.open, ...more })
    return { ...answer, openSeconds: (performance.now() - started) / 1000 }
  }

  try {
    const opened = await open(setting)
    return {
      name,
      opened,
      reopen: open,
      stop: child.stop,
      /** One optimizer step: { loss, tokens, seconds, peakBytes }. */
      step(step, learningRate, chosen = setting) {
        const microBatches = contestant.layOut(step, chosen).map(forChild)
        return child.ask('step', { microBatches, learningRate })
      },
    }
  } catch (error) {
    await child.stop()
    throw error
  }
}

function forChild(rows) {
  return rows.map(({ tokens, targetStart }) => ({ tokens: [...tokens], targetStart }))
}
