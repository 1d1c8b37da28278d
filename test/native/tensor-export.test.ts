// One weight on its way out of a file: what is added to it, how it is rounded, in which order its rows go.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ExportTensorOptions, TensorEntry } from '../../binding.js'
import { type OpenRuntime, openRuntime } from '../../src/native/runtime.js'

let runtime: OpenRuntime
let folder: string
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 2 })
  folder = mkdtempSync(join(tmpdir(), 'bt-tensor-export-'))
})
afterAll(async () => {
  await runtime.close()
  rmSync(folder, { recursive: true })
})

let files = 0

/** A file that holds these numbers as F32 after three odd bytes. */
function stored(values: ArrayLike<number>, shape: number[], more: Partial<TensorEntry> = {}) {
  const path = join(folder, `weight-${files++}.bin`)
  const bytes = new Uint8Array(Float32Array.from(values).buffer)
  writeFileSync(path, Buffer.concat([Buffer.alloc(3), bytes]))
  return {
    path,
    tensor: { name: 'w', type: 'F32', shape, file: 0, offset: 3, byteLength: bytes.length, ...more } as const,
  }
}

const floats = (bytes: Uint8Array) => [...new Float32Array(bytes.slice().buffer)]
const halves = (bytes: Uint8Array) => [...new Uint16Array(bytes.slice().buffer)]
const numbers = (count: number, at = (i: number) => ((i * 37) % 101) - 50) =>
  Float32Array.from({ length: count }, (_, i) => at(i))

describe('the update', () => {
  test('is scale times B A, added before anything is rounded', async () => {
    const [out, r, width] = [6, 2, 4]
    const [w, a, b] = [
      numbers(out * width),
      numbers(r * width, (i) => (i % 7) - 3),
      numbers(out * r, (i) => (i % 5) - 2),
    ]
    const bytes = await runtime.exportTensor({
      ...stored(w, [out, width]),
      type: 'F32',
      update: { scale: 0.5, r, a, b },
    })
    const expected = [...w].map((value, at) => {
      const [row, column] = [Math.floor(at / width), at % width]
      return value + 0.5 * (b[row * r]! * a[column]! + b[row * r + 1]! * a[width + column]!)
    })
    expect(floats(bytes)).toEqual(expected)
  })

  test('too small for the type to show alone counts in the sum', async () => {
    // 1 + 2^-9 + 2^-9 is a BF16 step above 1 only when both are added before the rounding.
    const update = { scale: 1, r: 1, a: Float32Array.of(2 ** -8), b: Float32Array.of(1.5) }
    const bytes = await runtime.exportTensor({ ...stored([1], [1, 1]), type: 'BF16', update })
    expect(halves(bytes)).toEqual([0x3f81])
  })

  test('that does not fit the weight is refused by name', async () => {
    const one = { ...stored(numbers(8), [2, 4]), type: 'F32' } as const
    const update = { scale: 1, r: 1, a: new Float32Array(4), b: new Float32Array(3) }
    await expect(runtime.exportTensor({ ...one, update })).rejects.toMatchObject({
      code: 'BT_TENSOR_SHAPE',
      message: expect.stringMatching(/tensor w: .* do not fit \[2, 4\]/),
    })
    const bias = { ...stored(numbers(8), [8]), type: 'F32' } as const
    await expect(runtime.exportTensor({ ...bias, update })).rejects.toMatchObject({ code: 'BT_TENSOR_SHAPE' })
  })
})

describe('rounding', () => {
  test('is to the nearest, ties to even', async () => {
    // BF16 has 8 bits of a number, F16 has 11: 257 and 2049 lie between two, as 259 and 2051 do.
    const bf16 = await runtime.exportTensor({ ...stored([256, 257, 259, -257], [1, 4]), type: 'BF16' })
    expect(halves(bf16)).toEqual([0x4380, 0x4380, 0x4382, 0xc380])
    const f16 = await runtime.exportTensor({ ...stored([2048, 2049, 2051, 2 ** -24], [1, 4]), type: 'F16' })
    expect(halves(f16)).toEqual([0x6800, 0x6800, 0x6802, 0x0001])
  })

  test('Q8_0 is a half and 32 bytes, Q4_0 a half and 16', async () => {
    const values = numbers(64, (i) => (i < 32 ? i - 16 : (i - 32) / 4 - 4))
    const q8 = await runtime.exportTensor({ ...stored(values, [2, 32]), type: 'Q8_0' })
    expect(q8.length).toBe(2 * 34)
    const [scale] = new Float32Array([16 / 127])
    expect([...new Int8Array(q8.slice(2, 34).buffer)]).toEqual(
      Array.from({ length: 32 }, (_, i) => Math.sign(i - 16) * Math.round(Math.abs(i - 16) / scale!) + 0),
    )
    const q4 = await runtime.exportTensor({ ...stored(values, [2, 32]), type: 'Q4_0' })
    expect(q4.length).toBe(2 * 18)
    // -16 is the extreme: d is 2, element 0 becomes 0 and element 16, which is 0, becomes 8.
    expect([...q4.slice(0, 3)]).toEqual([0x00, 0x40, 0x80])
  })

  test.each(['F16', 'BF16', 'Q8_0', 'Q4_0', 'F32'] as const)(
    'of what %s cannot hold is refused, by name',
    async (type) => {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, ...(type === 'F16' ? [-70_000] : [])]) {
        const values = numbers(32)
        values[7] = value
        await expect(runtime.exportTensor({ ...stored(values, [1, 32]), type })).rejects.toMatchObject({
          code: 'BT_TENSOR_RANGE',
          message: expect.stringMatching(new RegExp(`tensor w holds .*, which ${type} cannot hold`)),
        })
      }
    },
  )

  test('rows that are not whole blocks are refused', async () => {
    await expect(runtime.exportTensor({ ...stored(numbers(96), [2, 48]), type: 'Q4_0' })).rejects.toMatchObject({
      code: 'BT_TENSOR_SHAPE',
      message: 'tensor w: rows of 48 do not divide into Q4_0 blocks',
    })
  })
})

describe('rows', () => {
  const rows = (bytes: Uint8Array) => floats(bytes).filter((_, i) => i % 2 === 0)
  const twelve = Float32Array.from({ length: 24 }, (_, i) => Math.floor(i / 2)) // 12 rows of two

  test('go out in interleaved rotary order, head by head, and come back', async () => {
    const out = await runtime.exportTensor({ ...stored(twelve, [12, 2]), type: 'F32', interleavedHeads: 2 })
    expect(rows(out)).toEqual([0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11])
    const back = stored(floats(out), [12, 2], { interleavedHeads: 2 })
    expect(rows(await runtime.exportTensor({ ...back, type: 'F32' }))).toEqual(rows(new Uint8Array(twelve.buffer)))
  })

  test('of a bias are turned as those of its weight', async () => {
    const bias = Float32Array.from({ length: 4 }, (_, i) => i)
    const out = await runtime.exportTensor({ ...stored(bias, [4]), type: 'F32', interleavedHeads: 1 })
    expect(floats(out)).toEqual([0, 2, 1, 3])
  })

  test('can be asked for some at a time', async () => {
    const { path, tensor } = stored(twelve, [12, 2])
    const part: TensorEntry = { ...tensor, shape: [6, 2], offset: tensor.offset + 48, byteLength: 48 }
    const out = await runtime.exportTensor({ path, tensor: part, type: 'F32', interleavedHeads: 1 })
    expect(rows(out)).toEqual([6, 9, 7, 10, 8, 11])
  })

  test('that do not divide into heads are refused', async () => {
    await expect(
      runtime.exportTensor({ ...stored(twelve, [12, 2]), type: 'F32', interleavedHeads: 5 }),
    ).rejects.toMatchObject({
      code: 'BT_TENSOR_SHAPE',
      message: expect.stringContaining('12 rows do not divide into 5'),
    })
  })
})

test('an entry that is wrong is refused', async () => {
  const { path, tensor } = stored(numbers(8), [2, 4])
  const wrong = async (more: Partial<TensorEntry>, rest: Partial<ExportTensorOptions> = {}) => {
    const options = { path, tensor: { ...tensor, ...more }, type: 'F32', ...rest } as ExportTensorOptions
    return runtime.exportTensor(options).then(
      () => 'no error',
      (error: { code: string }) => error.code,
    )
  }
  expect(await wrong({ offset: 4 })).toBe('BT_TENSOR_OUT_OF_RANGE')
  expect(await wrong({ byteLength: 31 })).toBe('BT_TENSOR_SHAPE')
  expect(await wrong({ shape: [] })).toBe('BT_TENSOR_SHAPE')
  expect(await wrong({ shape: [2 ** 40, 2 ** 40] })).toBe('BT_TENSOR_SHAPE')
  expect(await wrong({}, { path: join(folder, 'absent') })).toBe('BT_IO')
  expect(await wrong({}, { type: 'Q6_K' as 'F32' })).toBe('BT_ARGUMENT')
})
