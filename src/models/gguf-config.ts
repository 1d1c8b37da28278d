// GGUF's hyperparameters turned into a ModelConfig. A difference between architectures is a row of the table.
import type { ModelConfig, RopeScaling } from '../../binding.js'
import { BtError } from '../errors.js'
import { type Metadata, optional, required } from './gguf-metadata.js'
import { llama3FromFactors } from './llama3-rope.js'

interface Architecture {
  family: ModelConfig['family']
  qkNorm: boolean
  /** llama.cpp's converter stores the rows of q and k for interleaved rotary embedding. */
  interleaved: boolean
}

/** By `general.architecture`. Mistral's dense models are stored as "llama". */
export const architectures: Readonly<Record<string, Architecture>> = {
  llama: { family: 'llama', qkNorm: false, interleaved: true },
  mistral: { family: 'mistral', qkNorm: false, interleaved: true },
  qwen2: { family: 'qwen2', qkNorm: false, interleaved: false },
  qwen3: { family: 'qwen3', qkNorm: true, interleaved: false },
}

/** @throws {BtError} BT_MODEL_UNKNOWN with the architecture's name */
export function architectureOf(metadata: Metadata): Architecture {
  const name = required(metadata, 'general.architecture', 'string')
  const architecture = Object.hasOwn(architectures, name) ? architectures[name] : undefined
  if (architecture === undefined) {
    throw new BtError('BT_MODEL_UNKNOWN', `the architecture "${name}" is not known`, {
      remedy: `Known are ${Object.keys(architectures).join(', ')}.`,
    })
  }
  return architecture
}

export interface GgufShape {
  /** Shape of token_embd.weight, [vocab, hidden]. */
  embedding: readonly number[]
  /** Whether a tensor of this GGUF name is stored. */
  has: (name: string) => boolean
  /** rope_freqs.weight, where the file has it. */
  ropeFactors?: Float32Array
}

/**
 * @throws {BtError} BT_GGUF for a missing or odd entry, BT_MODEL_UNKNOWN for an architecture,
 * BT_MODEL_UNSUPPORTED for a rope type, experts, or layers that differ
 */
export function configFromGguf(metadata: Metadata, shape: GgufShape): ModelConfig {
  const { family, qkNorm } = architectureOf(metadata)
  const prefix = required(metadata, 'general.architecture', 'string')
  const need = (key: string) => required(metadata, `${prefix}.${key}`, 'number')
  const may = (key: string) => optional(metadata, `${prefix}.${key}`, 'number')
  const hiddenSize = need('embedding_length')
  const heads = uniform(metadata, `${prefix}.attention.head_count`)
  if (heads === undefined) throw new BtError('BT_GGUF', `the metadata has no ${prefix}.attention.head_count`)
  const headDim = may('attention.key_length') ?? hiddenSize / heads
  if ((may('expert_count') ?? 0) > 0) throw unsupported(`${prefix}.expert_count: mixtures of experts`)
  const valueDim = may('attention.value_length') ?? headDim
  if (valueDim !== headDim) throw unsupported(`${prefix}.attention.value_length ${valueDim} beside ${headDim}`)
  const rotated = may('rope.dimension_count') ?? headDim
  if (rotated !== headDim) throw unsupported(`rotary embedding of ${rotated} of ${headDim} dimensions`)
  const ropeTheta = may('rope.freq_base') ?? 10_000
  const kvHeads = uniform(metadata, `${prefix}.attention.head_count_kv`) ?? heads
  const layers = need('block_count')
  checkNumbers({ hiddenSize, layers, heads, kvHeads, headDim })
  return {
    family,
    vocabSize: shape.embedding[0] ?? 0,
    hiddenSize,
    intermediateSize: uniform(metadata, `${prefix}.feed_forward_length`) ?? need('feed_forward_length'),
    layers,
    heads,
    kvHeads,
    headDim,
    rmsNormEps: shortest(need('attention.layer_norm_rms_epsilon')),
    ropeTheta,
    ropeScaling: ropeScaling(metadata, prefix, { theta: ropeTheta, headDim, factors: shape.ropeFactors }),
    qkvBias: shape.has('blk.0.attn_q.bias'),
    outBias: shape.has('blk.0.attn_output.bias'),
    mlpBias: shape.has('blk.0.ffn_up.bias'),
    qkNorm,
    tieWordEmbeddings: !shape.has('output.weight'),
    slidingWindow: may('attention.sliding_window') ?? 0,
    maxPositions: need('context_length'),
  }
}

/** @throws {BtError} BT_GGUF for numbers that no model has */
function checkNumbers(numbers: Record<'hiddenSize' | 'layers' | 'heads' | 'kvHeads' | 'headDim', number>): void {
  const { heads, kvHeads, headDim } = numbers
  const whole = Object.values(numbers).every((number) => Number.isSafeInteger(number) && number > 0)
  if (whole && heads % kvHeads === 0 && headDim % 2 === 0) return
  const listed = Object.entries(numbers).map(([name, number]) => `${name} ${number}`)
  throw new BtError('BT_GGUF', `the metadata's numbers do not fit each other: ${listed.join(', ')}`)
}

/** A number, or a list that repeats one number; lists that do not are models whose layers differ. */
function uniform(metadata: Metadata, key: string): number | undefined {
  const value = metadata[key]
  if (!Array.isArray(value)) return optional(metadata, key, 'number')
  const numbers = optional(metadata, key, 'numbers') ?? []
  if (new Set(numbers).size > 1) throw unsupported(`${key}: layers of different shape`)
  return numbers[0]
}

function ropeScaling(
  metadata: Metadata,
  prefix: string,
  rope: { theta: number; headDim: number; factors?: Float32Array },
): RopeScaling | undefined {
  const type = optional(metadata, `${prefix}.rope.scaling.type`, 'string') ?? 'none'
  const factor =
    optional(metadata, `${prefix}.rope.scaling.factor`, 'number') ??
    optional(metadata, `${prefix}.rope.scale_linear`, 'number') ??
    1
  if (rope.factors?.some((value) => value !== 1)) {
    const original = optional(metadata, `${prefix}.rope.scaling.original_context_length`, 'number')
    const found = llama3FromFactors(rope.factors, rope.theta, rope.headDim, original)
    if (found !== undefined) return found
    throw unsupported('rope_freqs.weight that is not of the llama3 kind')
  }
  if (type !== 'none' && type !== 'linear') throw unsupported(`rope scaling "${type}"`)
  return factor === 1 ? undefined : { type: 'linear', factor }
}

function unsupported(what: string): BtError {
  return new BtError('BT_MODEL_UNSUPPORTED', `${what} is not supported`)
}

/** GGUF stores 1e-5 as a float32, 9.99999974e-6: the shortest decimal that reads back as the same float32. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits))
    if (Math.fround(rounded) === Math.fround(value)) return rounded
  }
  return value
}
