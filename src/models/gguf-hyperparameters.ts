// A ModelConfig turned into GGUF's hyperparameters: the way back from gguf-config.ts.
import type { ModelConfig } from '../../binding.js'
import { architectures, configFromGguf } from './gguf-config.js'
import { entry, plainMetadata, type TypedMetadata } from './gguf-metadata.js'
import { ggufName } from './gguf-tables.js'
import { expectedTensors } from './layout.js'
import { llama3Factors } from './llama3-rope.js'
import { refuseOtherModel } from './read-back.js'

export interface GgufHyperparameters {
  metadata: TypedMetadata
  /** rope_freqs.weight, [headDim / 2], where the model's rotary scaling is Llama 3's. */
  ropeFactors?: Float32Array
  /** Whether the rows of q and k are stored for interleaved rotary embedding. */
  interleaved: boolean
}

/** Mistral's dense models are llama.cpp's "llama". */
const architectureNames: Readonly<Record<ModelConfig['family'], string>> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
}

/** @throws {BtError} BT_EXPORT_UNSUPPORTED when the model read back would be another one, with what differs */
export function ggufHyperparameters(config: ModelConfig): GgufHyperparameters {
  const name = architectureNames[config.family]
  const { ropeScaling: scaling } = config
  const metadata: TypedMetadata = {
    'general.architecture': entry.text(name),
    [`${name}.vocab_size`]: entry.uint(config.vocabSize),
    [`${name}.context_length`]: entry.uint(config.maxPositions),
    [`${name}.embedding_length`]: entry.uint(config.hiddenSize),
    [`${name}.block_count`]: entry.uint(config.layers),
    [`${name}.feed_forward_length`]: entry.uint(config.intermediateSize),
    [`${name}.attention.head_count`]: entry.uint(config.heads),
    [`${name}.attention.head_count_kv`]: entry.uint(config.kvHeads),
    [`${name}.attention.key_length`]: entry.uint(config.headDim),
    [`${name}.attention.value_length`]: entry.uint(config.headDim),
    [`${name}.attention.layer_norm_rms_epsilon`]: entry.float(config.rmsNormEps),
    [`${name}.rope.dimension_count`]: entry.uint(config.headDim),
    [`${name}.rope.freq_base`]: entry.float(config.ropeTheta),
    ...(config.slidingWindow > 0 && { [`${name}.attention.sliding_window`]: entry.uint(config.slidingWindow) }),
    ...(scaling?.type === 'linear' && {
      [`${name}.rope.scaling.type`]: entry.text('linear'),
      [`${name}.rope.scaling.factor`]: entry.float(scaling.factor),
    }),
    // The factors alone do not say it. llama.cpp reads it for YaRN, which this is not.
    ...(scaling?.type === 'llama3' && {
      [`${name}.rope.scaling.original_context_length`]: entry.uint(scaling.originalMaxPositions!),
    }),
  }
  const ropeFactors =
    scaling?.type === 'llama3'
      ? llama3Factors(scaling as Required<typeof scaling>, config.ropeTheta, config.headDim)
      : undefined
  checkReadBack(config, metadata, ropeFactors)
  return { metadata, ropeFactors, interleaved: architectures[name]!.interleaved }
}

function checkReadBack(config: ModelConfig, metadata: TypedMetadata, ropeFactors: Float32Array | undefined): void {
  const names = new Set([...expectedTensors(config).keys()].map(ggufName))
  const shape = {
    embedding: [config.vocabSize, config.hiddenSize],
    has: (name: string) => names.has(name),
    ropeFactors,
  }
  refuseOtherModel('a GGUF file', config, () => configFromGguf(plainMetadata(metadata), shape))
}
