// Stored weights arrive as the numbers that they stand for, whatever their type, their order and the pieces they are
// read in. All weights here are n / 64 with |n| < 128, which every type holds exactly.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Dtype, LoadModelOptions, ModelConfig, StoredType, TensorEntry } from '../../binding.js'
import { type OpenRuntime, openRuntime } from '../../src/native/runtime.js'
import { tinyBatch, tinyConfig, weightShapes } from './tiny.js'

/** The embedding has 200,000 elements: three pieces and a bit. Rows of q and k are those of four and two heads. */
const config: ModelConfig = { ...tinyConfig, vocabSize: 6250, intermediateSize: 64 }

let runtime: OpenRuntime
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 2 })
})
afterAll(() => runtime.close())

/** n of every weight, row-major: the same for each way of storing them. */
const numbers = weightShapes(config).map(([name, shape]) => {
  const size = shape.reduce((a, b) => a * b, 1)
  let state = name.length * 977 + size
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 16
  }
  const values = Int8Array.from({ length: size }, () => (name.includes('norm') ? 64 : (next() % 41) - 20))
  return { name, shape, values }
})

const bytesOf: Record<'F32' | 'F16' | 'BF16' | 'Q8_0', (values: Int8Array) => Uint8Array> = {
  F32: (values) => new Uint8Array(Float32Array.from(values, (n) => n / 64).buffer),
  F16: (values) => new Uint8Array(Uint16Array.from(values, half).buffer),
  BF16: (values) => {
    const floats = new Uint32Array(Float32Array.from(values, (n) => n / 64).buffer)
    return new Uint8Array(Uint16Array.from(floats, (bits) => bits >>> 16).buffer)
  },
  Q8_0(values) {
    const blocks = Buffer.alloc((values.length / 32) * 34)
    for (let block = 0; block * 32 < values.length; block++) {
      blocks.writeUInt16LE(half(1), block * 34)
      blocks.set(new Uint8Array(values.slice(block * 32, block * 32 + 32).buffer), block * 34 + 2)
    }
    return blocks
  },
}

/** IEEE half of n / 64. */
function half(n: number): number {
  if (n === 0) return 0
  const exponent = Math.floor(Math.log2(Math.abs(n) / 64))
  return (n < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | ((Math.abs(n) / 64 / 2 ** exponent - 1) * 1024)
}

/** Rows of a rotary head as GGUF has them: pairs side by side, where Hugging Face has one half after the other. */
function interleaved(values: Int8Array, heads: number, width: number): Int8Array {
  const rows = values.length / width / heads
  const out = new Int8Array(values.length)
  for (let row = 0; row < rows * heads; row++) {
    const [head, inside] = [Math.floor(row / rows), row % rows]
    const to = head * rows + 2 * (inside % (rows / 2)) + Math.floor(inside / (rows / 2))
    out.set(values.subarray(row * width, (row + 1) * width), to * width)
  }
  return out
}

function stored(type: keyof typeof bytesOf, dtype: Dtype, rotary: boolean): LoadModelOptions {
  const tensors: TensorEntry[] = []
  const parts: Uint8Array[] = [Buffer.alloc(3)] // nothing says that weights start on a multiple of their size
  let offset = 3
  for (const { name, shape, values } of numbers) {
    const kind: StoredType = shape.length === 1 ? 'F32' : type
    const heads = /\.q_proj/.test(name) ? config.heads : /\.k_proj/.test(name) ? config.kvHeads : 0
    const order = rotary && heads > 0 ? { interleavedHeads: heads } : {}
    const bytes = bytesOf[kind as keyof typeof bytesOf](
      rotary && heads > 0 ? interleaved(values, heads, shape[1]!) : values,
    )
    tensors.push({ name, type: kind, shape, file: 0, offset, byteLength: bytes.length, ...order })
    parts.push(bytes)
    offset += bytes.length
  }
  const path = join(mkdtempSync(join(tmpdir(), 'bt-weights-')), 'weights.bin')
  writeFileSync(path, Buffer.concat(parts))
  return { config, files: [path], tensors, dtype }
}

async function scores(options: LoadModelOptions): Promise<number[]> {
  const model = await runtime.loadModel(options)
  const found = await model.logProbs(tinyBatch(2, 12, config.vocabSize))
  await model.close()
  return [...found]
}

describe.each(['float32', 'bfloat16'] as const)('as %s', (dtype) => {
  let plain: number[]
  beforeAll(async () => {
    plain = await scores(stored('F32', dtype, false))
    expect(new Set(plain).size).toBe(plain.length)
  })
  test.each(['F32', 'F16', 'BF16', 'Q8_0'] as const)('%s', async (type) => {
    expect(await scores(stored(type, dtype, false))).toEqual(plain)
  })
  test.each(['F32', 'F16', 'Q8_0'] as const)('%s with q and k in interleaved rotary order', async (type) => {
    expect(await scores(stored(type, dtype, true))).toEqual(plain)
  })
})

test('a model that was closed leaves its memory', async () => {
  const options = stored('Q8_0', 'float32', false)
  await scores(options)
  const before = (await runtime.memory()).resident
  for (let i = 0; i < 20; i++) await scores(options)
  expect((await runtime.memory()).resident - before).toBeLessThan(8e6)
})
