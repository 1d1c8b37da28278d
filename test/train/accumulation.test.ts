// How rows of a step fall into micro-batches is nobody's business: the same gradients, whatever their lengths.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PackedBatch } from '../../binding.js'
import { planSteps } from '../../src/data/packing.js'
import { openRuntime, type Runtime } from '../../src/native/runtime.js'
import { packRows } from '../../src/train/plan.js'
import { allTargets, farthest, gradientsOf } from '../native/gradients.js'
import { tinyConfig, tinyLora, tinyModel, xorshift } from '../native/tiny.js'

const rowsPerStep = 16

let runtime: Runtime
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 2 })
})
afterAll(() => runtime?.close())

/** Rows of random lengths, the last tokens of each scored: one token of some, nearly all of others. */
function drawRows(random: () => number, count: number) {
  const below = (limit: number) => Math.floor(((random() + 1) / 2) * limit)
  return Array.from({ length: count }, () => {
    const length = 2 + below(60)
    const tokens = Int32Array.from({ length }, () => below(tinyConfig.vocabSize))
    return { tokens, targetStart: 1 + below(length - 1), cut: 0 }
  })
}

const splits = {
  '16 x 1': { batchSize: 16, gradAccumSteps: 1 },
  '4 x 4': { batchSize: 4, gradAccumSteps: 4 },
  '3 x 5 and one': { batchSize: 3, maxTokensPerMicroBatch: 1_000 },
  '1 x 16': { batchSize: 1, gradAccumSteps: 16 },
  'budgets of 70 tokens': { maxTokensPerMicroBatch: 70 },
  'budgets of 200 tokens': { maxTokensPerMicroBatch: 200 },
}

test.each(Array.from({ length: 10 }, (_, seed) => seed + 1))(
  'the split into micro-batches is invisible (%i)',
  async (seed) => {
    const random = xorshift(seed)
    const rows = drawRows(random, rowsPerStep)
    const lengths = rows.map(({ tokens }) => tokens.length)
    // A budget that holds all rows makes one step of them, as 16 rows a step do.
    const tokensPerStep = lengths.reduce((sum, length) => sum + length, 0)
    const model = await runtime.loadModel(tinyModel({ ...tinyConfig, headDim: seed % 2 ? 32 : 8 }))
    const lora = { ...tinyLora, targets: seed % 3 ? tinyLora.targets : allTargets, dropout: seed % 2 ? 0 : 0.3 }
    const found = new Map<string, Awaited<ReturnType<typeof gradientsOf>>>()
    for (const [name, split] of Object.entries(splits)) {
      const size = 'gradAccumSteps' in split ? split : { ...split, tokensPerStep }
      const steps = planSteps({ lengths, seed: 0, epoch: 0, ...size })
      expect(steps).toHaveLength(1)
      const batches: PackedBatch[] = steps[0]!.microBatches.map((indices) => packRows(rows, indices))
      found.set(name, await gradientsOf(model, lora, {}, batches))
    }
    await model.close()
    const whole = found.get('16 x 1')!
    for (const [name, { loss, tensors }] of found) {
      expect(Math.abs(loss - whole.loss), name).toBeLessThan(1e-5)
      expect(farthest(tensors, whole.tensors), name).toBeLessThan(1e-5)
    }
  },
)

test('a token budget makes steps that hold no more, and every row once', () => {
  const random = xorshift(9)
  for (let attempt = 0; attempt < 20; attempt++) {
    const lengths = drawRows(random, 40).map(({ tokens }) => tokens.length)
    const tokensPerStep = 60 + Math.floor(100 * (random() + 1))
    const steps = planSteps({ lengths, batchSize: 4, tokensPerStep, seed: attempt, epoch: 0 })
    const tokensOf = (indices: Int32Array) => indices.reduce((sum, row) => sum + lengths[row]!, 0)
    for (const { rows, microBatches } of steps) {
      expect(tokensOf(rows)).toBeLessThanOrEqual(tokensPerStep)
      expect(microBatches.flatMap((batch) => [...batch]).toSorted((a, b) => a - b)).toEqual(
        [...rows].toSorted((a, b) => a - b),
      )
    }
    expect(steps.flatMap(({ rows }) => [...rows]).toSorted((a, b) => a - b)).toEqual(lengths.map((_, row) => row))
  }
})
