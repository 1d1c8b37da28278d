// The buffers that a plan reckons with, held to those that a trainer has: names and bytes, to the last one.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packBatch } from '../../src/data/packing.js'
import type { ModelConfig, PackedBatch, Runtime } from '../../src/native/runtime.js'
import { openRuntime } from '../../src/native/runtime.js'
import { type StepShape, stepBuffers, trainableWeights } from '../../src/train/footprint.js'
import { sharesPrefix } from '../../src/train/memory.js'
import { sizeOf } from '../../src/train/workload.js'
import { allTargets } from '../native/gradients.js'
import { tinyBatch, tinyConfig, tinyLora, tinyModel, tinyTrainer } from '../native/tiny.js'

let runtime: Runtime
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 2 })
})
afterAll(() => runtime?.close())

interface Case extends Partial<Omit<StepShape, 'config'>> {
  config?: Partial<ModelConfig>
}

const cases: Record<string, Case> = {
  'q and v': {},
  'one layer': { config: { layers: 1 } },
  'one layer, all projections': { config: { layers: 1 }, targets: allTargets, dropout: 0.1 },
  'four layers, all projections, dropout': { config: { layers: 4 }, targets: allTargets, dropout: 0.2 },
  'four layers, dropout on the output projection alone': { config: { layers: 4 }, targets: ['o_proj'], dropout: 0.2 },
  'a norm of heads': { config: { qkNorm: true, layers: 3 } },
  'in half precision': { dtype: 'bfloat16', targets: ['k_proj', 'down_proj'], config: { layers: 3 } },
  recomputed: { recompute: true, config: { layers: 4, qkNorm: true }, targets: allTargets },
  'recomputed, one layer': { recompute: true, config: { layers: 1 }, targets: allTargets },
  'recomputed in half precision': { recompute: true, dtype: 'bfloat16', config: { layers: 3 }, dropout: 0.1 },
}

const tokensOf = (batches: PackedBatch[]) => ({
  tokens: Math.max(0, ...batches.map(({ tokens }) => tokens.length)),
  scored: Math.max(0, ...batches.map(({ scored }) => scored.length)),
})

async function measured(shape: StepShape, training: PackedBatch[], validation: PackedBatch[]) {
  const model = await runtime.loadModel({ ...tinyModel(shape.config), dtype: shape.dtype })
  const { r, targets, dropout, recompute } = shape
  const lora = await model.attachLora({ ...tinyLora, r, targets, dropout })
  const precision = shape.dtype === 'float32' ? 'fp32' : 'bf16'
  const trainer = await model.createTrainer(lora, { ...tinyTrainer, precision, recompute })
  for (const [index, batch] of training.entries()) {
    await trainer.step([batch], { learningRate: 1e-3, step: index + 1 })
    for (const one of validation) await trainer.evaluate(one)
  }
  const tensors = await lora.tensors()
  const buffers = await trainer.buffers()
  await model.close()
  return { buffers, trainable: tensors.reduce((sum, { data }) => sum + data.length, 0) }
}

function shapeOf({ config, ...more }: Case): StepShape {
  const plain = {
    dtype: 'float32',
    device: 'cpu',
    r: 4,
    targets: tinyLora.targets,
    dropout: 0,
    recompute: false,
  } as const
  return { ...plain, config: { ...tinyConfig, ...config }, ...more }
}

describe.each(Object.entries(cases))('%s', (_, one) => {
  const shape = shapeOf(one)
  const training = [tinyBatch(2, 12), tinyBatch(3, 20), tinyBatch(1, 7)]

  test('as many bytes of each buffer', async () => {
    const { buffers, trainable } = await measured(shape, training, [])
    expect(buffers).toEqual(stepBuffers(shape, tokensOf(training)))
    expect(trainable).toBe(trainableWeights(shape))
  })

  test('and with larger batches evaluated between the steps', async () => {
    const validation = [tinyBatch(6, 30), tinyBatch(1, 40)]
    const { buffers } = await measured(shape, training, validation)
    expect(buffers).toEqual(stepBuffers(shape, tokensOf(training), tokensOf(validation)))
  })
})

test('logits are there a chunk at a time', async () => {
  const shape = shapeOf({ config: { vocabSize: 40_000, tieWordEmbeddings: true } })
  const batch = tinyBatch(10, 60)
  expect(stepBuffers(shape, tokensOf([batch])).logits).toBeLessThan(batch.scored.length * 40_000 * 4)
  const { buffers } = await measured(shape, [batch], [])
  expect(buffers).toEqual(stepBuffers(shape, tokensOf([batch])))
})

test('what rows begin with is counted once where the engine computes it once', async () => {
  const shape = shapeOf({ config: { headDim: 32 } })
  const rows = [9, 14, 30].map((length, row) => ({
    tokens: Int32Array.from({ length }, (_, at) => (at < 6 ? at + 1 : row * 20 + at)).map((id) => id % 64),
    targetStart: length - 2,
  }))
  const batch = packBatch(rows, [0, 1, 2])
  const size = sizeOf(rows, sharesPrefix(shape))
  expect(size.tokens).toBe(batch.tokens.length - (sharesPrefix(shape) ? 2 * 6 : 0))
  const { buffers } = await measured(shape, [batch], [])
  expect(buffers).toEqual(stepBuffers(shape, size))
})
