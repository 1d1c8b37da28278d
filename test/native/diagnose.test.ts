// Where a step's numbers stopped being finite: each place it can be, found by name.
import { openSync, writeSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LoadModelOptions, NotFinite, PackedBatch, Runtime, TrainerOptions } from '../../src/native/runtime.js'
import { openRuntime } from '../../src/native/runtime.js'
import { raggedBatch, tinyBatch, tinyConfig, tinyLora, tinyModel, tinyTrainer, xorshift } from './tiny.js'

let runtime: Runtime
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 1 })
})
afterAll(() => runtime?.close())

/** Overwrites one number of a stored weight. */
function spoil({ files, tensors }: LoadModelOptions, name: string, at: number, value: number): void {
  const { offset } = tensors.find((tensor) => tensor.name === name)!
  writeSync(openSync(files[0]!, 'r+'), Float32Array.of(value), 0, 4, offset + 4 * at)
}

async function diagnose(
  options: LoadModelOptions,
  batches: PackedBatch[],
  more: Partial<TrainerOptions> = {},
  poison?: string,
): Promise<NotFinite | null> {
  const model = await runtime.loadModel(options)
  const lora = await model.attachLora(tinyLora)
  if (poison) {
    const tensors = await lora.tensors()
    tensors.find(({ name }) => name === poison)!.data[3] = Number.NaN
    await lora.load(tensors)
  }
  const trainer = await model.createTrainer(lora, { ...tinyTrainer, ...more })
  const before = await lora.tensors()
  const found = await trainer.diagnose(batches, { learningRate: 1, step: 1 })
  expect(await lora.tensors()).toEqual(before)
  await model.close()
  return found
}

const batches = [raggedBatch([20, 9, 14], xorshift(3)), tinyBatch(2, 12)]

test('finds nothing where all is well', async () => {
  expect(await diagnose(tinyModel(), batches)).toBe(null)
})

test('names a LoRA matrix that is not finite', async () => {
  const name = 'layers.1.self_attn.v_proj.lora_B'
  expect(await diagnose(tinyModel(), batches, {}, name)).toEqual({ what: 'weight', layer: 1, tensor: name })
})

test('names the layer that hidden states leave without being finite, and the first row', async () => {
  const options = tinyModel()
  spoil(options, 'model.layers.1.mlp.down_proj.weight', 0, Number.POSITIVE_INFINITY)
  expect(await diagnose(options, batches)).toEqual({ what: 'hidden', layer: 1, row: batches[0]!.rows[0] })
})

test('names the row whose token has an embedding that is not finite', async () => {
  const options = tinyModel({ ...tinyConfig, tieWordEmbeddings: false })
  const [first, second] = [batches[0]!.tokens, batches[1]!.tokens]
  const token = [...second].find((id) => !first.includes(id))!
  spoil(options, 'model.embed_tokens.weight', token * tinyConfig.hiddenSize, Number.NaN)
  const row = batches[1]!.rows[Math.floor(second.indexOf(token) / 12)]
  expect(await diagnose(options, batches)).toEqual({ what: 'hidden', layer: -1, row })
})

test('names a loss that is not finite though the hidden states are', async () => {
  const options = tinyModel()
  spoil(options, 'model.norm.weight', 0, Number.POSITIVE_INFINITY)
  expect(await diagnose(options, batches)).toMatchObject({ what: 'loss', layer: 2, row: batches[0]!.rows[0] })
})

test('names the matrix whose gradient overflows first, and the row', async () => {
  const half = { ...tinyModel(), dtype: 'float16' as const }
  const found = await diagnose(half, batches, { precision: 'fp16', initialScale: 2 ** 40 })
  expect(found).toMatchObject({ what: 'gradient', row: batches[0]!.rows[0] })
  expect(found!.tensor).toMatch(/^layers\.1\.self_attn\.v_proj\.lora_[AB]$/)
})
