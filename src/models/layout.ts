// Which tensors a decoder of a given shape must have, and checks of a tensor table against it. Reads no file.
import type { ModelConfig, StoredType, TensorEntry } from '../../binding.js'
import { BtError } from '../errors.js'

/** Elements and bytes of one block of each stored type; plain types are blocks of one. */
export const storedTypes: Readonly<Record<StoredType, { elements: number; bytes: number }>> = {
  F32: { elements: 1, bytes: 4 },
  F16: { elements: 1, bytes: 2 },
  BF16: { elements: 1, bytes: 2 },
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
  Q5_0: { elements: 32, bytes: 22 },
  Q5_1: { elements: 32, bytes: 24 },
  Q8_0: { elements: 32, bytes: 34 },
  Q2_K: { elements: 256, bytes: 84 },
  Q3_K: { elements: 256, bytes: 110 },
  Q4_K: { elements: 256, bytes: 144 },
  Q5_K: { elements: 256, bytes: 176 },
  Q6_K: { elements: 256, bytes: 210 },
}

/** Product of a shape. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/**
 * Bytes that a tensor of this type and shape takes, or undefined when a row is not a whole number of blocks.
 * `shape` is row-major, outermost first.
 */
export function storedBytes(type: StoredType, shape: readonly number[]): number | undefined {
  const { elements, bytes } = storedTypes[type]
  const row = shape.at(-1) ?? 1
  return row % elements === 0 ? (elementsOf(shape) / elements) * bytes : undefined
}

/** Names and shapes of all weights of a model, in the order of the forward pass; lm_head only when it is not tied. */
export function expectedTensors(config: ModelConfig): Map<string, number[]> {
  const { hiddenSize, intermediateSize, headDim, vocabSize } = config
  const q = config.heads * headDim
  const kv = config.kvHeads * headDim
  const tensors = new Map<string, number[]>([['model.embed_tokens.weight', [vocabSize, hiddenSize]]])
  const linear = (name: string, out: number, input: number, bias: boolean) => {
    tensors.set(`${name}.weight`, [out, input])
    if (bias) tensors.set(`${name}.bias`, [out])
  }
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`
    tensors.set(`${prefix}.input_layernorm.weight`, [hiddenSize])
    linear(`${prefix}.self_attn.q_proj`, q, hiddenSize, config.qkvBias)
    linear(`${prefix}.self_attn.k_proj`, kv, hiddenSize, config.qkvBias)
    linear(`${prefix}.self_attn.v_proj`, kv, hiddenSize, config.qkvBias)
    if (config.qkNorm) {
      tensors.set(`${prefix}.self_attn.q_norm.weight`, [headDim])
      tensors.set(`${prefix}.self_attn.k_norm.weight`, [headDim])
    }
    linear(`${prefix}.self_attn.o_proj`, hiddenSize, q, config.outBias)
    tensors.set(`${prefix}.post_attention_layernorm.weight`, [hiddenSize])
    linear(`${prefix}.mlp.gate_proj`, intermediateSize, hiddenSize, config.mlpBias)
    linear(`${prefix}.mlp.up_proj`, intermediateSize, hiddenSize, config.mlpBias)
    linear(`${prefix}.mlp.down_proj`, hiddenSize, intermediateSize, config.mlpBias)
  }
  tensors.set('model.norm.weight', [hiddenSize])
  if (!config.tieWordEmbeddings) tensors.set('lm_head.weight', [vocabSize, hiddenSize])
  return tensors
}

/** Left over in old checkpoints, computed from the configuration here. */
const harmless = /(^|\.)rotary_emb\.inv_freq$/

/**
 * Holds a table against what the configuration asks for.
 * @returns the weights that are needed, in the order of the forward pass (a tied model's stored lm_head is left out)
 * @throws {BtError} BT_TENSOR_UNKNOWN, BT_TENSOR_MISSING or BT_TENSOR_SHAPE with the tensors' names
 */
export function checkTensors(where: string, config: ModelConfig, table: readonly TensorEntry[]): TensorEntry[] {
  if (config.layers > table.length) {
    const message = `${where}: the configuration asks for ${config.layers} layers, the file has ${table.length} tensors`
    throw new BtError('BT_TENSOR_MISSING', message, { remedy: 'The configuration belongs to another model.' })
  }
  const expected = expectedTensors(config)
  const found = new Map(table.map((entry) => [entry.name, entry]))
  const unknown = [...found.keys()].filter(
    (name) => !expected.has(name) && !harmless.test(name) && !(config.tieWordEmbeddings && name === 'lm_head.weight'),
  )
  if (unknown.length > 0) {
    throw new BtError('BT_TENSOR_UNKNOWN', `${where}: a ${config.family} model has no ${listNames(unknown)}`, {
      remedy: 'The file holds another architecture, or an adapter that was not merged; its config.json must say so.',
    })
  }
  const missing = [...expected.keys()].filter((name) => !found.has(name))
  if (missing.length > 0) {
    throw new BtError('BT_TENSOR_MISSING', `${where}: missing ${listNames(missing)}`, {
      remedy: 'A shard may be absent, or the configuration belongs to another model.',
    })
  }
  return [...expected].map(([name, shape]) => {
    const entry = found.get(name)!
    if (entry.shape.length === shape.length && shape.every((size, i) => size === entry.shape[i])) return entry
    const message = `${where}: ${name} is [${entry.shape}], the configuration asks for [${shape}]`
    throw new BtError('BT_TENSOR_SHAPE', message, { remedy: 'The configuration belongs to another model.' })
  })
}

function listNames(names: string[]): string {
  const shown = names.slice(0, 5).join(', ')
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown
}
