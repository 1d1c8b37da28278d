// The hand-written layer by ATen's operators, as GPUs run it, held to plain autograd on the CPU; and batches padded as for
// CUDA graphs, held to the batches as they are.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LoraOptions, Model, ModelConfig, PackedBatch, Runtime } from '../../src/native/runtime.js'
import { openRuntime } from '../../src/native/runtime.js'
import { allTargets, distance, farthest, gradientsOf } from './gradients.js'
import { tinyBatch, tinyConfig, tinyLora, tinyModel, tinyTrainer } from './tiny.js'

const shapes: Record<string, Partial<ModelConfig>> = {
  'grouped heads': {},
  'one key-value head': { heads: 5, kvHeads: 1, headDim: 6 },
  'as many key-value heads': { kvHeads: 4, headDim: 16 },
  'a window shorter than the rows': { slidingWindow: 5 },
  'a norm of heads': { qkNorm: true },
}
const adapters: Record<string, LoraOptions> = {
  'q and v': tinyLora,
  'all projections with dropout': { ...tinyLora, targets: allTargets, dropout: 0.3 },
}

let runtime: Runtime
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 2 })
})
afterAll(() => runtime?.close())

/** Rows of different lengths, the last tokens of each scored. */
function mixedBatch(lengths: number[], scored = 3): PackedBatch {
  const starts = [0]
  const targets: number[] = []
  for (const length of lengths) {
    const end = starts.at(-1)! + length
    for (let index = end - Math.min(scored, length - 1); index < end; index++) targets.push(index)
    starts.push(end)
  }
  return {
    tokens: Int32Array.from({ length: starts.at(-1)! }, (_, index) => (index * 7 + 3) % tinyConfig.vocabSize),
    cuSeqlens: Int32Array.from(starts),
    scored: Int32Array.from(targets),
    rows: Int32Array.from(lengths, (_, row) => row + 10),
  }
}

describe.each(Object.entries(shapes))('%s', (_, shape) => {
  const batches = [tinyBatch(3, 11), mixedBatch([1, 40, 2, 17])]
  let model: Model
  beforeAll(async () => {
    model = await runtime.loadModel(tinyModel({ ...tinyConfig, ...shape }))
  })

  test.each(Object.entries(adapters))('gives the gradients of autograd for %s', async (_, lora) => {
    const reference = await gradientsOf(model, lora, { engine: 'reference' }, batches)
    const found = await gradientsOf(model, lora, { engine: 'aten' }, batches)
    expect(found.loss).toBeCloseTo(reference.loss, 5)
    expect(farthest(found.tensors, reference.tensors)).toBeLessThan(1e-5)
  })

  test.each(['aten', 'fused'] as const)('padding changes no loss and no gradient of %s', async (engine) => {
    const lora = adapters['all projections with dropout']!
    const plain = await gradientsOf(model, lora, { engine, graphs: 'off' }, batches)
    const padded = await gradientsOf(model, lora, { engine, graphs: 'padded' }, batches)
    expect(padded.loss).toBeCloseTo(plain.loss, 5)
    expect(farthest(padded.tensors, plain.tensors)).toBeLessThan(1e-5)
  })
})

test.each([
  ['bfloat16', 'bf16'],
  ['float16', 'fp16'],
] as const)(
  'in %s it is no further from the FP32 gradients than autograd is, by more than a fifth',
  async (dtype, precision) => {
    const batches = [tinyBatch(4, 30), mixedBatch([17, 5, 29])]
    const lora: LoraOptions = { ...tinyLora, targets: allTargets, dropout: 0.1 }
    const truth = await gradientsOf(await runtime.loadModel(tinyModel()), lora, { engine: 'reference' }, batches)
    const half = await runtime.loadModel({ ...tinyModel(), dtype })
    const apart = async (engine: 'aten' | 'reference') =>
      distance((await gradientsOf(half, lora, { engine, precision }, batches)).tensors, truth.tensors)
    expect(await apart('aten')).toBeLessThan(1.2 * (await apart('reference')))
  },
)

test('a run on padded batches of many sizes, with validation between, has the losses of one without', async () => {
  const model = await runtime.loadModel(tinyModel())
  const run = async (graphs: 'off' | 'padded') => {
    const trainer = await model.createTrainer(await model.attachLora(tinyLora), {
      ...tinyTrainer,
      engine: 'aten',
      graphs,
    })
    const losses: number[] = []
    for (let step = 1; step <= 6; step++) {
      const batches = [mixedBatch([step, 30, 9 * step]), mixedBatch([90, 3 + step], 70)]
      losses.push((await trainer.step(batches, { learningRate: 1e-2, step })).loss)
      losses.push((await trainer.evaluate(mixedBatch([7, 5]))).lossSum)
    }
    return losses
  }
  const plain = await run('off')
  for (const [index, loss] of (await run('padded')).entries()) expect(loss).toBeCloseTo(plain[index]!, 3)
})
