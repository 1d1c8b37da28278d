// What a run leaves for those who watch it: spikes, samples, the report, TensorBoard's files.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rowId } from '../../src/data/normalise.js'
import { packageRoot } from '../../src/paths.js'
import type { TrainEvent } from '../../src/train/events.js'
import type { TrainInput } from '../../src/train/options.js'
import { readReport, trainReport } from '../../src/train/report.js'
import { type TrainControl, train } from '../../src/train/run.js'
import { tinyPairs, writeRows, writeTinyModel } from './tiny-model.js'

let folder: string
let model: string
let data: string
let outputs = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-watching-'))
  model = await writeTinyModel(join(folder, 'model'))
  data = await writeRows(join(folder, 'seed.jsonl'), tinyPairs(40))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

function optionsFor(more: Partial<TrainInput> = {}): TrainInput & { output: string } {
  const output = join(folder, `out-${outputs++}`)
  const small = { epochs: 2, batchSize: 4, gradAccumSteps: 2, learningRate: 0.01, validation: 0.2, threads: 1 }
  return { model, data, output, precision: 'fp32', device: 'cpu', samples: 0, ...small, ...more }
}

async function run(options: TrainInput, control?: TrainControl): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  for await (const event of train(options, control)) events.push(event)
  return events
}

/** Runs until step `last` is done and then drops everything, as a kill would. */
async function runKilled(options: TrainInput, last: number): Promise<void> {
  for await (const event of train(options)) if (event.type === 'step' && event.step === last) return
}

const ofType = <T extends TrainEvent['type']>(events: TrainEvent[], type: T) =>
  events.filter((event): event is Extract<TrainEvent, { type: T }> => event.type === type)

async function linesOf(output: string, file: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(join(output, file), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

describe('spikes', () => {
  // With few weights the poison row stays a surprise in every epoch.
  const narrow: TrainInput['targets'] = ['q_proj', 'v_proj']
  const poison = { instruction: '\u00ff\u00fe\u00fd'.repeat(60), response: 'tea is good. 4' }
  const poisoned = {
    batchSize: 4,
    gradAccumSteps: 1,
    epochs: 3,
    validation: 0,
    saveEvery: 10,
    logEvery: 7,
    targets: narrow,
  }

  test('a poison row is flagged in each epoch with the ids of its step, counted, and after a kill flagged again', async () => {
    const file = await writeRows(join(folder, 'poison.jsonl'), [...tinyPairs(80), poison])
    const options = optionsFor({ ...poisoned, data: file })
    const events = await run(options)
    const id = rowId(poison.instruction, poison.response)
    const warnings = ofType(events, 'warning')
    expect(warnings.length).toBeGreaterThanOrEqual(2) // the first epoch's may fall into the first twenty steps
    for (const { rows, message, step } of warnings) {
      expect(rows).toHaveLength(4)
      expect(rows).toContain(id)
      expect(message).toMatch(new RegExp(`^step ${step}: (loss|gradient norm) \\d.* Its rows: .*${id}`))
    }
    const flagged = ofType(events, 'step').filter(({ spike }) => spike)
    expect(flagged.map(({ step }) => step)).toEqual(warnings.map(({ step }) => step))
    expect(ofType(events, 'finished')[0]!.spikes).toBe(flagged.length)
    const lines = (await linesOf(options.output, 'metrics.jsonl')).filter(({ spike }) => spike)
    expect(lines.map(({ step, rows }) => ({ step, rows }))).toEqual(warnings.map(({ step, rows }) => ({ step, rows })))

    const killed = optionsFor({ ...poisoned, data: file })
    await runKilled(killed, warnings.at(-1)!.step! - 1)
    const rest = await run(killed)
    expect(ofType(rest, 'warning').at(-1)).toEqual(warnings.at(-1))
    expect(ofType(rest, 'finished')[0]!.spikes).toBe(flagged.length)
  })

  test('steps of clean rows are not flagged', async () => {
    const file = await writeRows(join(folder, 'clean.jsonl'), tinyPairs(81))
    const events = await run(optionsFor({ ...poisoned, data: file }))
    expect(ofType(events, 'warning')).toEqual([])
    expect(
      ofType(events, 'step')
        .slice(20)
        .every(({ lossZ, gradNormZ }) => Math.max(lossZ!, gradNormZ!) < 4),
    ).toBe(true)
  })
})

describe('samples', () => {
  test('are written for held-back rows before training and at each epoch, beside the true text', async () => {
    const options = optionsFor({ samples: 3 })
    const events = ofType(await run(options), 'samples')
    expect(events.map(({ epoch }) => epoch)).toEqual([0, 1, 2])
    const pairs = new Map(tinyPairs(40).map((pair) => [rowId(pair.instruction, pair.response), pair]))
    for (const { samples } of events) {
      expect(samples).toHaveLength(3)
      for (const { id, given, reference, prediction, tokens } of samples) {
        expect({ response: given, instruction: reference }).toEqual(pairs.get(id))
        expect(prediction.length > 0 || tokens === 0).toBe(true)
      }
    }
    const ids = events.map(({ samples }) => samples.map(({ id }) => id))
    expect(ids).toEqual([ids[0], ids[0], ids[0]])
    const lines = await linesOf(options.output, 'samples.jsonl')
    expect(lines).toEqual(events.flatMap(({ step, epoch, samples }) => samples.map((one) => ({ step, epoch, ...one }))))
  })

  test('change nothing of the run', async () => {
    const results = []
    for (const samples of [0, 4]) {
      const options = optionsFor({ samples, dropout: 0.2 })
      const events = await run(options)
      const losses = ofType(events, 'step').map(({ loss }) => loss)
      results.push({ losses, adapter: await readFile(join(options.output, 'adapter_model.safetensors'), 'hex') })
    }
    expect(results[1]).toEqual(results[0])
  })

  test('a run that was killed has each of them once, with the texts of an uninterrupted one', async () => {
    const whole = optionsFor({ samples: 2 })
    await run(whole)
    const killed = optionsFor({ samples: 2, saveEvery: 3 })
    for await (const event of train(killed)) if (event.type === 'samples' && event.epoch === 1) break
    await run(killed)
    expect(await linesOf(killed.output, 'samples.jsonl')).toEqual(await linesOf(whole.output, 'samples.jsonl'))
  })
})

describe('the report', () => {
  test('is there when a run ends, is interrupted or fails, and holds every step once after a kill', async () => {
    const options = optionsFor({ samples: 2, saveEvery: 3 })
    await runKilled(options, 5)
    const stop = new AbortController()
    for await (const event of train(options, { signal: stop.signal })) {
      if (event.type === 'step' && event.step === 6) stop.abort()
    }
    const page = () => readFile(join(options.output, 'report.html'), 'utf8')
    expect(await page()).toContain('after step 6, not finished')
    const last = ofType(await run(options), 'finished')[0]!.steps
    expect(await page()).toContain('<span class="state">finished</span>')
    const report = await readReport(options.output)
    expect(report.steps.map(({ step }) => step)).toEqual(Array.from({ length: last }, (_, at) => at + 1))
    expect(report.validations.map(({ epoch }) => epoch)).toEqual([0, 1, 2])
    expect(report.options.find(({ name }) => name === 'learningRate')).toEqual({
      ...{ name: 'learningRate', value: '0.01', marked: true },
    })
    const failing = optionsFor({
      precision: 'fp32',
      alpha: 2e20,
      targets: ['q_proj', 'k_proj'],
      learningRate: 1,
      warmup: 0,
    })
    await expect(run({ ...failing, epochs: 30 })).rejects.toMatchObject({ code: 'BT_DIVERGED' })
    expect(await readFile(join(failing.output, 'report.html'), 'utf8')).toMatch(/step \d+ skipped/)
  })

  test('can be made again from the folder, whose last line may be half a one', async () => {
    const options = optionsFor({ samples: 2 })
    await run(options)
    const first = await readFile(join(options.output, 'report.html'), 'utf8')
    await rm(join(options.output, 'report.html'))
    await writeFile(join(options.output, 'metrics.jsonl'), '{"step":99,"lo', { flag: 'a' })
    const { path } = await trainReport(options.output)
    expect(await readFile(path, 'utf8')).toBe(first)
    await writeFile(join(options.output, 'metrics.jsonl'), 'ss":\n', { flag: 'a' })
    await expect(trainReport(options.output)).rejects.toMatchObject({ code: 'BT_METRICS' })
    await expect(trainReport(folder)).rejects.toMatchObject({ code: 'BT_RUN_NOT_FOUND' })
  })
})

describe("TensorBoard's files", () => {
  /** Python with tensorboard: on the path, as in an active environment. */
  const python = spawnSync('python3', ['-c', 'import tensorboard'], { stdio: 'ignore' }).status === 0
  const readBack = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator(sys.argv[1]).Reload()
print(json.dumps({tag: [[one.step, one.value] for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}))
`

  test('are written on request alone, one a sitting; force removes them and leaves others alone', async () => {
    const plain = optionsFor({ maxSteps: 1 })
    await run(plain)
    expect(await readdir(plain.output)).not.toContain('tensorboard')
    const options = optionsFor({ tensorboard: true, saveEvery: 1 })
    const board = join(options.output, 'tensorboard')
    await runKilled(options, 2)
    await run(options)
    expect(
      (await readdir(board)).filter((name) => /^events\.out\.tfevents\.\d{10}\.bt-native$/.test(name)),
    ).toHaveLength(2)
    await mkdir(join(board, 'mine'))
    await run({ ...options, force: true })
    expect((await readdir(board)).toSorted()).toEqual([expect.stringMatching(/^events/), 'mine'])
  })

  test.skipIf(!python)('hold each step once for tensorboard, the lost ones of a kill left out', async () => {
    const options = optionsFor({ tensorboard: true, saveEvery: 3 })
    await runKilled(options, 5)
    await run(options)
    const board = join(options.output, 'tensorboard')
    const curves = JSON.parse(execFileSync('python3', ['-c', readBack, board], { encoding: 'utf8' }))
    const lines = await linesOf(options.output, 'metrics.jsonl')
    const points = (name: string) =>
      lines.filter((line) => name in line).map((line) => [line.step, Math.fround(line[name] as number)])
    expect(curves).toEqual({
      'loss/train': points('loss'),
      'loss/smoothed': points('smoothedLoss'),
      'loss/validation': points('validationLoss'),
      gradient_norm: points('gradNorm'),
      learning_rate: points('learningRate'),
      tokens_per_second: points('tokensPerSecond'),
    })
  })
})

test('the example watches a run to its end, and finds it finished the next time', async () => {
  const output = join(folder, 'watched')
  const example = join(packageRoot, 'examples', 'watch-training.mjs')
  const watch = () => execFileSync(process.execPath, [example, data, output, model], { encoding: 'utf8' })
  const first = watch()
  expect(first).toMatch(/^3 steps of \d+ tokens\n[\s\S]*step 3 {2}loss [\s\S]*wrote ".*", true "Tell me of/)
  expect(first).toContain(`3 steps in ${join(output, 'report.html')}`)
  expect(watch()).toMatch(/^training loss .*\n3 steps in/)
})
