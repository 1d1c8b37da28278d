// Small tensors in and out of .safetensors files: adapters, optimizer state, checks. A model's weights never come
// through here: the native side reads them.
import { open } from 'node:fs/promises'
import { BtError } from '../errors.js'
import { writeAtomic } from '../files.js'
import { readSafetensorsHeader, type StoredTensor } from './safetensors-header.js'
import { safetensorsHeader } from './safetensors-write.js'

/** A tensor of any rank, FP32, row-major. */
export interface FloatTensor {
  name: string
  shape: readonly number[]
  data: Float32Array
}

export interface SafetensorsContent {
  /** In the order in which they lie in the file. */
  tensors: { name: string; shape: number[]; data: Float32Array }[]
  metadata: Record<string, string>
}

/**
 * Reads every tensor; FP16 and BF16 become FP32.
 * @throws {BtError} BT_SAFETENSORS for a damaged file, BT_TENSOR_TYPE for a tensor of another type, by name
 */
export async function readSafetensors(path: string): Promise<SafetensorsContent> {
  const { tensors, metadata } = await readSafetensorsHeader(path)
  const file = await open(path, 'r')
  try {
    const content: SafetensorsContent = { tensors: [], metadata }
    for (const stored of [...tensors].sort((a, b) => a.offset - b.offset)) {
      const bytes = new Uint8Array(stored.byteLength)
      const { bytesRead } = await file.read(bytes, 0, stored.byteLength, stored.offset)
      if (bytesRead < stored.byteLength) throw new BtError('BT_SAFETENSORS', `${path} was cut short while it was read`)
      content.tensors.push({ name: stored.name, shape: stored.shape, data: toFloats(path, stored, bytes) })
    }
    return content
  } finally {
    await file.close()
  }
}

function toFloats(path: string, { name, dtype }: StoredTensor, bytes: Uint8Array): Float32Array {
  if (dtype === 'F32') return new Float32Array(bytes.buffer)
  if (dtype === 'BF16') {
    return new Float32Array(Uint32Array.from(new Uint16Array(bytes.buffer), (bits) => bits << 16).buffer)
  }
  if (dtype === 'F16') return Float32Array.from(new Uint16Array(bytes.buffer), fromHalf)
  throw new BtError('BT_TENSOR_TYPE', `${path}: ${name} is stored as ${dtype}; F32, F16 and BF16 can be read`)
}

/** IEEE half bits to a number. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25)
}

/**
 * Writes FP32 tensors in the order given, so that a kill leaves the old file or the new one.
 * @throws {BtError} BT_DISK_FULL
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly FloatTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const entries = tensors.map(({ name, shape, data }) => ({ name, dtype: 'F32', shape, byteLength: data.byteLength }))
  const header = safetensorsHeader(entries, metadata)
  await writeAtomic(path, async (file) => {
    await file.writeFile(header)
    for (const { data } of tensors) {
      await file.writeFile(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    }
  })
}
