// `npm run bench -- train`: shows that losses agree, picks each peer's fastest setting, then times all in turn.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { agreement, largestDifferences } from './agree.mjs'
import { contestants, defaultSetting, ours } from './contestants.mjs'
import { describeMachine } from './machine.mjs'
import { prepareModel } from './models.mjs'
import { progress } from './progress.mjs'
import { randomised, realRows, shortSteps, stepsOf, tokensOf } from './rows.mjs'
import { sweep } from './sweep.mjs'
import { ratio, timeInTurn } from './windows.mjs'

export const learningRate = 1e-3
export const lora = { r: 16, alpha: 32, targets: ['q_proj', 'v_proj'], dropout: 0, seed: 0 }

/** @param options as options.mjs reads them */
export async function benchTrain(options) {
  const machine = describeMachine(options)
  const model = await prepareModel(options.model, machine)
  const real = await realRows(options.data, options.maxTokens)
  const rows = model.vocabulary ? randomised(real, model.vocabulary) : real
  const plan = options.tokensPerStep
    ? { batchSize: 4, tokensPerStep: options.tokensPerStep }
    : { batchSize: 4, gradAccumSteps: 4 }
  const steps = stepsOf(rows, options.windows + 1, plan)
  const folder = await mkdtemp(join(tmpdir(), 'bt-bench-'))
  try {
    const adapter = join(folder, 'adapter')
    const context = { names: options.only, machine, model, adapter, steps, inductorFolder: join(folder, 'inductor') }
    await initialise(adapter, lora, context)
    const agreed =
      options.agree > 0 ? await agreement(shortSteps(rows, options.agree), learningRate, context) : undefined
    const { sweeps, settings, failures } = await chooseSettings(options, steps, context)
    const timed = options.windows > 0 ? await timeInTurn(settings, steps, learningRate, context) : { measured: {} }
    return {
      bench: 'train',
      machine,
      model: { name: model.name, title: model.title },
      lora,
      mode: options.tokensPerStep ? `${options.tokensPerStep} tokens a step` : '4 x 4 rows a step',
      data: {
        rows: rows.length,
        tokens: tokensOf(rows),
        tokensPerStep: tokensOf(steps.flatMap((s) => s.rows)) / steps.length,
      },
      agreement: agreed,
      sweeps,
      settings,
      failures: { ...failures, ...timed.failures },
      ...conclusions(timed.measured, tokensOf(rows)),
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Writes the adapter that all sides start from. */
export async function initialise(folder, options, { machine, model }) {
  const child = contestants.fused.start()
  try {
    const { dtype, device, threads } = machine
    await child.ask('load', { model: model.ours, dtype, device, threads })
    await child.ask('initialise', { folder, ...options })
  } finally {
    await child.stop()
  }
}

/** Settings that were given stand; the others are looked for. */
async function chooseSettings(options, steps, context) {
  const sweeps = {}
  const settings = {}
  const failures = {}
  for (const name of options.only) {
    try {
      const given = options.settings[name] ?? (ours.includes(name) ? defaultSetting : undefined)
      const { best, tried } = given ? { best: given, tried: [] } : await sweep(name, steps[0], learningRate, context)
      settings[name] = best
      if (tried.length > 0) sweeps[name] = tried
    } catch (error) {
      failures[name] = error.message
      progress(`${name} failed: ${error.message}`)
    }
  }
  return { sweeps, settings, failures }
}

/** Everything that is said of the numbers, from the numbers alone. */
export function conclusions(measured, tokensOfEpoch) {
  const peers = Object.keys(measured).filter((name) => !ours.includes(name))
  const mine = Object.keys(measured).filter((name) => ours.includes(name))
  const fastestPeer = peers.toSorted((a, b) => measured[b].tokensPerSecond - measured[a].tokensPerSecond)[0]
  const lowestPeak = Math.min(...peers.map((name) => measured[name].peakBytes))
  const ratiosTo = (peer) =>
    peer && measured[peer] && Object.fromEntries(mine.map((name) => [name, ratio(measured[name], measured[peer])]))
  // The trainer of TRL packs its rows by itself: its losses are of other steps.
  const losses = Object.fromEntries(
    Object.entries(measured).flatMap(([name, one]) => (name === 'trl' ? [] : [[name, one.losses]])),
  )
  for (const one of Object.values(measured)) {
    one.epochSeconds = one.openSeconds + one.warmUpSeconds + tokensOfEpoch / one.tokensPerSecond
  }
  return {
    contestants: measured,
    fastestPeer,
    ratioToFastestPeer: ratiosTo(fastestPeer),
    ratioToCareful: ratiosTo('careful'),
    peakToLowestPeer:
      peers.length > 0
        ? Object.fromEntries(mine.map((name) => [name, measured[name].peakBytes / lowestPeak]))
        : undefined,
    largestLossDifference: measured.careful && largestDifferences(losses, 'careful'),
  }
}
