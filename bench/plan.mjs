// `npm run bench -- plan`: what `bt-native plan` says of a run beside what the run then takes, at several numbers of rows
// at a time and for several kinds of runs. Each run is a process of its own; its peak is what the system says of it.
import { spawn } from 'node:child_process'
import { appendFile, copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../dist/paths.js'
import { describeMachine } from './machine.mjs'
import { perSecond, progress } from './progress.mjs'

/** Most that a plan of memory may be off, of what is measured. */
export const allowed = 0.15
/** Rows of an optimizer step. */
const rowsPerStep = 16

/** By name, what sets a run apart: flags, and whether it has to encode its rows. */
export const kinds = {
  plain: { title: '', flags: [] },
  recompute: { title: 'recomputed', flags: ['--recompute'] },
  fresh: { title: 'rows encoded first', flags: [], fresh: true },
  'rouge-l': { title: 'validated by ROUGE-L', flags: ['--best-by', 'rouge-l', '--best-rows', '16'] },
}

export async function benchPlan({ data, threads, precision, maxTokens, batchRows, steps, kinds: chosen }) {
  const machine = describeMachine({ precision, threads })
  const folder = await mkdtemp(join(tmpdir(), 'bt-bench-'))
  const runs = []
  const failures = {}
  try {
    const copy = join(folder, 'rows.jsonl')
    await copyFile(data, copy)
    for (const batchSize of batchRows) {
      for (const kind of chosen) {
        const run = await compared({
          data: copy,
          maxTokens,
          steps,
          batchSize,
          kind,
          machine,
          output: join(folder, 'run'),
        })
        runs.push(run)
        const name = [`${batchSize} rows`, kinds[kind].title].filter(Boolean).join(', ')
        const { planned, measured, difference, tokensPerSecond } = run
        const off = `${(difference * 100).toFixed(1)} %`
        progress(`${name}: ${planned} bytes planned, ${measured} measured (${off}), ${perSecond(tokensPerSecond)}`)
        if (Math.abs(difference) > allowed) failures[`The plan of ${name}`] = `off by ${off}`
      }
    }
  } finally {
    await rm(folder, { recursive: true })
  }
  return { bench: 'plan', machine, model: { name: 'smollm2-135m', title: 'SmolLM2-135M' }, steps, runs, failures }
}

async function compared({ data, maxTokens, steps, batchSize, kind, machine, output }) {
  const flags = {
    '--model': 'smollm2-135m',
    '--data': data,
    '--output': output,
    '--batch-size': `${batchSize}`,
    '--grad-accum-steps': `${rowsPerStep / batchSize}`,
    '--max-tokens': `${maxTokens}`,
    '--max-steps': `${steps}`,
    '--validation': '0.02',
    '--threads': `${machine.threads}`,
    '--precision': machine.precision,
  }
  const common = [...Object.entries(flags).flat(), ...kinds[kind].flags]
  const [plan] = (await command(['plan', ...common])).filter(({ event }) => event === 'plan')
  // `plan` keeps the rows' tokens; an empty line more, and nobody knows them.
  if (kinds[kind].fresh) await appendFile(data, '\n')
  const events = await command(['train', '--force', ...common])
  const finished = events.find(({ event }) => event === 'finished')
  const told = events.find(({ event }) => event === 'plan')
  const timed = events.filter(({ event }) => event === 'step').slice(1) // the first waits for memory
  const seconds = timed.reduce((sum, { milliseconds }) => sum + milliseconds / 1000, 0)
  const tokens = timed.reduce((sum, one) => sum + one.tokens, 0)
  // What encoding leaves is known to `train` alone.
  const planned = kinds[kind].fresh ? told.memory : plan.memory.total
  const split = plan.splits.find((one) => one.batchSize === batchSize && one.recompute === (kind === 'recompute'))
  return {
    ...{ batchSize, kind, planned, measured: finished.peakMemory, parts: plan.memory },
    difference: planned / finished.peakMemory - 1,
    tokensAtOnce: split.tokens,
    tokensPerSecond: tokens / seconds,
    secondsPerStep: seconds / timed.length,
    plannedSeconds: plan.time?.secondsPerStep,
    plannedBasis: plan.time?.basis,
  }
}

/** Events of `bt-native ... --json`. */
async function command(args) {
  const child = spawn(process.execPath, [join(packageRoot, 'bin/bt-native.js'), ...args, '--json'])
  let text = ''
  let errors = ''
  child.stdout.on('data', (part) => (text += part))
  child.stderr.on('data', (part) => (errors += part))
  const code = await new Promise((resolve) => child.on('close', resolve))
  if (code !== 0) throw new Error(`bt-native ${args[0]} ended with ${code}: ${errors.trim()}`)
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}
