// What a model is to the rest of the package, whatever format it came in.
import type { ExportType, ModelConfig, TensorEntry } from '../../binding.js'

/** A model's weights, shape and tokenizer, located but not loaded. */
export interface ModelSource {
  /** As a person would name it: "smollm2-135m", "TinyLlama/TinyLlama-1.1B-Chat-v1.0", a folder's name. */
  name: string
  /** What identifies it in adapters: the Hub id, or the path or alias that was given. */
  reference: string
  /** The .gguf file or the Hugging Face folder. */
  path: string
  format: 'safetensors' | 'gguf'
  config: ModelConfig
  /** Files with weights, absolute. */
  files: string[]
  tensors: TensorEntry[]
  tokenizer: TokenizerSource
  /**
   * Hex SHA-256 over configuration, tensor table, tokenizer and the first 4 KB of each tensor: tells two models apart
   * without reading all weights.
   */
  hash: string
  /** Weights in the model (tied ones once). */
  parameters: number
}

/** A source without what the caller calls it. */
export type UnnamedSource = Omit<ModelSource, 'name' | 'reference'>

/** What a tokenizer is made from. */
export interface TokenizerSource {
  /** Content of a Hugging Face tokenizer.json. */
  json: string
  /** Jinja chat template, where the model has one. */
  chatTemplate?: string
  /** Text of the tokens, where the model has them: "<s>", "</s>". */
  bosToken?: string
  eosToken?: string
  /** Ids that end a turn or the text. */
  eosIds: number[]
  /** Whether plain text starts with the begin-of-sequence token. */
  addBos: boolean
}

/** A tensor to be written. Its bytes are asked for when its turn comes, piece by piece. */
export interface OutgoingTensor {
  name: string
  type: ExportType
  /** Row-major, outermost first. */
  shape: readonly number[]
  bytes: () => AsyncIterable<Uint8Array>
}
