// Memory that a run takes at its peak, reckoned from headers, rows and options, with nothing loaded.
import type { Dtype, ModelConfig } from '../../binding.js'
import { type Precision, precisionDtypes } from '../generate/machine.js'
import type { ModelSource } from '../models/types.js'
import { readProcessor } from '../native/processor.js'
import { dtypeBytes, groupBuffers, type StepShape, stepBuffers, trainableWeights } from './footprint.js'
import type { TrainOptions } from './options.js'
import type { Workload } from './workload.js'

/** Bytes. */
export interface MemoryNeed {
  /** Node, libtorch and what its libraries keep: measured, not reckoned. */
  runtime: number
  /** Frozen weights. */
  weights: number
  /** LoRA weights and their gradients, and the copy in the type of the frozen ones. */
  adapter: number
  /** AdamW's two moments. */
  optimizer: number
  /** Of all layers, kept for backward. */
  activations: number
  /** Logits of a chunk of scored rows, and the gradient of what they are made from. */
  logits: number
  /** Of one layer, forward and backward. */
  working: number
  total: number
}

/** What tells the memory of a run. */
export interface RunShape extends StepShape {
  /** Weights of the model, tied ones once. */
  parameters: number
}

/** Of a run with these options on that device. */
export function runShape(
  { r, targets, dropout, recompute }: TrainOptions,
  { config, parameters }: Pick<ModelSource, 'config' | 'parameters'>,
  { device, precision }: { device: 'cpu' | 'cuda'; precision: Precision },
): RunShape {
  return { config, parameters, dtype: precisionDtypes[precision], device, r, targets, dropout, recompute }
}

/**
 * Measured, not reckoned: Node 20 with libtorch 2.11 for the CPU and a run's rows take some 200 MB before the first step,
 * and what oneDNN keeps for the shapes of products (native/loader.cc bounds it) some 100 MB.
 */
const runtimeBytes = 300e6

/** The run's memory at its peak. */
export function memoryNeed(
  shape: RunShape,
  { training, validation }: Pick<Workload, 'training' | 'validation'>,
): MemoryNeed {
  const { config, dtype, parameters } = shape
  const trainable = trainableWeights(shape)
  const bytes = dtypeBytes[dtype]
  const { activations, logits, working } = groupBuffers(stepBuffers(shape, training, validation))
  const parts = {
    runtime: runtimeBytes,
    weights: parameters * bytes,
    adapter: trainable * (4 + 4 + (dtype === 'float32' ? 0 : bytes)),
    optimizer: trainable * 8,
    activations,
    logits,
    working: working + attentionScratch(config, dtype, training),
  }
  return { ...parts, total: Object.values(parts).reduce((total, part) => total + part, 0) }
}

/** What attention packs of keys and values while it computes one layer (kernels/attention_avx512.h). */
function attentionScratch(
  { kvHeads, headDim }: ModelConfig,
  dtype: Dtype,
  { tokens, rows }: { tokens: number; rows: number },
) {
  const packedWidth = 16
  return 2 * kvHeads * headDim * (tokens + rows * packedWidth) * dtypeBytes[dtype]
}

/** Whether what the rows of a batch begin with is computed once: as CpuOps::servesPrefix() and the engine decide. */
export function sharesPrefix({ config, dtype, device, dropout }: StepShape): boolean {
  if (device !== 'cpu' || dropout > 0 || config.headDim % 32 !== 0 || config.headDim > 256) return false
  const { avx512, avx512Bf16, amxBf16 } = readProcessor()
  if (dtype === 'bfloat16') return avx512 && avx512Bf16 && !amxBf16
  return dtype === 'float32' && avx512
}
