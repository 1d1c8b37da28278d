// Writes a .gguf file: metadata through @huggingface/gguf, the tensors' table, then their bytes as they come.
import type { StoredType } from '../../binding.js'
import { writeAtomic } from '../files.js'
import type { TypedMetadata } from './gguf-metadata.js'
import { ggmlTypeNumber } from './gguf-tables.js'
import { storedBytes } from './layout.js'
import type { OutgoingTensor } from './types.js'

/** Tensors start on multiples of this many bytes: GGUF's default of `general.alignment`. */
const alignment = 32

/**
 * Writes the file so that a kill leaves the old one or the new one. Tensors lie in the order given.
 * @throws {BtError} BT_DISK_FULL; what `bytes` throws
 */
export async function writeGguf(
  path: string,
  metadata: TypedMetadata,
  tensors: readonly OutgoingTensor[],
): Promise<void> {
  const header = await ggufHeader(metadata, tensors)
  await writeAtomic(path, async (file) => {
    await file.writeFile(header)
    for (const { bytes, type, shape } of tensors) {
      for await (const piece of bytes()) await file.writeFile(piece)
      await file.writeFile(padding(storedBytes(type, shape)!))
    }
  })
}

/** Source of the layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
async function ggufHeader(metadata: TypedMetadata, tensors: readonly OutgoingTensor[]): Promise<Buffer> {
  const { serializeGgufMetadata } = await import('@huggingface/gguf')
  const counts = {
    version: { value: 3, type: 4 },
    tensor_count: { value: BigInt(tensors.length), type: 10 },
    kv_count: { value: BigInt(Object.keys(metadata).length), type: 10 },
  }
  const typed = { ...counts, ...metadata } as unknown as Parameters<typeof serializeGgufMetadata>[0]
  // Without padding: the table follows at once.
  const parts: Uint8Array[] = [serializeGgufMetadata(typed, { alignment: 1 })]
  let offset = 0
  for (const { name, type, shape } of tensors) {
    parts.push(tensorInfo(name, type, shape, offset))
    offset += padded(storedBytes(type, shape)!)
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([...parts, padding(length)])
}

function tensorInfo(name: string, type: StoredType, shape: readonly number[], offset: number): Buffer {
  const text = Buffer.from(name)
  const info = Buffer.alloc(8 + text.length + 4 + 8 * shape.length + 4 + 8)
  let at = info.writeBigUInt64LE(BigInt(text.length))
  at += text.copy(info, at)
  at = info.writeUInt32LE(shape.length, at)
  for (const size of shape.toReversed()) at = info.writeBigUInt64LE(BigInt(size), at)
  at = info.writeUInt32LE(ggmlTypeNumber(type), at)
  info.writeBigUInt64LE(BigInt(offset), at)
  return info
}

function padded(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment
}

function padding(bytes: number): Buffer {
  return Buffer.alloc(padded(bytes) - bytes)
}
