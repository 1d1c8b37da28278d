// The hand-written layer against plain autograd, over random shapes: loss and every LoRA gradient in FP32.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LoraOptions, Model, ModelConfig, PackedBatch, Runtime } from '../../src/native/runtime.js'
import { openRuntime } from '../../src/native/runtime.js'
import { tinyBatch, tinyConfig, tinyLora, tinyModel, tinyTrainer } from './tiny.js'

const all = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const

const shapes: Record<string, Partial<ModelConfig>> = {
  'grouped heads': {},
  'one key-value head': { heads: 5, kvHeads: 1, headDim: 6 },
  'as many key-value heads': { kvHeads: 4, headDim: 16 },
  'a window shorter than the rows': { slidingWindow: 5 },
  'one layer': { layers: 1 },
}

let runtime: Runtime
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 2 })
})
afterAll(() => runtime?.close())

/** Gradients by name after the B matrices have been made to matter. */
async function gradients(
  model: Model,
  options: LoraOptions,
  engine: 'fused' | 'reference',
  batches: PackedBatch[],
  precision: 'fp32' | 'bf16' = 'fp32',
) {
  const lora = await model.attachLora(options)
  const tensors = await lora.tensors()
  let state = 1
  for (const { data } of tensors) {
    for (let i = 0; i < data.length; i++) {
      state = (state * 48271) % 2147483647
      data[i] = 0.2 * (state / 2147483647 - 0.5)
    }
  }
  await lora.load(tensors)
  const trainer = await model.createTrainer(lora, { ...tinyTrainer, precision, engine })
  const result = await trainer.gradients(batches, { learningRate: 0, step: 3 })
  await trainer.close()
  await lora.close()
  return result
}

/** Largest L2 distance of two sets of matrices, over the second's L2 length. */
function farthest(found: { data: Float32Array }[], expected: { data: Float32Array }[]): number {
  const length = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
  return Math.max(
    ...found.map(({ data }, index) => {
      const truth = expected[index]!.data
      return length(data.map((value, at) => value - truth[at]!)) / length(truth)
    }),
  )
}

describe.each(Object.entries(shapes))('%s', (_, shape) => {
  const config = { ...tinyConfig, ...shape }
  const batches = [tinyBatch(3, 11), tinyBatch(1, 40), tinyBatch(5, 4)]
  let model: Model
  beforeAll(async () => {
    model = await runtime.loadModel(tinyModel(config))
  })

  test.each([
    ['q and v', { ...tinyLora }],
    ['all projections', { ...tinyLora, targets: [...all] }],
    ['all projections with dropout', { ...tinyLora, targets: [...all], dropout: 0.3 }],
    ['the output projections alone', { ...tinyLora, targets: ['o_proj', 'down_proj'], rsLora: true }],
  ] satisfies [string, LoraOptions][])('gives the gradients of autograd for %s', async (_, options) => {
    const fused = await gradients(model, options, 'fused', batches)
    const reference = await gradients(model, options, 'reference', batches)
    expect(fused.loss).toBeCloseTo(reference.loss, 5)
    expect(fused.tensors.map(({ name }) => name)).toEqual(reference.tensors.map(({ name }) => name))
    expect(farthest(fused.tensors, reference.tensors)).toBeLessThan(1e-5)
  })
})

test('validating between two steps changes nothing, and gives the loss of the reference', async () => {
  const model = await runtime.loadModel(tinyModel())
  const run = async (engine: 'fused' | 'reference', validate: boolean) => {
    const trainer = await model.createTrainer(await model.attachLora(tinyLora), { ...tinyTrainer, engine })
    const losses: number[] = []
    const validated: number[] = []
    for (let step = 1; step <= 4; step++) {
      losses.push((await trainer.step([tinyBatch(2, 12 + step)], { learningRate: 1e-2, step })).loss)
      if (validate) validated.push((await trainer.evaluate(tinyBatch(7, 20))).lossSum)
    }
    return { losses, validated }
  }
  const plain = await run('fused', false)
  const checked = await run('fused', true)
  const reference = await run('reference', true)
  expect(checked.losses).toEqual(plain.losses)
  for (const [index, sum] of checked.validated.entries()) expect(sum).toBeCloseTo(reference.validated[index]!, 3)
})

test('in BF16 it is no further from the FP32 gradients than autograd is, by more than a fifth', async () => {
  const batches = [tinyBatch(4, 30), tinyBatch(2, 17)]
  const options: LoraOptions = { ...tinyLora, targets: [...all] }
  const exact = await runtime.loadModel(tinyModel())
  const half = await runtime.loadModel({ ...tinyModel(), dtype: 'bfloat16' })
  const truth = await gradients(exact, options, 'reference', batches)
  const distance = async (engine: 'fused' | 'reference') => {
    const found = await gradients(half, options, engine, batches, 'bf16')
    const flat = (set: { data: Float32Array }[]) => set.flatMap(({ data }) => [...data])
    const [a, b] = [flat(found.tensors), flat(truth.tensors)]
    return Math.sqrt(a.reduce((sum, value, at) => sum + (value - b[at]!) ** 2, 0))
  }
  expect(await distance('fused')).toBeLessThan(1.2 * (await distance('reference')))
})
