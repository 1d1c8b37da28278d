// `npm run bench -- start`: from the start of a process to the end of its first optimizer step, everything cached.
// bt-native runs its real command line, which keeps the token ids of a file that it has read before; the peers import,
// load and get their rows as token ids.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../dist/paths.js'
import { defaultSetting, openContestant } from './contestants.mjs'
import { describeMachine } from './machine.mjs'
import { prepareModel } from './models.mjs'
import { progress } from './progress.mjs'
import { realRows, stepsOf } from './rows.mjs'
import { median, spread } from './statistics.mjs'
import { initialise, learningRate, lora } from './train.mjs'

const longest = 128

export async function benchStart({ data, threads, precision, windows, only }) {
  const machine = describeMachine({ precision, threads })
  const model = await prepareModel('smollm2-135m', machine)
  const rows = await realRows(data, longest)
  const steps = stepsOf(rows, 1, { batchSize: 1, gradAccumSteps: 1 })
  const folder = await mkdtemp(join(tmpdir(), 'bt-bench-'))
  try {
    const context = {
      machine,
      model,
      steps,
      adapter: join(folder, 'adapter'),
      inductorFolder: join(folder, 'inductor'),
    }
    await initialise(context.adapter, lora, context)
    const output = join(folder, 'run')
    const starts = { fused: () => startOurs({ data, output, machine }) }
    for (const name of only) {
      if (name !== 'fused' && name !== 'reference') starts[name] = () => startPeer(name, context)
    }
    const { measured, failures } = await inTurn(starts, windows)
    return {
      bench: 'start',
      machine,
      model: { name: model.name, title: model.title },
      tokens: steps[0].rows[0].tokens.length,
      contestants: measured,
      failures,
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** One start of each to warm the caches, then rounds in turn. */
async function inTurn(starts, windows) {
  const results = Object.fromEntries(Object.keys(starts).map((name) => [name, []]))
  const failures = {}
  for (let round = 0; round <= windows; round++) {
    for (const [name, start] of Object.entries(starts)) {
      if (failures[name]) continue
      try {
        const times = await start()
        if (round > 0) results[name].push(times)
        progress(
          `round ${round}  ${name.padEnd(10)} first step after ${times.firstStep.toFixed(2)} s, tokens ${times.tokens}`,
        )
      } catch (error) {
        failures[name] = error.message
        progress(`${name} failed: ${error.message}`)
      }
    }
  }
  const measured = Object.entries(results).flatMap(([name, list]) => {
    if (failures[name] || list.length === 0) return []
    const all = list.map(({ firstStep }) => firstStep)
    const before = list.map(({ beforeStep }) => beforeStep)
    return [[name, { firstStep: median(all), spread: spread(all), beforeStep: median(before), all, before }]]
  })
  return { measured: Object.fromEntries(measured), failures }
}

/** Runs `bt-native train` and notes when the event of its first step arrives. Seconds. */
async function startOurs({ data, output, machine }) {
  const flags = {
    '--model': 'smollm2-135m',
    '--data': data,
    '--output': output,
    '--batch-size': '1',
    '--grad-accum-steps': '1',
    '--max-tokens': `${longest}`,
    '--validation': '0',
    '--max-steps': '1',
    '--save-every': '0',
    '--threads': `${machine.threads}`,
    '--precision': machine.precision,
  }
  const args = [join(packageRoot, 'bin/bt-native.js'), 'train', '--json', ...Object.entries(flags).flat()]
  const started = performance.now()
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const errors = []
  child.stderr.on('data', (text) => errors.push(text))
  const ended = new Promise((resolve) => child.on('close', resolve))
  let times
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line)
    if (event.event !== 'step' || times) continue
    const firstStep = (performance.now() - started) / 1000
    times = { firstStep, beforeStep: firstStep - event.milliseconds / 1000, tokens: event.tokens }
  }
  const code = await ended
  await rm(output, { recursive: true, force: true })
  if (!times) throw new Error(`bt-native train ended with ${code}: ${Buffer.concat(errors).toString().trim()}`)
  return times
}

async function startPeer(name, context) {
  const started = performance.now()
  const runner = await openContestant(name, defaultSetting, context)
  try {
    const beforeStep = (performance.now() - started) / 1000
    const { tokens } = await runner.step(context.steps[0], learningRate)
    return { firstStep: (performance.now() - started) / 1000, beforeStep, tokens }
  } finally {
    await runner.stop()
  }
}
