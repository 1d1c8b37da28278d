// Bytes that a training step needs, buffer by buffer, as native/model/fused.cc, model/adapter_products.cc and
// train/loss.cc take them. A test holds the names and sizes here to those that a trainer tells of itself.
import type { Dtype, ModelConfig, TargetModule } from '../../binding.js'

/** What decides the size of buffers beside the batch. */
export interface StepShape {
  config: ModelConfig
  dtype: Dtype
  device: 'cpu' | 'cuda'
  r: number
  targets: TargetModule[]
  dropout: number
  recompute: boolean
}

/** Largest batch: of these two numbers each for itself, over all batches. */
export interface BatchTokens {
  /** Tokens that are computed; what rows share counts once. */
  tokens: number
  scored: number
}

export const dtypeBytes: Record<Dtype, number> = { float32: 4, bfloat16: 2, float16: 2 }

/** Path of each target in a layer: its matrices' name. */
const targetPaths: Record<TargetModule, string> = {
  q_proj: 'self_attn.q_proj',
  k_proj: 'self_attn.k_proj',
  v_proj: 'self_attn.v_proj',
  o_proj: 'self_attn.o_proj',
  gate_proj: 'mlp.gate_proj',
  up_proj: 'mlp.up_proj',
  down_proj: 'mlp.down_proj',
}
/** In the last layer these are computed for rows that predict a scored token alone. */
const aboveAttention: readonly TargetModule[] = ['o_proj', 'gate_proj', 'up_proj', 'down_proj']

interface Widths {
  hidden: number
  inner: number
  q: number
  kv: number
}

function widthsOf({ hiddenSize, intermediateSize, heads, kvHeads, headDim }: ModelConfig): Widths {
  return { hidden: hiddenSize, inner: intermediateSize, q: heads * headDim, kv: kvHeads * headDim }
}

/** Input and output width of a projection. */
export function targetWidths(config: ModelConfig, target: TargetModule): { input: number; output: number } {
  const { hidden, inner, q, kv } = widthsOf(config)
  const output = {
    q_proj: q,
    k_proj: kv,
    v_proj: kv,
    o_proj: hidden,
    gate_proj: inner,
    up_proj: inner,
    down_proj: hidden,
  }
  return { input: target === 'o_proj' ? q : target === 'down_proj' ? inner : hidden, output: output[target] }
}

/** Trainable weights: A and B of each target in each layer. */
export function trainableWeights({ config, r, targets }: Pick<StepShape, 'config' | 'r' | 'targets'>): number {
  const perLayer = targets
    .map((target) => targetWidths(config, target))
    .map(({ input, output }) => r * (input + output))
  return config.layers * sum(perLayer)
}

/** Bytes of logits that are computed at a time. */
const chunkBytes = { cpu: 2 ** 25, cuda: 2 ** 29 }

/**
 * Bytes of each buffer that the fused engine keeps from step to step, all layers together, under the names that
 * `trainer.buffers()` gives (on a CPU; on a GPU libtorch's allocator and flash attention take more).
 * @param validation largest batch that is evaluated between steps; none: nothing is
 */
export function stepBuffers(
  shape: StepShape,
  training: BatchTokens,
  validation: BatchTokens = { tokens: 0, scored: 0 },
): Record<string, number> {
  const { config, r, targets, dropout, recompute } = shape
  const { layers, heads, kvHeads, qkNorm, vocabSize } = config
  const { hidden, inner, q, kv } = widthsOf(config)
  const bytes = dtypeBytes[shape.dtype]
  const tokens = Math.max(training.tokens, validation.tokens)
  const scored = Math.max(training.scored, validation.scored)
  // Without backward all layers share the buffers of the first; those of the last then hold `scored` rows.
  const first = layers > 1 ? tokens : scored
  const kept = tokens + (recompute ? 0 : (layers - 1) * training.tokens)
  const keptAbove = layers === 1 || recompute ? first : first + (layers - 2) * training.tokens + training.scored
  const inputs = layers === 1 ? tokens + scored : 2 * tokens + (layers - 2) * training.tokens + training.scored
  const isAbove = (target: TargetModule) => aboveAttention.includes(target)
  const rowsOf = (target: TargetModule) =>
    isAbove(target) ? (layers > 1 ? training.tokens : training.scored) : training.tokens

  const buffers: Record<string, number> = {
    // Forward: of each layer what backward needs of it,
    x: inputs * hidden * bytes,
    inverse: kept * 4,
    q: kept * q * bytes,
    k: kept * kv * bytes,
    v: kept * kv * bytes,
    logSumExp: kept * heads * 4,
    attended: kept * q * bytes,
    mid: keptAbove * hidden * bytes,
    inverseMid: keptAbove * 4,
    gateUp: keptAbove * 2 * inner * bytes,
    qkv: (qkNorm ? kept : tokens) * (q + 2 * kv) * bytes,
    // and what they share.
    tokenIds: tokens * 8,
    predicting: scored * 8,
    normed: tokens * hidden * bytes,
    residual: scored * hidden * bytes,
    attendedChosen: scored * q * bytes,
    inside: first * inner * bytes,
    hidden: scored * hidden * bytes,
    finalInverse: scored * 4,
    logits: Math.min(scored, chunkRows(shape)) * vocabSize * bytes,
    gradHidden: training.scored * hidden * bytes,
    // Backward.
    dx: training.scored * hidden * bytes,
    dxAll: training.tokens * hidden * bytes,
    dAttended: (layers > 1 ? training.tokens : training.scored) * q * bytes,
    dAttendedAll: training.tokens * q * bytes,
    dq: training.tokens * q * bytes,
    dk: training.tokens * kv * bytes,
    dv: training.tokens * kv * bytes,
    dqkv: training.tokens * (q + 2 * kv) * bytes,
    dNormed: (layers > 1 ? training.tokens : training.scored) * hidden * bytes,
    dNarrow: Math.max(...targets.map(rowsOf)) * r * bytes,
  }
  if (qkNorm) {
    buffers.inverseHeads = kept * (heads + kvHeads) * 4
    buffers.qkvNormed = tokens * (q + 2 * kv) * bytes
  }
  for (const target of targets) buffers[targetPaths[target]] = (isAbove(target) ? keptAbove : kept) * r * bytes
  if (targets.includes('down_proj'))
    buffers.insideAgain = (layers > 1 ? training.tokens : training.scored) * inner * bytes
  const widths = targets.map((target) => targetWidths(config, target))
  if (shape.dtype !== 'float32') {
    buffers.product = Math.max(...widths.map(({ input, output }) => r * Math.max(input, output))) * bytes
  }
  if (dropout > 0) {
    buffers.mask = training.tokens * Math.max(...widths.map(({ input }) => input)) * 4
    buffers.dropped = Math.max(...targets.map((target, at) => rowsOf(target) * widths[at]!.input)) * bytes
  }
  return buffers
}

/** Rows of logits that are computed at a time. */
function chunkRows({ config, dtype, device }: StepShape): number {
  return Math.max(16, Math.floor(chunkBytes[device] / (config.vocabSize * dtypeBytes[dtype])))
}

/** Buffers that hold activations of layers for backward; the others are shared, or of the loss. */
const perLayer = new Set([
  'x',
  'inverse',
  'q',
  'k',
  'v',
  'logSumExp',
  'attended',
  'mid',
  'inverseMid',
  'gateUp',
  'inverseHeads',
])
const ofLoss = new Set(['logits', 'gradHidden'])

/** The buffers in three sums: of the layers for backward, of the loss, and working memory. */
export function groupBuffers(buffers: Record<string, number>): {
  activations: number
  logits: number
  working: number
} {
  const groups = { activations: 0, logits: 0, working: 0 }
  for (const [name, bytes] of Object.entries(buffers)) {
    if (ofLoss.has(name)) groups.logits += bytes
    else groups[perLayer.has(name) || name.includes('.') ? 'activations' : 'working'] += bytes
  }
  return groups
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
