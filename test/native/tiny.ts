// A model small enough to run in milliseconds: random F32 weights in one raw file, and batches over it.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type {
  LoadModelOptions,
  LoraOptions,
  ModelConfig,
  PackedBatch,
  SamplerOptions,
  TensorEntry,
  TrainerOptions,
} from '../../binding.js'

export const tinyConfig: ModelConfig = {
  family: 'llama',
  vocabSize: 64,
  hiddenSize: 32,
  intermediateSize: 48,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 8,
  rmsNormEps: 1e-5,
  ropeTheta: 10000,
  qkvBias: false,
  outBias: false,
  mlpBias: false,
  qkNorm: false,
  tieWordEmbeddings: true,
  slidingWindow: 0,
  maxPositions: 4096,
}

/** Names and shapes of every weight that `config` needs. */
export function weightShapes(config: ModelConfig): [string, number[]][] {
  const { hiddenSize: hidden, intermediateSize: inner, headDim } = config
  const list: [string, number[]][] = [['model.embed_tokens.weight', [config.vocabSize, hidden]]]
  for (let layer = 0; layer < config.layers; layer++) {
    const at = (name: string, shape: number[]) => list.push([`model.layers.${layer}.${name}.weight`, shape])
    at('input_layernorm', [hidden])
    at('self_attn.q_proj', [config.heads * headDim, hidden])
    at('self_attn.k_proj', [config.kvHeads * headDim, hidden])
    at('self_attn.v_proj', [config.kvHeads * headDim, hidden])
    if (config.qkNorm) {
      at('self_attn.q_norm', [headDim])
      at('self_attn.k_norm', [headDim])
    }
    at('self_attn.o_proj', [hidden, config.heads * headDim])
    at('post_attention_layernorm', [hidden])
    at('mlp.gate_proj', [inner, hidden])
    at('mlp.up_proj', [inner, hidden])
    at('mlp.down_proj', [hidden, inner])
  }
  list.push(['model.norm.weight', [hidden]])
  if (!config.tieWordEmbeddings) list.push(['lm_head.weight', [config.vocabSize, hidden]])
  return list
}

/** Writes random weights for `config` to a temporary file. The same weights every time. */
export function tinyModel(config: ModelConfig = tinyConfig): LoadModelOptions {
  const shapes = weightShapes(config)
  const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1)
  const data = new Float32Array(shapes.reduce((sum, [, shape]) => sum + size(shape), 0))
  const random = xorshift(1)
  const tensors: TensorEntry[] = []
  let start = 0
  for (const [name, shape] of shapes) {
    const end = start + size(shape)
    const norm = name.includes('norm')
    for (let i = start; i < end; i++) data[i] = norm ? 1 + 0.1 * random() : 0.2 * random()
    tensors.push({ name, type: 'F32', shape, file: 0, offset: start * 4, byteLength: (end - start) * 4 })
    start = end
  }
  const path = join(mkdtempSync(join(tmpdir(), 'bt-tiny-')), 'weights.bin')
  writeFileSync(path, data)
  return { config, files: [path], tensors, dtype: 'float32' }
}

/** `rows` rows of `length` tokens, the later half of each scored. */
export function tinyBatch(rows = 2, length = 12, vocab = tinyConfig.vocabSize): PackedBatch {
  const random = xorshift(rows * 1000 + length)
  const scored: number[] = []
  for (let row = 0; row < rows; row++) {
    for (let i = Math.floor(length / 2); i < length; i++) scored.push(row * length + i)
  }
  return {
    tokens: Int32Array.from({ length: rows * length }, () => Math.floor(((random() + 1) / 2) * vocab)),
    cuSeqlens: Int32Array.from({ length: rows + 1 }, (_, row) => row * length),
    scored: Int32Array.from(scored),
    rows: Int32Array.from({ length: rows }, (_, row) => row),
  }
}

export const tinyLora: LoraOptions = { r: 4, alpha: 8, targets: ['q_proj', 'v_proj'], dropout: 0, seed: 1 }

export const tinyTrainer: TrainerOptions = {
  precision: 'fp32',
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0,
  maxGradNorm: 1,
  seed: 1,
}

export const tinySampler: SamplerOptions = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  seed: 1,
  maxSequences: 4,
  maxTokens: 64,
  stopTokens: [],
}

/** Uniform in [-1, 1). */
function xorshift(seed: number): () => number {
  let state = seed * 2654435761
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state / 2147483648
  }
}
