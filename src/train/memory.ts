// Memory that a run takes at its peak, reckoned from headers, rows and options, with nothing loaded.
import type { Dtype, ModelConfig } from '../../binding.js'
import { type Precision, precisionDtypes } from '../generate/machine.js'
import type { ModelSource } from '../models/types.js'
import { readProcessor } from '../native/processor.js'
import { dtypeBytes, groupBuffers, type StepShape, stepBuffers, trainableWeights } from './footprint.js'
import type { TrainOptions } from './options.js'
import type { Workload } from './workload.js'
import type { WritingSize } from './writing-size.js'
import { sequences } from './written.js'

/** Bytes. */
export interface MemoryNeed {
  /** Node, libtorch and what its libraries keep: measured, not reckoned. */
  runtime: number
  /** The tokenizer, where it is needed, and what encoding the rows leaves behind. */
  text: number
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
  /** Keys and values while held-back rows are written for: samples, and --best-by rouge-l. */
  writing: number
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

/** Measured, not reckoned: Node 20 with libtorch 2.11 for the CPU and a run's rows, before the first step. */
const runtimeBytes = 200e6
/** Measured, too: what MKL (FP32) and oneDNN keep for the shapes of products, of which native/loader.cc bounds the number. */
const productBytes: Record<Dtype, number> = { float32: 25e6, bfloat16: 100e6, float16: 100e6 }
/** What opening a tokenizer takes for each entry of its vocabulary: measured with 49,152 of them. */
const tokenizerBytes = 2000
/** Left over from encoding rows, some hundred at a time: measured. */
const encodingBytes = 50e6

/** What a run takes beside its steps. */
export interface BesideSteps {
  /** What is held while it writes for held-back rows; undefined where it does not. */
  writing?: WritingSize
  /** Whether it encodes its rows itself. */
  fresh: boolean
}

/** The run's memory at its peak. */
export function memoryNeed(
  shape: RunShape,
  { training, validation }: Pick<Workload, 'training' | 'validation'>,
  { writing, fresh }: BesideSteps,
): MemoryNeed {
  const { config, dtype, parameters } = shape
  const trainable = trainableWeights(shape)
  const bytes = dtypeBytes[dtype]
  const { activations, logits, working } = groupBuffers(stepBuffers(shape, training, validation))
  const parts = {
    runtime: runtimeBytes + productBytes[dtype],
    text: (writing || fresh ? config.vocabSize * tokenizerBytes : 0) + (fresh ? encodingBytes : 0),
    weights: parameters * bytes,
    adapter: trainable * (4 + 4 + (dtype === 'float32' ? 0 : bytes)),
    optimizer: trainable * 8,
    activations,
    logits,
    working: working + attentionScratch(config, dtype, training),
    writing: writing ? writingBytes(config, dtype, writing) : 0,
  }
  return { ...parts, total: Object.values(parts).reduce((total, part) => total + part, 0) }
}

/** Keys and values of the rows that are written for side by side, and one layer of their prompts (native/model/decoder.cc). */
function writingBytes(config: ModelConfig, dtype: Dtype, { cached, read }: WritingSize): number {
  const { layers, hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = config
  const keysAndValues = 2 * layers * kvHeads * headDim * cached
  const ofALayer = read * (4 * hiddenSize + 3 * intermediateSize + (heads + 2 * kvHeads) * headDim)
  return (keysAndValues + ofALayer) * dtypeBytes[dtype] + sequences * vocabSize * 4
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
