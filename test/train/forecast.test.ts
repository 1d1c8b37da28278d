import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TrainEvent } from '../../src/train/events.js'
import { planTraining } from '../../src/train/forecast.js'
import type { TrainInput } from '../../src/train/options.js'
import { train } from '../../src/train/run.js'
import { parseBytes } from '../../src/units.js'
import { tinyPairs, writeRows, writeTinyModel } from './tiny-model.js'

let folder: string
let options: TrainInput & { output: string }
const cache = process.env.BT_NATIVE_CACHE
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-plan-'))
  options = {
    model: await writeTinyModel(join(folder, 'model')),
    data: await writeRows(join(folder, 'rows.jsonl'), tinyPairs(60)),
    output: join(folder, 'run'),
    ...{ batchSize: 4, gradAccumSteps: 3, epochs: 2, validation: 0.1, threads: 1, device: 'cpu', precision: 'fp32' },
  }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function ofTraining<T extends TrainEvent['type']>(input: TrainInput, type: T) {
  const events: TrainEvent[] = []
  for await (const event of train(input)) events.push(event)
  return events.filter((event): event is Extract<TrainEvent, { type: T }> => event.type === type)
}

describe('a plan', () => {
  test('has the steps, the rows and the memory that the run then tells, and writes nothing', async () => {
    const plan = await planTraining(options)
    await expect(readdir(options.output)).rejects.toMatchObject({ code: 'ENOENT' })
    const [told] = await ofTraining({ ...options, force: true }, 'plan')
    const { steps, tokensPerStep, memory } = plan
    expect({ steps, memory: memory.total }).toEqual({ steps: told!.steps, memory: told!.memory })
    expect(tokensPerStep).toBeCloseTo(told!.tokensPerStep, 6)
    const { total, ...parts } = memory
    expect(Object.values(parts).reduce((sum, part) => sum + part, 0)).toBe(total)
    expect(plan).toMatchObject({ device: 'cpu', precision: 'fp32', threads: 1, fits: true })
  })

  test('takes more memory for more rows at a time, and less when activations are computed again', async () => {
    const { splits } = await planTraining(options)
    const plain = splits.filter(({ recompute }) => !recompute)
    expect(plain.map(({ batchSize, gradAccumSteps }) => [batchSize, gradAccumSteps])).toEqual([
      ...[
        [1, 12],
        [2, 6],
        [3, 4],
        [4, 3],
        [6, 2],
        [12, 1],
      ],
    ])
    for (const [at, one] of plain.slice(1).entries()) expect(one.memory).toBeGreaterThan(plain[at]!.memory)
    for (const again of splits.filter(({ recompute }) => recompute)) {
      expect(again.memory).toBeLessThan(plain.find(({ batchSize }) => batchSize === again.batchSize)!.memory)
    }
  })

  test('counts what writing for held-back rows holds: keys, values and a tokenizer', async () => {
    const parts = async (more: Partial<TrainInput>) =>
      (await planTraining({ ...options, validation: 0.3, ...more })).memory
    const none = await parts({ samples: 0 })
    expect([none.writing, none.text]).toEqual([0, 0])
    const [one, four] = [await parts({ samples: 1 }), await parts({ samples: 4 })]
    expect(one.text).toBeGreaterThan(0)
    // Two layers of two heads of eight numbers, keys and values, in four bytes, for 96 new tokens at least.
    expect(one.writing).toBeGreaterThan(2 * 2 * 2 * 8 * 4 * 96)
    expect(four.writing).toBeGreaterThan(2 * one.writing)
    expect((await parts({ samples: 0, bestBy: 'rouge-l' })).writing).toBeGreaterThan(four.writing)
    expect(four.total - none.total).toBe(four.writing + four.text)
  })

  test('a run that encodes its rows itself tells more than the plan of one that finds them kept', async () => {
    const data = await writeRows(join(folder, 'unread.jsonl'), tinyPairs(61))
    const input = { ...options, data, output: join(folder, 'unread'), samples: 0, epochs: 1 }
    const [first] = await ofTraining(input, 'plan')
    const { memory } = await planTraining(input)
    expect(first!.memory).toBeGreaterThan(memory.total + 40e6)
    const [second] = await ofTraining({ ...input, force: true }, 'plan')
    expect(second!.memory).toBe(memory.total)
  })

  test('names the split with the most rows at a time that fits the device', async () => {
    const { splits, memory } = await planTraining(options)
    const all = splits.toSorted((a, b) => a.memory - b.memory)
    const most = splits.find(({ batchSize, recompute }) => batchSize === 12 && !recompute)!
    expect((await planTraining(options, { memory: most.memory })).largest).toEqual(most)
    const less = await planTraining(options, { memory: most.memory - 1 })
    expect(less.largest).toMatchObject({ batchSize: 12, recompute: true })
    expect(less.fits).toBe(memory.total < most.memory)
    const none = await planTraining(options, { memory: all[0]!.memory - 1 })
    expect(none).toMatchObject({ fits: false, largest: undefined, limit: { from: 'given' } })
  })

  test('tells the time from a product that is timed now, and from a run where there was one', async () => {
    process.env.BT_NATIVE_CACHE = join(folder, 'cache')
    try {
      const before = (await planTraining(options)).time
      // An empty cache folder has no libtorch either, but this process has one open.
      expect(before).toMatchObject({ basis: 'product' })
      const steps = await ofTraining({ ...options, force: true }, 'step')
      const seconds = steps.reduce((sum, { milliseconds }) => sum + milliseconds / 1000, 0)
      const { time } = await planTraining(options)
      expect(time).toMatchObject({ basis: 'run', steps: steps.length })
      expect(time!.seconds).toBeCloseTo(seconds, 1)
      expect(time!.secondsPerStep).toBeCloseTo(time!.seconds / steps.length, 6)
    } finally {
      if (cache === undefined) delete process.env.BT_NATIVE_CACHE
      else process.env.BT_NATIVE_CACHE = cache
    }
  })

  test('refuses the reference engine by name', async () => {
    await expect(planTraining({ ...options, engine: 'reference' })).rejects.toMatchObject({
      code: 'BT_USAGE',
      message: expect.stringContaining('reference'),
    })
  })
})

test('sizes are read with their units', () => {
  expect(['8GB', '1.5 GiB', '900M', '4096', '2kb'].map(parseBytes)).toEqual([8e9, 1.5 * 2 ** 30, 9e8, 4096, 2000])
  for (const wrong of ['', 'GB', '8 bits', '-1GB', '1e9']) expect(parseBytes(wrong)).toBeUndefined()
})
