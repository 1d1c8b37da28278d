// Writes models as .safetensors: shards of a bounded size with their index, as transformers saves and loads them.
import { basename, join } from 'node:path'
import type { ExportType } from '../../binding.js'
import { writeAtomic, writeFileAtomic } from '../files.js'
import { storedBytes } from './layout.js'
import type { OutgoingTensor } from './types.js'

/** Bytes of weights in one file at most: transformers' own limit of many years. */
export const defaultShardBytes = 5_000_000_000

/** A tensor's place in the header. */
export interface HeaderEntry {
  name: string
  dtype: string
  shape: readonly number[]
  byteLength: number
}

/** Header of a file whose tensors follow in this order; data starts on eight bytes. */
export function safetensorsHeader(
  entries: readonly HeaderEntry[],
  metadata: Readonly<Record<string, string>> = {},
): Buffer {
  let end = 0
  const described: [string, unknown][] = entries.map(({ name, dtype, shape, byteLength }) => {
    const begin = end
    end += byteLength
    return [name, { dtype, shape, data_offsets: [begin, end] }]
  })
  if (Object.keys(metadata).length > 0) described.unshift(['__metadata__', metadata])
  const json = Buffer.from(JSON.stringify(Object.fromEntries(described)))
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ')
  header.writeBigUInt64LE(BigInt(header.length - 8))
  json.copy(header, 8)
  return header
}

/** A plain type alone: blocks have no place in the format. */
export type PlainTensor = OutgoingTensor & { type: Extract<ExportType, 'F32' | 'F16' | 'BF16'> }

/**
 * Writes `model.safetensors`, or `model-00001-of-0000N.safetensors` and the index, into a folder. The order is kept.
 * @returns names of the files
 * @throws {BtError} BT_DISK_FULL; what the tensors' `bytes` throw
 */
export async function writeShards(
  folder: string,
  tensors: readonly PlainTensor[],
  shardBytes = defaultShardBytes,
): Promise<string[]> {
  const shards = split(tensors, shardBytes)
  const name = (index: number) =>
    shards.length === 1
      ? 'model.safetensors'
      : `model-${String(index + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`
  const names: string[] = []
  for (const [index, shard] of shards.entries()) {
    await writeShard(join(folder, name(index)), shard)
    names.push(name(index))
  }
  if (shards.length === 1) return names
  const indexPath = join(folder, 'model.safetensors.index.json')
  const index = {
    metadata: { total_size: tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0) },
    weight_map: Object.fromEntries(shards.flatMap((shard, i) => shard.map((tensor) => [tensor.name, name(i)]))),
  }
  await writeFileAtomic(indexPath, `${JSON.stringify(index, null, 2)}\n`)
  return [...names, basename(indexPath)]
}

function bytesOf({ type, shape }: PlainTensor): number {
  return storedBytes(type, shape)!
}

/** Tensors in order, as many to a shard as fit; one that is larger has a shard of its own. */
function split(tensors: readonly PlainTensor[], shardBytes: number): PlainTensor[][] {
  const shards: PlainTensor[][] = [[]]
  let filled = 0
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor)
    if (filled > 0 && filled + bytes > shardBytes) {
      shards.push([])
      filled = 0
    }
    shards.at(-1)!.push(tensor)
    filled += bytes
  }
  return shards
}

async function writeShard(path: string, tensors: readonly PlainTensor[]): Promise<void> {
  const entries = tensors.map((tensor) => {
    const { name, type, shape } = tensor
    return { name, dtype: type, shape, byteLength: bytesOf(tensor) }
  })
  const header = safetensorsHeader(entries, { format: 'pt' })
  await writeAtomic(path, async (file) => {
    await file.writeFile(header)
    for (const { bytes } of tensors) for await (const piece of bytes()) await file.writeFile(piece)
  })
}
