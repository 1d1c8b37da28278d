// What a GPU makes of it: engines, dropout, graphs, scaler and sampler beside the CPU. Skipped where libtorch sees no GPU.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Finished, Model, PackedBatch, Runtime, TrainerOptions } from '../../src/native/runtime.js'
import { coreInfo, openRuntime } from '../../src/native/runtime.js'
import { type Case, drawCases } from './cases.js'
import { allTargets, distance, farthest, gradientsOf } from './gradients.js'
import { raggedBatch, tinyConfig, tinyLora, tinyModel, tinySampler, tinyTrainer, xorshift } from './tiny.js'

const cases = drawCases(40)
const lowestFlashCapability = 8

let cpu: Runtime
let gpu: Runtime
beforeAll(async () => {
  if (!hasGpu()) return
  gpu = await openRuntime({ device: 'cuda' })
  cpu = await openRuntime({ device: 'cpu', threads: 2 })
})
afterAll(async () => {
  await gpu?.close()
  await cpu?.close()
})

function hasGpu(): boolean {
  return coreInfo().cuda.length > 0
}

/** `work` with the same weights on both devices. */
async function onBoth<T>(
  config: Case['config'],
  dtype: 'float32' | 'bfloat16' | 'float16',
  work: (models: { cpu: Model; gpu: Model }) => Promise<T>,
): Promise<T> {
  const models = {
    cpu: await cpu.loadModel(tinyModel(config)),
    gpu: await gpu.loadModel({ ...tinyModel(config), dtype }),
  }
  try {
    return await work(models)
  } finally {
    await models.cpu.close()
    await models.gpu.close()
  }
}

describe.skipIf(!hasGpu())('on a GPU', () => {
  describe.each(['fused', 'aten', 'reference'] as const)('the %s engine', (engine) => {
    test.each(cases)('gives the gradients of the CPU in FP32 ($name)', async ({ config, lora, batches }) => {
      await onBoth(config, 'float32', async (models) => {
        const found = await gradientsOf(models.gpu, lora, { engine }, batches)
        const truth = await gradientsOf(models.cpu, lora, { engine: 'reference' }, batches)
        expect(found.loss).toBeCloseTo(truth.loss, 4)
        expect(farthest(found.tensors, truth.tensors)).toBeLessThan(1e-4)
      })
    })
  })

  describe.each([
    ['bf16', 'bfloat16', 1.3],
    ['fp16', 'float16', 1.6],
  ] as const)('in %s', (precision, dtype, most) => {
    test.each(cases)(
      `is no further from FP32 than ${most} times autograd ($name)`,
      async ({ config, lora, batches }) => {
        await onBoth(config, dtype, async (models) => {
          const truth = await gradientsOf(models.cpu, lora, { engine: 'reference' }, batches)
          const from = async (options: Partial<TrainerOptions>) =>
            distance((await gradientsOf(models.gpu, lora, { ...options, precision }, batches)).tensors, truth.tensors)
          const reference = await from({ engine: 'reference' })
          expect(await from({ engine: 'fused', graphs: 'off' })).toBeLessThan(most * reference)
          expect(await from({ engine: 'fused', graphs: 'auto' })).toBeLessThan(most * reference)
        })
      },
    )
  })

  test('graphs replayed over many steps give the losses of steps that are queued one by one', async () => {
    const config = { ...tinyConfig, headDim: 32 }
    await onBoth(config, 'bfloat16', async (models) => {
      const random = xorshift(5)
      const steps = Array.from({ length: 60 }, (_, at) => [
        raggedBatch([30 + (at % 7), 7, 64], random),
        raggedBatch([12 + (at % 3)], random),
      ])
      const run = (graphs: 'auto' | 'off') => losses(models.gpu, steps, { precision: 'bf16', graphs })
      const [replayed, queued] = [await run('auto'), await run('off')]
      expect(Math.max(...replayed.map((loss, at) => Math.abs(loss - queued[at]!)))).toBeLessThan(2e-2)
      expect(replayed.at(-1)).toBeLessThan(replayed[0]!)
    })
  })

  test('FP16 with the scaler skips an overflow, and ends where FP32 on the CPU does', async () => {
    await onBoth({ ...tinyConfig, headDim: 32 }, 'float16', async (models) => {
      const steps = Array.from({ length: 100 }, () => [raggedBatch([40, 21, 64], xorshift(9))])
      const half = await losses(models.gpu, steps, { precision: 'fp16', initialScale: 2 ** 30 })
      const whole = await losses(models.cpu, steps, {})
      expect(half.at(-1)).toBeLessThan(half[0]! - 0.1)
      expect(Math.abs(half.at(-1)! - whole.at(-1)!)).toBeLessThan(0.1)
    })
  })

  test('the sampler writes greedily what the CPU writes, in FP32', async () => {
    await onBoth(tinyConfig, 'float32', async (models) => {
      expect(await written(models.gpu)).toEqual(await written(models.cpu))
    })
  })

  test('scores are those of the CPU', async () => {
    await onBoth(tinyConfig, 'float32', async (models) => {
      const batch = raggedBatch([30, 12, 5], xorshift(3))
      const [found, truth] = [await models.gpu.logProbs(batch), await models.cpu.logProbs(batch)]
      expect(found).toHaveLength(truth.length)
      for (const [at, value] of found.entries()) expect(value).toBeCloseTo(truth[at]!, 4)
    })
  })

  test.each([
    ['float32', 1e-4],
    ['bfloat16', 0.05],
    ['float16', 0.01],
  ] as const)('scores of a sampler are those of the CPU, adapted and not, in %s', async (dtype, most) => {
    await onBoth({ ...tinyConfig, headDim: 32 }, dtype, async (models) => {
      const batch = raggedBatch([30, 12, 5, 64, 2], xorshift(3))
      for (const adapted of [false, true]) {
        const scores = async (model: Model) => {
          const lora = adapted ? await model.attachLora({ ...tinyLora, targets: allTargets }) : undefined
          await lora?.load(
            (await lora.tensors()).map((one) => ({ ...one, data: one.data.map((_, i) => Math.sin(i) / 9) })),
          )
          return (await model.createSampler(tinySampler, lora)).logProbs(batch)
        }
        const [found, truth] = [await scores(models.gpu), await scores(models.cpu)]
        expect(found).toHaveLength(truth.length)
        expect(Math.max(...found.map((value, at) => Math.abs(value - truth[at]!)))).toBeLessThan(most)
      }
    })
  })

  test('hidden states are those of the CPU', async () => {
    await onBoth(tinyConfig, 'float32', async (models) => {
      const batch = raggedBatch([30, 12, 5], xorshift(3))
      const [found, truth] = [await models.gpu.hiddenStates(batch), await models.cpu.hiddenStates(batch)]
      expect(found).toHaveLength(3 * tinyConfig.hiddenSize)
      expect(distance([{ data: found }], [{ data: truth }])).toBeLessThan(1e-4)
    })
  })

  test('flash attention and the kernels of libbt_cuda are in use where the GPU has them', () => {
    const { cuda, cudaKernels } = coreInfo()
    expect(cudaKernels?.problem).toBe('')
    expect(Number.parseInt(cuda[0]!.capability, 10)).toBeGreaterThanOrEqual(lowestFlashCapability)
  })
})

async function losses(model: Model, steps: PackedBatch[][], options: Partial<TrainerOptions>): Promise<number[]> {
  const lora = await model.attachLora({ ...tinyLora, targets: allTargets })
  const trainer = await model.createTrainer(lora, { ...tinyTrainer, ...options })
  const list: number[] = []
  for (const [index, batches] of steps.entries()) {
    list.push((await trainer.step(batches, { learningRate: 3e-3, step: index + 1 })).loss)
  }
  await trainer.close()
  return list
}

async function written(model: Model): Promise<number[][]> {
  const sampler = await model.createSampler(tinySampler)
  const ids = Array.from({ length: 11 }, (_, id) => id)
  const tokens = (id: number) => Int32Array.from({ length: 3 + (id % 9) }, (_, at) => (id * 7 + at * 5 + 1) % 64)
  await sampler.add(ids.map((id) => ({ id, tokens: tokens(id), maxNewTokens: 12 })))
  const finished: Finished[] = []
  while (finished.length < ids.length) finished.push(...(await sampler.advance(3)).finished)
  await sampler.close()
  return finished.toSorted((a, b) => a.id - b.id).map((one) => [...one.tokens])
}
