// A Hugging Face config.json turned into a ModelConfig. A difference between families is a row of the table.
import { z } from 'zod'
import type { ModelConfig, RopeScaling } from '../../binding.js'
import { BtError } from '../errors.js'

const count = z.number().int().positive()
/** A list has an entry for each: the largest models have under two hundred. */
const layerCount = count.max(10_000)
const ropeSchema = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().optional(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: count.optional(),
  partial_rotary_factor: z.number().optional(),
})

/** The fields that are read; defaults are those of transformers' configuration classes. */
export const hfConfigSchema = z.looseObject({
  architectures: z.array(z.string()).nullish(),
  model_type: z.string().nullish(),
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: layerCount,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  hidden_act: z.string().nullish(),
  max_position_embeddings: count.nullish(),
  rms_norm_eps: z.number().positive().nullish(),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  partial_rotary_factor: z.number().nullish(),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  sliding_window: count.nullish(),
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.number().int().nonnegative().nullish(),
  layer_types: z.array(z.string()).nullish(),
  quantization_config: z.looseObject({ quant_method: z.string().optional() }).nullish(),
  eos_token_id: z.union([z.number().int(), z.array(z.number().int())]).nullish(),
  bos_token_id: z.number().int().nullish(),
})

export type HfConfig = z.output<typeof hfConfigSchema>

type Layer = 'full_attention' | 'sliding_attention'

interface Family {
  family: ModelConfig['family']
  qkNorm: boolean
  /** head_dim when it is not given; undefined for hidden / heads. */
  headDim?: number
  maxPositions: number
  /** num_key_value_heads when it is not given at all. */
  kvHeads?: number
  qkvBias: (config: HfConfig) => boolean
  outBias: (config: HfConfig) => boolean
  mlpBias: (config: HfConfig) => boolean
  /** Window when every layer slides, and which layers do. */
  window: (config: HfConfig) => { size: number; layers: Layer[] }
}

const never = () => false
const byConfig = (config: HfConfig) => config.attention_bias ?? false
const allLayers = (config: HfConfig, layer: Layer): Layer[] => Array(config.num_hidden_layers).fill(layer)

/** Qwen slides only when told to, in the layers from max_window_layers on. */
function qwenWindow(config: HfConfig): { size: number; layers: Layer[] } {
  if (!config.use_sliding_window) return { size: 0, layers: allLayers(config, 'full_attention') }
  const first = config.max_window_layers ?? 28
  const bySetting = (_: unknown, i: number): Layer => (i >= first ? 'sliding_attention' : 'full_attention')
  const layers =
    (config.layer_types as Layer[] | null | undefined) ?? Array.from({ length: config.num_hidden_layers }, bySetting)
  return { size: config.sliding_window === undefined ? 4096 : (config.sliding_window ?? 0), layers }
}

/** By the name in `architectures`. Source: configuration_*.py and modeling_*.py of transformers 5. */
const families: Readonly<Record<string, Family>> = {
  LlamaForCausalLM: {
    family: 'llama',
    qkNorm: false,
    maxPositions: 2048,
    qkvBias: byConfig,
    outBias: byConfig,
    mlpBias: (config) => config.mlp_bias ?? false,
    window: (config) => ({ size: 0, layers: allLayers(config, 'full_attention') }),
  },
  MistralForCausalLM: {
    family: 'mistral',
    qkNorm: false,
    maxPositions: 131_072,
    kvHeads: 8,
    qkvBias: never,
    outBias: never,
    mlpBias: never,
    window: (config) => ({
      size: config.sliding_window === undefined ? 4096 : (config.sliding_window ?? 0),
      layers: (config.layer_types as Layer[] | null | undefined) ?? allLayers(config, 'sliding_attention'),
    }),
  },
  Qwen2ForCausalLM: {
    family: 'qwen2',
    qkNorm: false,
    maxPositions: 32_768,
    kvHeads: 32,
    qkvBias: () => true,
    outBias: never,
    mlpBias: never,
    window: qwenWindow,
  },
  Qwen3ForCausalLM: {
    family: 'qwen3',
    qkNorm: true,
    headDim: 128,
    maxPositions: 32_768,
    kvHeads: 32,
    qkvBias: byConfig,
    outBias: byConfig,
    mlpBias: never,
    window: qwenWindow,
  },
}

/**
 * @param where config.json's path, for messages
 * @throws {BtError} BT_MODEL_UNKNOWN for an architecture, BT_MODEL_UNSUPPORTED for an activation, rope type,
 * quantization or mix of layers, each by name; BT_MODEL_CONFIG for numbers that do not fit each other
 */
export function configFromHf(where: string, hf: HfConfig): ModelConfig {
  const family = familyOf(where, hf)
  const unsupported = (what: string) => new BtError('BT_MODEL_UNSUPPORTED', `${where}: ${what} is not supported`)
  if ((hf.hidden_act ?? 'silu') !== 'silu') throw unsupported(`hidden_act "${hf.hidden_act}"`)
  if (hf.quantization_config) {
    const method = hf.quantization_config.quant_method ?? 'unnamed'
    throw new BtError('BT_MODEL_UNSUPPORTED', `${where}: weights quantized by "${method}" are not supported`, {
      remedy: 'Use the model in BF16, FP16 or FP32, or as a .gguf file.',
    })
  }
  const heads = hf.num_attention_heads
  const kvHeads = (hf.num_key_value_heads === undefined ? family.kvHeads : hf.num_key_value_heads) ?? heads
  const headDim = hf.head_dim ?? (hf.head_dim === undefined ? family.headDim : undefined) ?? hf.hidden_size / heads
  if (heads % kvHeads !== 0 || !Number.isInteger(headDim) || headDim % 2 !== 0) {
    const shape = `hidden_size ${hf.hidden_size}, ${heads} heads, ${kvHeads} key-value heads, head_dim ${headDim}`
    throw new BtError('BT_MODEL_CONFIG', `${where}: ${shape} do not fit each other`)
  }
  const maxPositions = hf.max_position_embeddings ?? family.maxPositions
  const rope = ropeOf(where, hf, maxPositions)
  return {
    family: family.family,
    vocabSize: hf.vocab_size,
    hiddenSize: hf.hidden_size,
    intermediateSize: hf.intermediate_size,
    layers: hf.num_hidden_layers,
    heads,
    kvHeads,
    headDim,
    rmsNormEps: hf.rms_norm_eps ?? 1e-6,
    ropeTheta: rope.theta,
    ropeScaling: rope.scaling,
    qkvBias: family.qkvBias(hf),
    outBias: family.outBias(hf),
    mlpBias: family.mlpBias(hf),
    qkNorm: family.qkNorm,
    tieWordEmbeddings: hf.tie_word_embeddings ?? false,
    slidingWindow: slidingWindow(where, family.window(hf), maxPositions),
    maxPositions,
  }
}

function familyOf(where: string, hf: HfConfig): Family {
  const name = hf.architectures?.[0]
  const family = name !== undefined && Object.hasOwn(families, name) ? families[name] : undefined
  if (family !== undefined) return family
  const what = name === undefined ? `no architectures (model_type "${hf.model_type}")` : `the architecture "${name}"`
  throw new BtError('BT_MODEL_UNKNOWN', `${where}: ${what} is not known`, {
    remedy: `Known are ${Object.keys(families).join(', ')}.`,
  })
}

/** transformers 5 keeps rope_theta and the scaling together in rope_parameters; before, they lay apart. */
function ropeOf(where: string, hf: HfConfig, maxPositions: number): { theta: number; scaling?: RopeScaling } {
  const rope = hf.rope_parameters ?? hf.rope_scaling ?? {}
  const type = rope.rope_type ?? rope.type ?? 'default'
  const theta = rope.rope_theta ?? hf.rope_theta ?? 10_000
  const need = (name: string, value: number | undefined) => {
    if (value === undefined) throw new BtError('BT_MODEL_CONFIG', `${where}: rope type "${type}" needs ${name}`)
    return value
  }
  const unsupported = (what: string) => new BtError('BT_MODEL_UNSUPPORTED', `${where}: ${what} is not supported`)
  const partial = rope.partial_rotary_factor ?? hf.partial_rotary_factor ?? 1
  if (partial !== 1) throw unsupported(`partial_rotary_factor ${partial}`)
  if (Object.values(rope).some((value) => typeof value === 'object' && value !== null && !Array.isArray(value))) {
    throw unsupported('rope_parameters that differ between layers')
  }
  if (type === 'default') return { theta }
  if (type === 'linear') return { theta, scaling: { type, factor: need('factor', rope.factor) } }
  if (type !== 'llama3') throw unsupported(`rope type "${type}"`)
  const scaling: RopeScaling = {
    type,
    factor: need('factor', rope.factor),
    lowFreqFactor: need('low_freq_factor', rope.low_freq_factor),
    highFreqFactor: need('high_freq_factor', rope.high_freq_factor),
    originalMaxPositions: rope.original_max_position_embeddings ?? maxPositions,
  }
  return { theta, scaling }
}

/** One window for all layers, or none; a window no shorter than the context is none. */
function slidingWindow(where: string, window: { size: number; layers: Layer[] }, maxPositions: number): number {
  const unknown = window.layers.find((layer) => layer !== 'full_attention' && layer !== 'sliding_attention')
  if (unknown !== undefined) {
    throw new BtError('BT_MODEL_UNSUPPORTED', `${where}: layer type "${unknown}" is not supported`)
  }
  const sliding = window.layers.filter((layer) => layer === 'sliding_attention').length
  if (window.size === 0 || sliding === 0 || window.size >= maxPositions) return 0
  if (sliding === window.layers.length) return window.size
  throw new BtError('BT_MODEL_UNSUPPORTED', `${where}: full and sliding attention in one model is not supported`)
}
