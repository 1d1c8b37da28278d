// Puts a ModelSource together from its parts: the checked tensor table, the hash and the number of weights.
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import type { ModelConfig, TensorEntry } from '../../binding.js'
import { sha256 } from '../files.js'
import { checkTensors, elementsOf } from './layout.js'
import type { ModelSource, TokenizerSource, UnnamedSource } from './types.js'

export interface SourceParts {
  path: string
  format: ModelSource['format']
  config: ModelConfig
  files: string[]
  tensors: TensorEntry[]
  tokenizer: TokenizerSource
}

/**
 * Checks the tensors against the configuration and adds hash and size.
 * @throws {BtError} BT_TENSOR_UNKNOWN, BT_TENSOR_MISSING, BT_TENSOR_SHAPE
 */
export async function assembleSource(parts: SourceParts): Promise<UnnamedSource> {
  const tensors = checkTensors(parts.path, parts.config, parts.tensors)
  return {
    ...parts,
    tensors,
    hash: await modelHash(parts, tensors),
    parameters: tensors.reduce((sum, { shape }) => sum + elementsOf(shape), 0),
  }
}

/** Where the weights lie (file, offset) is left out: resharding a model does not change it. */
async function modelHash({ config, tokenizer, files }: SourceParts, tensors: TensorEntry[]): Promise<string> {
  const table = tensors.map(({ name, type, shape, interleavedHeads }) => [name, type, shape, interleavedHeads ?? 0])
  const sortedConfig = Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)))
  return sha256(JSON.stringify([sortedConfig, table, tokenizer, await weightsHash(files, tensors)]))
}

/** Bytes of each tensor that are hashed: training moves every row of a matrix, so its first ones tell. */
const sampledBytes = 4096

/** Over the first bytes of every tensor, in the order of their names: a model that was trained further has another. */
async function weightsHash(files: string[], tensors: TensorEntry[]): Promise<string> {
  const hash = createHash('sha256')
  const buffer = Buffer.alloc(sampledBytes)
  const handles: FileHandle[] = []
  try {
    for (const path of files) handles.push(await open(path, 'r'))
    for (const { file, offset, byteLength } of tensors.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const { bytesRead } = await handles[file]!.read(buffer, 0, Math.min(byteLength, sampledBytes), offset)
      hash.update(buffer.subarray(0, bytesRead))
    }
  } finally {
    for (const handle of handles) await handle.close()
  }
  return hash.digest('hex')
}
