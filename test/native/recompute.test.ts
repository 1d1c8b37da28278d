// Activations computed again in backward, held to those that were kept: the same gradients, bit for bit.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LoraOptions, Model, ModelConfig, Runtime, TrainerOptions } from '../../src/native/runtime.js'
import { openRuntime } from '../../src/native/runtime.js'
import { allTargets, gradientsOf } from './gradients.js'
import { raggedBatch, tinyBatch, tinyConfig, tinyLora, tinyModel, tinyTrainer, xorshift } from './tiny.js'

let runtime: Runtime
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 2 })
})
afterAll(() => runtime?.close())

const shapes: Record<string, Partial<ModelConfig>> = {
  'three layers': { layers: 3 },
  'one layer': { layers: 1 },
  'a norm of heads and biases': { qkNorm: true, qkvBias: true, outBias: true, mlpBias: true },
  'wide heads, in which rows share their beginning': { headDim: 32, layers: 3 },
  'a sliding window': { slidingWindow: 5 },
}
const adapters: Record<string, LoraOptions> = {
  'q and v': tinyLora,
  'all projections': { ...tinyLora, targets: allTargets },
  'all projections with dropout': { ...tinyLora, targets: allTargets, dropout: 0.3 },
}
const engines: Record<string, Partial<TrainerOptions>> = {
  fused: { engine: 'fused' },
  "fused by ATen's operators": { engine: 'aten' },
  'fused by those operators on padded batches, as for CUDA graphs': { engine: 'aten', graphs: 'padded' },
}

const random = xorshift(3)
const batches = [raggedBatch([30, 41, 17], random, 12), raggedBatch([64, 33], random), tinyBatch(1, 9)]

describe.each(Object.entries(shapes))('%s', (_, shape) => {
  let model: Model
  beforeAll(async () => {
    model = await runtime.loadModel(tinyModel({ ...tinyConfig, ...shape }))
  })

  describe.each(Object.entries(adapters))('%s', (_, lora) => {
    test.each(Object.entries(engines))('%s', async (_, engine) => {
      const kept = await gradientsOf(model, lora, engine, batches)
      const again = await gradientsOf(model, lora, { ...engine, recompute: true }, batches)
      expect(again).toEqual(kept)
    })
  })
})

test.each([
  ['bfloat16', 'bf16'],
  ['float16', 'fp16'],
] as const)('in %s, too', async (dtype, precision) => {
  const model = await runtime.loadModel({ ...tinyModel({ ...tinyConfig, headDim: 32, layers: 3 }), dtype })
  const lora = { ...tinyLora, targets: allTargets, dropout: 0.1 }
  const kept = await gradientsOf(model, lora, { precision }, batches)
  expect(await gradientsOf(model, lora, { precision, recompute: true }, batches)).toEqual(kept)
})

test('a run with validation between its steps has the very losses of one that keeps them, in less memory', async () => {
  const model = await runtime.loadModel(tinyModel({ ...tinyConfig, layers: 4 }))
  const run = async (recompute: boolean) => {
    const trainer = await model.createTrainer(await model.attachLora(tinyLora), { ...tinyTrainer, recompute })
    const losses: number[] = []
    for (let step = 1; step <= 4; step++) {
      losses.push((await trainer.step([tinyBatch(3, 10 * step)], { learningRate: 1e-2, step })).loss)
      losses.push((await trainer.evaluate(tinyBatch(2, 60 - 10 * step))).lossSum)
    }
    const bytes = Object.values(await trainer.buffers()).reduce((sum, one) => sum + one, 0)
    return { losses, bytes }
  }
  const [kept, again] = [await run(false), await run(true)]
  expect(again.losses).toEqual(kept.losses)
  expect(again.bytes).toBeLessThan(0.6 * kept.bytes)
})

test('the reference engine refuses it by name', async () => {
  const model = await runtime.loadModel(tinyModel())
  const lora = await model.attachLora(tinyLora)
  await expect(
    model.createTrainer(lora, { ...tinyTrainer, engine: 'reference', recompute: true }),
  ).rejects.toMatchObject({
    code: 'BT_ARGUMENT',
    message: expect.stringContaining('recompute'),
  })
})
