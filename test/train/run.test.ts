import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readAdapter } from '../../src/models/adapter.js'
import { listCheckpoints } from '../../src/train/checkpoint.js'
import type { TrainEvent } from '../../src/train/events.js'
import { type TrainInput, targetModules } from '../../src/train/options.js'
import { type TrainControl, train } from '../../src/train/run.js'
import { tinyPairs, writeRows, writeTinyModel } from './tiny-model.js'

let folder: string
let model: string
let data: string
let outputs = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-train-'))
  model = await writeTinyModel(join(folder, 'model'))
  data = await writeRows(join(folder, 'seed.jsonl'), tinyPairs(40))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

function optionsFor(more: Partial<TrainInput> = {}): TrainInput & { output: string } {
  const output = join(folder, `out-${outputs++}`)
  const small = { epochs: 2, batchSize: 4, gradAccumSteps: 2, learningRate: 0.01, validation: 0.2, threads: 1 }
  return { model, data, output, precision: 'fp32', device: 'cpu', ...small, ...more }
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
const losses = (events: TrainEvent[]) => ofType(events, 'step').map(({ step, loss }) => [step, loss])

async function metricLines(output: string): Promise<{ step: number; loss?: number; validationLoss?: number }[]> {
  const text = await readFile(join(output, 'metrics.jsonl'), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

describe('a training run', () => {
  test('lowers the loss and hands over an adapter that can be read, with metrics and a record', async () => {
    const options = optionsFor()
    const events = await run(options)
    const [finished] = ofType(events, 'finished')
    expect(finished!.validationLoss!).toBeLessThan(finished!.baseLoss! - 0.1)
    const steps = ofType(events, 'step')
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: finished!.steps }, (_, index) => index + 1))
    expect(steps.at(-1)!.epoch).toBe(2)
    expect(steps.every(({ tokens, scoredTokens, gradNorm }) => tokens > scoredTokens && gradNorm > 0)).toBe(true)

    const adapter = await readAdapter(options.output)
    expect(adapter).toMatchObject({ r: 16, alpha: 32, targets: [...targetModules], baseModel: model })
    expect(adapter.tensors.some(({ name, data }) => name.endsWith('lora_B') && data.some((value) => value !== 0))).toBe(
      true,
    )
    expect(adapter.btNative).toMatchObject({
      training: { state: 'finished', steps: finished!.steps },
      template: { task: 'backward', form: 'chat' },
      precision: 'fp32',
    })
    const lines = await metricLines(options.output)
    expect(lines.filter(({ loss }) => loss !== undefined).map(({ step, loss }) => [step, loss])).toEqual(losses(events))
    expect(lines.filter(({ validationLoss }) => validationLoss !== undefined)).toHaveLength(3)
  })

  test('hands over the epoch with the lowest validation loss, or the last one when asked to', async () => {
    // A rate this high spoils what the first epoch learned.
    const wild = { epochs: 3, learningRate: 0.5, schedule: 'constant', warmup: 0 } as const
    const best = optionsFor(wild)
    const events = await run(best)
    const validations = ofType(events, 'validation').slice(1)
    const lowest = validations.toSorted((a, b) => a.loss - b.loss)[0]!
    expect((await readAdapter(best.output)).btNative).toMatchObject({ training: { selectedStep: lowest.step } })
    const last = optionsFor({ ...wild, select: 'last' })
    const [finished] = ofType(await run(last), 'finished')
    expect(finished!.selectedStep).toBe(finished!.steps)
  })

  test('keeps the best and the last adapter, each a PEFT folder of its own', async () => {
    const options = optionsFor({ epochs: 3, learningRate: 0.5, schedule: 'constant', warmup: 0 })
    const events = await run(options)
    const best = ofType(events, 'validation')
      .filter(({ best }) => best)
      .at(-1)!
    const stepOf = async (name: string) => {
      const { training } = (await readAdapter(join(options.output, name))).btNative as {
        training: { selectedStep: number }
      }
      return training.selectedStep
    }
    expect(await stepOf('best')).toBe(best.step)
    expect(await stepOf('last')).toBe(ofType(events, 'finished')[0]!.steps)
    expect(await readFile(join(options.output, 'adapter_model.safetensors'))).toEqual(
      await readFile(join(options.output, 'best', 'adapter_model.safetensors')),
    )
  })

  test('validates between the epochs when asked to, without another step for it', async () => {
    const options = optionsFor({ validateEvery: 3 })
    const events = await run(options)
    const { steps } = ofType(events, 'finished')[0]!
    const plan = ofType(events, 'plan')[0]!
    const expected = Array.from({ length: steps }, (_, index) => index + 1).filter(
      (step) => step % 3 === 0 || step % plan.stepsPerEpoch === 0,
    )
    expect(ofType(events, 'validation').map(({ step }) => step)).toEqual([0, ...expected])
    expect(losses(events)).toEqual(losses(await run(optionsFor())))
  })

  test('stops early when nothing gets better, and says so again when it is called again', async () => {
    const spoiling = { epochs: 50, learningRate: 0.5, schedule: 'constant', warmup: 0, patience: 2 } as const
    const options = optionsFor(spoiling)
    const events = await run(options)
    const validations = ofType(events, 'validation').slice(1)
    const bestAt = validations.findLastIndex(({ best }) => best)
    expect(validations).toHaveLength(bestAt + 1 + 2)
    expect(validations.at(-1)!.stale).toBe(2)
    const [stop] = ofType(events, 'early-stop')
    expect(stop).toMatchObject({ step: validations.at(-1)!.step, bestStep: validations[bestAt]!.step, patience: 2 })
    expect(ofType(events, 'finished')[0]).toMatchObject({
      steps: stop!.step,
      stoppedEarly: true,
      selectedStep: stop!.bestStep,
    })
    expect((await run(options))[0]).toMatchObject({ type: 'already-finished', steps: stop!.step, stoppedEarly: true })
  })

  test('takes for better only what is better by the smallest change that counts', async () => {
    const events = await run(optionsFor({ epochs: 50, patience: 1, minChange: 100 }))
    // The first validation is better than none; the second is, too, but not by a hundred nats.
    const step = 2 * ofType(events, 'plan')[0]!.stepsPerEpoch
    expect(ofType(events, 'early-stop')[0]).toMatchObject({ step, bestStep: step, minChange: 100, bestBy: 'loss' })
    expect(ofType(events, 'validation').at(-1)!.best).toBe(true)
  })

  test('can go by ROUGE-L of what it writes for validation rows', async () => {
    const options = optionsFor({ bestBy: 'rouge-l', bestRows: 5, epochs: 4, learningRate: 0.03 })
    const events = await run(options)
    const validations = ofType(events, 'validation')
    expect(validations.every(({ rougeL }) => rougeL! >= 0 && rougeL! <= 100)).toBe(true)
    const scores = validations.slice(1).map(({ rougeL }) => rougeL!)
    const best = validations[1 + scores.indexOf(Math.max(...scores))]!
    expect(ofType(events, 'finished')[0]).toMatchObject({ selectedStep: best.step, rougeL: scores.at(-1) })
    expect(losses(events)).toEqual(losses(await run(optionsFor({ epochs: 4, learningRate: 0.03 }))))
    expect((await metricLines(options.output)).filter((line) => 'rougeL' in line)).toHaveLength(5)
  })

  test('saves by time when asked to', async () => {
    const options = optionsFor({ saveEvery: '0.000001s' })
    const events = await run(options)
    expect(ofType(events, 'checkpoint')).toHaveLength(ofType(events, 'finished')[0]!.steps)
    const hourly = ofType(await run(optionsFor({ saveEvery: '1h' })), 'checkpoint')
    expect(hourly).toHaveLength(2) // the epochs' ends
    await expect(run(optionsFor({ saveEvery: '10 parsecs' }))).rejects.toThrow(/a time like 10min/)
  })

  test('hands over the last adapter, with a warning, when no validation loss is finite', async () => {
    // The first update makes queries times keys overflow.
    const broken = { alpha: 2e20, targets: ['q_proj', 'k_proj'], learningRate: 1, warmup: 0, maxSteps: 2 } as const
    const options = optionsFor({ ...broken, targets: [...broken.targets] })
    const events = await run(options)
    expect(ofType(events, 'validation').at(-1)!.loss).toBeNaN()
    expect(ofType(events, 'warning')).toEqual([{ type: 'warning', message: expect.stringContaining('after step 2') }])
    expect((await readAdapter(options.output)).btNative).toMatchObject({ training: { selectedStep: 2 } })
    const [again] = ofType(await run(options), 'already-finished')
    expect([again!.trainLoss, again!.validationLoss]).toEqual([expect.any(Number), Number.NaN])
  })

  test('that cannot go on names the layer and the row where numbers stopped being finite', async () => {
    // An embedding that is infinite, of a sign that one row holds.
    const broken = await writeTinyModel(join(folder, 'broken'), 1, { infiniteToken: '#' })
    const rows = tinyPairs(8).map((row, index) => (index === 5 ? { ...row, instruction: 'Count the # signs.' } : row))
    const file = await writeRows(join(folder, 'poison.jsonl'), rows)
    const all = { batchSize: 8, gradAccumSteps: 1, validation: 0, epochs: 40, saveEvery: 10 }
    const options = optionsFor({ model: broken, data: file, ...all })
    await expect(run(options)).rejects.toMatchObject({
      code: 'BT_DIVERGED',
      message: expect.stringMatching(
        /step 24: no finite gradient in the last 24 steps: what leaves the embedding is not finite, first in row [0-9a-f]{16} \("Count the # signs\."\)/,
      ),
    })
    expect((await listCheckpoints(options.output))[0]!.step).toBe(23)
  })

  test('takes the columns that it is told to, and the form of the prompt', async () => {
    const rows = tinyPairs(8).map(({ instruction, response }) => ({ title: instruction, body: response }))
    const file = await writeRows(join(folder, 'titles.jsonl'), rows)
    const few = { data: file, maxSteps: 1, validation: 0 }
    await expect(run(optionsFor(few))).rejects.toMatchObject({
      code: 'BT_DATA_COLUMN',
      remedy: expect.stringContaining('--columns instruction=title,response=body'),
    })
    const events = await run(optionsFor({ ...few, columns: 'instruction=title,response=body', form: 'plain' }))
    expect(ofType(events, 'data')[0]!.train).toBe(8)
    expect(ofType(events, 'template')[0]!.form).toBe('plain')
  })

  test('refuses recomputation by the reference engine', async () => {
    await expect(run(optionsFor({ engine: 'reference', recompute: true }))).rejects.toMatchObject({
      code: 'BT_USAGE',
      message: expect.stringContaining('recompute'),
    })
  })

  test('gives the very losses when activations are computed again', async () => {
    const plain = { maxSteps: 3, dropout: 0.1, targets: 'all-linear' } as const
    const kept = losses(await run(optionsFor(plain)))
    expect(losses(await run(optionsFor({ ...plain, recompute: true })))).toEqual(kept)
  })

  test('refuses rows longer than the model reads', async () => {
    await expect(run(optionsFor({ maxTokens: 2000 }))).rejects.toMatchObject({
      code: 'BT_USAGE',
      message: expect.stringMatching(/2000.*1024/),
    })
  })

  test('reports rows that were cut to fit and leaves out those whose target does not fit, by id', async () => {
    const rows = [
      ...tinyPairs(12),
      { instruction: 'Short.', response: 'long '.repeat(100) },
      { instruction: 'x'.repeat(400), response: 'short' },
    ]
    const file = await writeRows(join(folder, 'long.jsonl'), rows)
    const [counts] = ofType(await run(optionsFor({ data: file, maxTokens: 256, maxSteps: 1, validation: 0 })), 'data')
    expect(counts).toMatchObject({ train: 13, validation: 0, cutRows: 1, tooLong: 1 })
    expect(counts!.cutTokens).toBeGreaterThan(200)
    expect(counts!.tooLongExamples).toHaveLength(1)
  })

  test('gives the same losses however a step is split into micro-batches', async () => {
    const plain = { maxSteps: 3, dropout: 0 }
    const whole = losses(await run(optionsFor({ ...plain, batchSize: 8, gradAccumSteps: 1 })))
    const split = losses(await run(optionsFor({ ...plain, batchSize: 1, gradAccumSteps: 8 })))
    for (const [index, [, loss]] of whole.entries()) expect(split[index]![1]).toBeCloseTo(loss!, 4)
  })

  test('trains in FP16 with a gradient scaler that counts the steps it skips', async () => {
    const options = optionsFor({ precision: 'fp16', epochs: 1, targets: 'all-linear' })
    const events = await run(options)
    const [finished] = ofType(events, 'finished')
    const steps = ofType(events, 'step')
    expect(finished!.skippedSteps).toBe(steps.filter(({ skipped }) => skipped).length)
    expect(steps.every(({ scale }) => scale > 1)).toBe(true)
    expect(finished!.validationLoss!).toBeLessThan(finished!.baseLoss!)
  })
})

describe('an unfinished run', () => {
  test('that was killed goes on from its checkpoint with the losses of an uninterrupted one', async () => {
    const dropout = { dropout: 0.2, saveEvery: 3 }
    const whole = await run(optionsFor(dropout))
    const options = optionsFor(dropout)
    await runKilled(options, 7)
    const rest = await run(options)
    expect(ofType(rest, 'resumed')).toMatchObject([{ step: 6 }])
    expect(losses(rest)).toEqual(losses(whole).slice(6))
    expect(ofType(rest, 'finished')[0]!.validationLoss).toBe(ofType(whole, 'finished')[0]!.validationLoss)
    const steps = (await metricLines(options.output)).filter(({ loss }) => loss !== undefined)
    expect(steps.map(({ step, loss }) => [step, loss])).toEqual(losses(whole))
  })

  test('that was stopped by a signal saves the step under way and goes on after it', async () => {
    const whole = await run(optionsFor())
    const options = optionsFor()
    const stop = new AbortController()
    const first: TrainEvent[] = []
    for await (const event of train(options, { signal: stop.signal })) {
      first.push(event)
      if (event.type === 'step' && event.step === 2) stop.abort()
    }
    expect(first.at(-1)).toMatchObject({ type: 'interrupted', step: 2 })
    expect(losses([...first, ...(await run(options))])).toEqual(losses(whole))
  })

  test('refuses options that would change the weights, naming old and new; others may change', async () => {
    const options = optionsFor({ saveEvery: 1 })
    await runKilled(options, 1)
    const changed = run({ ...options, learningRate: 0.02, r: 8 })
    await expect(changed).rejects.toMatchObject({
      code: 'BT_RUN_CHANGED',
      message: expect.stringMatching(/r 16, not 8; learningRate 0\.01, not 0\.02/),
    })
    await expect(run({ ...options, precision: 'bf16' })).rejects.toMatchObject({ code: 'BT_RUN_CHANGED' })
    const other = await writeRows(join(folder, 'other.jsonl'), tinyPairs(41))
    await expect(run({ ...options, data: other })).rejects.toThrow(/other rows/)
    const moved = await writeRows(join(folder, 'moved.jsonl'), tinyPairs(40))
    const rest = await run({ ...options, data: moved, saveEvery: 0, logEvery: 2 })
    expect(rest.at(-1)!.type).toBe('finished')
  })

  test('goes on when the rows of a step are cut into other batches, and refuses another number of rows', async () => {
    const dropout = { dropout: 0.2, saveEvery: 2 }
    const whole = losses(await run(optionsFor(dropout)))
    const options = optionsFor(dropout)
    await runKilled(options, 5)
    const refused = run({ ...options, batchSize: 2, gradAccumSteps: 2 })
    await expect(refused).rejects.toThrow(/batchSize 4, not 2(?!.*gradAccumSteps)/)
    const rest = losses(await run({ ...options, batchSize: 1, gradAccumSteps: 8, recompute: true }))
    expect(rest.map(([step]) => step)).toEqual(whole.slice(4).map(([step]) => step))
    for (const [index, [, loss]] of rest.entries()) expect(loss).toBeCloseTo(whole[4 + index]![1]!, 4)

    const filled = optionsFor({ tokensPerStep: 700, saveEvery: 1, maxSteps: 3 })
    await runKilled(filled, 1)
    await expect(run({ ...filled, tokensPerStep: 900 })).rejects.toThrow(/tokensPerStep 700, not 900/)
    expect((await run({ ...filled, batchSize: 1 })).at(-1)!.type).toBe('finished')
  })

  test('that was stopped while it read leaves no checkpoint, and throws what the signal says', async () => {
    const options = optionsFor()
    const stop = new AbortController()
    const control = { signal: stop.signal, onProgress: () => stop.abort(new Error('enough')) }
    await expect(run(options, control)).rejects.toThrow('enough')
    expect((await readdir(options.output)).filter((name) => name.startsWith('checkpoint'))).toEqual([])
    expect((await run(options)).at(-1)!.type).toBe('finished')
  })

  test('with a checkpoint whose trainer.json is damaged or gone says what to remove', async () => {
    const options = optionsFor({ saveEvery: 1 })
    await runKilled(options, 2)
    const [newest] = await listCheckpoints(options.output)
    const path = join(newest!.folder, 'trainer.json')
    for (const content of ['{"standing": {', '{"standing": {"step": "one"}}', undefined]) {
      if (content === undefined) await rm(path)
      else await writeFile(path, content)
      await expect(run(options)).rejects.toMatchObject({
        code: 'BT_CHECKPOINT',
        message: expect.stringContaining(path),
        remedy: expect.stringContaining('Remove this checkpoint folder'),
      })
    }
  })

  test('keeps the newest checkpoints only', async () => {
    const options = optionsFor({ saveEvery: 1, keep: 2 })
    await run(options)
    const kept = (await readdir(options.output)).filter((name) => name.startsWith('checkpoint-'))
    expect(kept).toHaveLength(2)
  })

  test('is refused to a second process while the first one writes', async () => {
    const options = optionsFor()
    const first = train(options)
    await first.next()
    await expect(run(options)).rejects.toMatchObject({ code: 'BT_LOCKED' })
    await first.return(undefined)
    expect((await run(options)).at(-1)!.type).toBe('finished')
  })

  test('leaves at once with BT_ABORTED when told to, and its checkpoint stays', async () => {
    const options = optionsFor({ saveEvery: 1, epochs: 50 })
    const abort = new AbortController()
    const dropped = (async () => {
      for await (const event of train(options, { abort: abort.signal })) {
        if (event.type === 'checkpoint') setTimeout(() => abort.abort(), 5)
      }
    })()
    await expect(dropped).rejects.toMatchObject({ code: 'BT_ABORTED' })
    expect((await readdir(options.output)).some((name) => /^checkpoint-\d+$/.test(name))).toBe(true)
  })
})

describe('a finished run', () => {
  test('is said to be finished and left alone; force starts over', async () => {
    const options = optionsFor({ maxSteps: 2 })
    const whole = await run(options)
    const before = await readFile(join(options.output, 'adapter_model.safetensors'))
    const again = await run(options)
    expect(again).toMatchObject([{ type: 'already-finished', steps: 2 }])
    expect(await readFile(join(options.output, 'adapter_model.safetensors'))).toEqual(before)
    expect(losses(await run({ ...options, force: true }))).toEqual(losses(whole))
  })

  test('goes only when the new run stands, and a card that was edited stays', async () => {
    const options = optionsFor({ maxSteps: 1 })
    await run(options)
    const files = ['adapter_model.safetensors', 'bt_native.json', 'metrics.jsonl', 'README.md']
    const contents = () => Promise.all(files.map((name) => readFile(join(options.output, name), 'utf8')))
    const before = await contents()
    const empty = await writeRows(join(folder, 'all-too-long.jsonl'), [
      { instruction: 'x'.repeat(4000), response: 'y' },
    ])
    await expect(run({ ...options, data: empty, force: true })).rejects.toMatchObject({ code: 'BT_DATA_EMPTY' })
    expect(await contents()).toEqual(before)

    await run({ ...options, r: 4, force: true })
    expect(await readFile(join(options.output, 'README.md'), 'utf8')).toContain('| rank | 4 |')
    await writeFile(join(options.output, 'README.md'), `${before.at(-1)}\nMine.\n`)
    await run({ ...options, r: 8, force: true })
    expect(await readFile(join(options.output, 'README.md'), 'utf8')).toContain('Mine.')
  })

  test('of somebody else is not overwritten unasked', async () => {
    const options = optionsFor({ maxSteps: 1 })
    await mkdir(options.output)
    await writeFile(join(options.output, 'adapter_config.json'), '{}')
    await expect(run(options)).rejects.toMatchObject({ code: 'BT_OUTPUT_EXISTS' })
    expect(await readFile(join(options.output, 'adapter_config.json'), 'utf8')).toBe('{}')
    await writeFile(join(options.output, 'README.md'), 'mine')
    await run({ ...options, force: true })
    expect(await readFile(join(options.output, 'README.md'), 'utf8')).toBe('mine')
  })
})
