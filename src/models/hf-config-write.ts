// A ModelConfig turned into a Hugging Face config.json: the way back from hf-config.ts, for models that came as GGUF.
import type { ModelConfig, RopeScaling } from '../../binding.js'
import { configFromHf, hfConfigSchema } from './hf-config.js'
import { refuseOtherModel } from './read-back.js'

/** transformers' names for the element types. */
export type TorchDtype = 'float32' | 'float16' | 'bfloat16'

const classes: Readonly<Record<ModelConfig['family'], string>> = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
}

export interface SpecialIds {
  bos?: number
  eos?: number
}

/**
 * The fields of a config.json that transformers makes the same model from.
 * @throws {BtError} BT_EXPORT_UNSUPPORTED when no class of transformers' is that model, with what differs
 */
export function hfConfig(config: ModelConfig, dtype: TorchDtype, ids: SpecialIds): Record<string, unknown> {
  // GGUF's "llama" may slide; among transformers' classes it is Mistral's that does.
  const family = config.family === 'llama' && config.slidingWindow > 0 ? 'mistral' : config.family
  const fields = {
    architectures: [classes[family]],
    model_type: family,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    hidden_act: 'silu',
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    rope_scaling: ropeScaling(config.ropeScaling),
    attention_bias: config.qkvBias && family !== 'qwen2',
    mlp_bias: config.mlpBias,
    attention_dropout: 0,
    tie_word_embeddings: config.tieWordEmbeddings,
    ...windowFields(family, config),
    torch_dtype: dtype,
    use_cache: true,
    bos_token_id: ids.bos ?? null,
    eos_token_id: ids.eos ?? null,
  }
  refuseOtherModel("transformers' configuration", config, () =>
    configFromHf('config.json', hfConfigSchema.parse(fields)),
  )
  return fields
}

function windowFields(family: ModelConfig['family'], { slidingWindow }: ModelConfig): Record<string, unknown> {
  if (family === 'llama') return {}
  if (family === 'mistral') return { sliding_window: slidingWindow || null }
  const slides = slidingWindow > 0
  return { use_sliding_window: slides, sliding_window: slidingWindow || null, ...(slides && { max_window_layers: 0 }) }
}

function ropeScaling(scaling: RopeScaling | undefined): Record<string, unknown> | null {
  if (scaling === undefined) return null
  if (scaling.type === 'linear') return { rope_type: 'linear', type: 'linear', factor: scaling.factor }
  return {
    rope_type: 'llama3',
    factor: scaling.factor,
    low_freq_factor: scaling.lowFreqFactor,
    high_freq_factor: scaling.highFreqFactor,
    original_max_position_embeddings: scaling.originalMaxPositions,
  }
}
