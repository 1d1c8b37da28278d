import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readSafetensors, writeSafetensors } from '../../src/models/safetensors.js'
import { readSafetensorsHeader } from '../../src/models/safetensors-header.js'
import { failureOf, fixtures, readFixture, temporaryFolder } from './folder.js'

/** A file with this header and so many bytes of data. */
async function fileOf(header: unknown, dataBytes: number): Promise<string> {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  const path = join(await temporaryFolder(), 'x.safetensors')
  await writeFile(path, Buffer.concat([length, json, Buffer.alloc(dataBytes)]))
  return path
}

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
})

test('reads what the safetensors package wrote, FP16 and BF16 as FP32', async () => {
  const { tensors, metadata } = await readSafetensors(join(fixtures, 'halves.safetensors'))
  const expected = await readFixture<Record<string, string[]>>('halves.json')
  const numbers = (texts: string[]) => texts.map((text) => Number(text.replace('inf', 'Infinity')))
  expect(metadata).toEqual({ made: 'here' })
  expect(tensors).toHaveLength(3)
  for (const { name, shape, data } of tensors) {
    expect(shape).toEqual([10])
    expect([...data]).toEqual(numbers(expected[name]!))
  }
})

test('reads back what it writes, and leaves nothing else in the folder', async () => {
  const path = join(await temporaryFolder(), 'a.safetensors')
  const all = new Float32Array([9, 1, 2, 3, 4, 5, 6, 9])
  const tensors = [
    { name: 'b', shape: [2, 3], data: all.subarray(1, 7) },
    { name: 'a', shape: [], data: new Float32Array([7]) },
    { name: 'empty', shape: [0, 4], data: new Float32Array() },
  ]
  await writeSafetensors(path, tensors, { format: 'pt' })
  const found = await readSafetensors(path)
  expect(found.metadata).toEqual({ format: 'pt' })
  expect(found.tensors.map(({ name, shape, data }) => [name, shape, [...data]])).toEqual(
    tensors.map(({ name, shape, data }) => [name, shape, [...data]]),
  )
  expect((await readFile(path)).readBigUInt64LE() % 8n).toBe(0n)
  expect(await readdir(dirname(path))).toEqual(['a.safetensors'])
})

describe('a damaged file is refused by name and reason', () => {
  test.each([
    ['not JSON', '{"a": ', 0],
    ['not a JSON object', '[1]', 0],
    [
      'lists a twice',
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
      4,
    ],
    ['a and b overlap', { a: f32(0, 8), b: f32(4, 12) }, 12],
    ['4 bytes of nothing before b', { a: f32(0, 4), b: f32(8, 12) }, 12],
    ['4 bytes after its last tensor, a', { a: f32(0, 4) }, 8],
    ['cut short: a ends at', { a: f32(0, 16) }, 12],
    ['a 8 bytes where F32 [3] takes 12', { a: f32(0, 8, [3]) }, 8],
    ['a as F33', { a: { ...f32(0, 4), dtype: 'F33' } }, 4],
    ['a wrongly', { a: { ...f32(0, 4), shape: [-1] } }, 4],
    ['a wrongly', { a: { ...f32(0, 4), data_offsets: [0] } }, 4],
    ['a wrongly', { a: { ...f32(0, 4), shape: ['1'] } }, 4],
    ['__metadata__', { __metadata__: { a: 1 } }, 0],
  ])('%s', async (reason, header, dataBytes) => {
    const path = await fileOf(header, dataBytes)
    const error = await failureOf(readSafetensorsHeader(path))
    expect([error.code, error.message]).toEqual(['BT_SAFETENSORS', expect.stringContaining(reason)])
    expect(error.message).toContain(path)
  })

  test('an empty file, a header that claims terabytes, a file cut within its header', async () => {
    const path = await fileOf({ a: f32(0, 4) }, 4)
    await truncate(path, 20)
    expect((await failureOf(readSafetensorsHeader(path))).message).toContain('cut short within its header')
    await writeFile(path, Buffer.from('\0\0\0\0\0\x10\0\0{}'))
    expect((await failureOf(readSafetensorsHeader(path))).message).toContain('claims a header of')
    await truncate(path, 0)
    expect((await failureOf(readSafetensorsHeader(path))).message).toContain('0 bytes')
  })

  test('an escaped key and braces in names do not hide a repeated one', async () => {
    const header = String.raw`{"a}{":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061}{":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
    expect((await failureOf(readSafetensorsHeader(await fileOf(header, 4)))).message).toContain('a}{ twice')
  })
})
