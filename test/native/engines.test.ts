// The hand-written layer against plain autograd over random shapes: loss and every LoRA gradient, in FP32, BF16 and FP16.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Runtime } from '../../src/native/runtime.js'
import { openRuntime } from '../../src/native/runtime.js'
import { type Case, drawCases } from './cases.js'
import { allTargets, distance, farthest, gradientsOf } from './gradients.js'
import { raggedBatch, tinyBatch, tinyConfig, tinyLora, tinyModel, tinyTrainer, xorshift } from './tiny.js'

let runtime: Runtime
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 2 })
})
afterAll(() => runtime?.close())

type Engine = 'fused' | 'reference'

const cases = drawCases(40)

test.each(cases)('gives the gradients of autograd in FP32 ($name)', async ({ config, lora, batches }) => {
  const model = await runtime.loadModel(tinyModel(config))
  const fused = await gradientsOf(model, lora, { engine: 'fused' }, batches)
  const reference = await gradientsOf(model, lora, { engine: 'reference' }, batches)
  await model.close()
  expect(fused.loss).toBeCloseTo(reference.loss, 5)
  expect(fused.tensors.map(({ name }) => name)).toEqual(reference.tensors.map(({ name }) => name))
  expect(farthest(fused.tensors, reference.tensors)).toBeLessThan(1e-5)
})

/** L2 distance of all gradients in half precision from autograd's in FP32, of both engines. */
async function distances({ config, lora, batches }: Case, precision: 'bf16' | 'fp16') {
  const exact = await runtime.loadModel(tinyModel(config))
  const dtype = precision === 'bf16' ? 'bfloat16' : 'float16'
  const half = await runtime.loadModel({ ...tinyModel(config), dtype })
  const truth = await gradientsOf(exact, lora, { engine: 'reference' }, batches)
  const from = async (engine: Engine) =>
    distance((await gradientsOf(half, lora, { engine, precision }, batches)).tensors, truth.tensors)
  const result = { fused: await from('fused'), reference: await from('reference') }
  await exact.close()
  await half.close()
  return result
}

// Without a loss scale FP16 loses small gradients to underflow, which ones is chance.
describe.each([
  ['bf16', 1.2],
  ['fp16', 1.5],
] as const)('in %s', (precision, most) => {
  test.each(cases)(`it is no further from the FP32 gradients than ${most} times autograd ($name)`, async (one) => {
    const { fused, reference } = await distances(one, precision)
    expect(fused).toBeLessThan(most * reference)
  })
})

test('a hundred steps have the losses of the reference', { timeout: 300_000 }, async () => {
  const model = await runtime.loadModel(tinyModel({ ...tinyConfig, headDim: 32 }))
  const random = xorshift(5)
  const steps = Array.from({ length: 100 }, () => [raggedBatch([30, 7, 64], random), raggedBatch([12], random)])
  const losses = async (engine: Engine) => {
    const lora = await model.attachLora({ ...tinyLora, targets: allTargets })
    const trainer = await model.createTrainer(lora, { ...tinyTrainer, engine })
    const list: number[] = []
    for (const [index, batches] of steps.entries()) {
      list.push((await trainer.step(batches, { learningRate: 3e-3, step: index + 1 })).loss)
    }
    return list
  }
  const [fused, reference] = [await losses('fused'), await losses('reference')]
  expect(Math.max(...fused.map((loss, at) => Math.abs(loss - reference[at]!)))).toBeLessThan(1e-3)
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
