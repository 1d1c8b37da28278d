// Puts a ModelSource together from its parts: the checked tensor table, the hash and the number of weights.
import type { ModelConfig, TensorEntry } from '../../binding.js'
import { sha256 } from '../files.js'
import { checkTensors, elementsOf } from './layout.js'
import type { ModelSource, TokenizerSource } from './types.js'

export interface SourceParts {
  name: string
  reference: string
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
export function assembleSource(parts: SourceParts): ModelSource {
  const tensors = checkTensors(parts.path, parts.config, parts.tensors)
  return {
    ...parts,
    tensors,
    hash: modelHash(parts.config, tensors, parts.tokenizer),
    parameters: tensors.reduce((sum, { shape }) => sum + elementsOf(shape), 0),
  }
}

/** Where the weights lie (file, offset) is left out: resharding a model does not change it. */
function modelHash(config: ModelConfig, tensors: TensorEntry[], tokenizer: TokenizerSource): string {
  const table = tensors.map(({ name, type, shape, interleavedHeads }) => [name, type, shape, interleavedHeads ?? 0])
  const sortedConfig = Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)))
  return sha256(JSON.stringify([sortedConfig, table, tokenizer]))
}
