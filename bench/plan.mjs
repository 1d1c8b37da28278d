// `npm run bench -- plan`: what `bt-native plan` says of a run beside what the run then takes, at several numbers of rows
// at a time, with and without recomputation. Each run is a process of its own; its peak is what the system says of it.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../dist/paths.js'
import { describeMachine } from './machine.mjs'
import { perSecond, progress } from './progress.mjs'

/** Most that a plan may be off, of what is measured. */
export const allowed = 0.15
/** Rows of an optimizer step. */
const rowsPerStep = 16

export async function benchPlan({ data, threads, precision, maxTokens, batchRows, steps }) {
  const machine = describeMachine({ precision, threads })
  const folder = await mkdtemp(join(tmpdir(), 'bt-bench-'))
  const runs = []
  const failures = {}
  try {
    for (const batchSize of batchRows) {
      for (const recompute of [false, true]) {
        const options = { data, maxTokens, steps, batchSize, recompute, machine, output: join(folder, 'run') }
        const run = await compared(options)
        runs.push(run)
        const { planned, measured, difference, tokensPerSecond } = run
        progress(
          `${batchSize} rows${recompute ? ', recomputed' : ''}: ${planned} bytes planned, ${measured} measured (${(difference * 100).toFixed(1)} %), ${perSecond(tokensPerSecond)}`,
        )
        if (Math.abs(difference) <= allowed) continue
        failures[`The plan of ${batchSize} rows${recompute ? ', recomputed' : ''}`] =
          `off by ${(difference * 100).toFixed(1)} %`
      }
    }
  } finally {
    await rm(folder, { recursive: true })
  }
  return { bench: 'plan', machine, model: { name: 'smollm2-135m', title: 'SmolLM2-135M' }, steps, runs, failures }
}

async function compared({ data, maxTokens, steps, batchSize, recompute, machine, output }) {
  const flags = {
    '--model': 'smollm2-135m',
    '--data': data,
    '--output': output,
    '--batch-size': `${batchSize}`,
    '--grad-accum-steps': `${rowsPerStep / batchSize}`,
    '--max-tokens': `${maxTokens}`,
    '--max-steps': `${steps}`,
    '--threads': `${machine.threads}`,
    '--precision': machine.precision,
  }
  const common = [...Object.entries(flags).flat(), ...(recompute ? ['--recompute'] : [])]
  const [plan] = (await command(['plan', ...common])).filter(({ event }) => event === 'plan')
  const events = await command(['train', '--force', ...common])
  const finished = events.find(({ event }) => event === 'finished')
  const timed = events.filter(({ event }) => event === 'step').slice(1) // the first waits for memory
  const seconds = timed.reduce((sum, { milliseconds }) => sum + milliseconds / 1000, 0)
  const tokens = timed.reduce((sum, one) => sum + one.tokens, 0)
  const [planned, measured] = [plan.memory.total, finished.peakMemory]
  return {
    ...{ batchSize, recompute, planned, measured, parts: plan.memory },
    difference: planned / measured - 1,
    tokensAtOnce: plan.splits.find((one) => one.batchSize === batchSize && one.recompute === recompute).tokens,
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
