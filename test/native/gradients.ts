// Gradients of one step by a given engine, and how far two sets of them are apart.
import type { LoraOptions, Model, PackedBatch, TrainerOptions } from '../../src/native/runtime.js'
import { tinyTrainer } from './tiny.js'

/** Every projection of a layer. */
export const allTargets: LoraOptions['targets'] = [
  ...['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
] as LoraOptions['targets']

/** Loss and gradients by name after the B matrices, zero at first, have been made to matter. */
export async function gradientsOf(
  model: Model,
  lora: LoraOptions,
  trainer: Partial<TrainerOptions>,
  batches: PackedBatch[],
) {
  const adapter = await model.attachLora(lora)
  const tensors = await adapter.tensors()
  let state = 1
  for (const { data } of tensors) {
    for (let i = 0; i < data.length; i++) {
      state = (state * 48271) % 2147483647
      data[i] = 0.2 * (state / 2147483647 - 0.5)
    }
  }
  await adapter.load(tensors)
  const made = await model.createTrainer(adapter, { ...tinyTrainer, ...trainer })
  const result = await made.gradients(batches, { learningRate: 0, step: 3 })
  await made.close()
  await adapter.close()
  return result
}

const length = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))

/** Largest L2 distance of two sets of matrices, over the second's L2 length. */
export function farthest(found: { data: Float32Array }[], expected: { data: Float32Array }[]): number {
  return Math.max(
    ...found.map(({ data }, index) => {
      const truth = expected[index]!.data
      return length(data.map((value, at) => value - truth[at]!)) / length(truth)
    }),
  )
}

/** L2 distance of all matrices taken together. */
export function distance(found: { data: Float32Array }[], expected: { data: Float32Array }[]): number {
  const apart = found.map(({ data }, index) => length(data.map((value, at) => value - expected[index]!.data[at]!)))
  return Math.hypot(...apart)
}
