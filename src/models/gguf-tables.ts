// GGUF's names and numbers, both ways: types of tensors, types of metadata, and what each weight is called.
import type { StoredType } from '../../binding.js'

/** ggml_type -> name, for the types that can be read. */
export const ggmlTypes: Readonly<Record<number, StoredType>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  6: 'Q5_0',
  7: 'Q5_1',
  8: 'Q8_0',
  10: 'Q2_K',
  11: 'Q3_K',
  12: 'Q4_K',
  13: 'Q5_K',
  14: 'Q6_K',
  30: 'BF16',
}

/** Number of a type in a tensor's entry. */
export function ggmlTypeNumber(type: StoredType): number {
  return Number(Object.keys(ggmlTypes).find((number) => ggmlTypes[Number(number)] === type))
}

/** gguf_metadata_value_type. */
export const valueType = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const

/** GGUF's names within a block -> Hugging Face's. */
const blockNames: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}

const topNames: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
}

const reversed = (names: Readonly<Record<string, string>>) =>
  new Map(Object.entries(names).map(([gguf, hub]) => [hub, gguf]))
const hubBlocks = reversed(blockNames)
const hubTops = reversed(topNames)

/** Hugging Face's name; one that is not known stays, and is refused by that name later. */
export function hubName(name: string): string {
  const [, layer, part, kind] = /^blk\.(\d+)\.([a-z_]+)\.(weight|bias)$/.exec(name) ?? []
  const block = part !== undefined && Object.hasOwn(blockNames, part) ? blockNames[part] : undefined
  if (block !== undefined) return `model.layers.${layer}.${block}.${kind}`
  return (Object.hasOwn(topNames, name) ? topNames[name] : undefined) ?? name
}

/** GGUF's name of one of expectedTensors(). */
export function ggufName(name: string): string {
  const [, layer, part, kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? []
  const block = part === undefined ? undefined : hubBlocks.get(part)
  return block === undefined ? hubTops.get(name)! : `blk.${layer}.${block}.${kind}`
}
