// `plan`: what a run will take, told before libtorch or a weight is opened: memory from headers, rows and options; time
// from what earlier runs were measured at, else from a product that is timed now.
import { availableParallelism } from 'node:os'
import type { Dtype, ModelConfig } from '../../binding.js'
import { BtError } from '../errors.js'
import type { Precision } from '../generate/machine.js'
import { generateSchema } from '../generate/options.js'
import { driverPresent } from '../native/load.js'
import { availableMemory, memoryLimit } from '../native/memory.js'
import { readProcessor } from '../native/processor.js'
import { coreInfo, openRuntime } from '../native/runtime.js'
import { dtypeBytes } from './footprint.js'
import { type BesideSteps, type MemoryNeed, memoryNeed, type RunShape, runShape, sharesPrefix } from './memory.js'
import { completeOptions, type TrainInput, type TrainOptions } from './options.js'
import { prepare } from './prepare.js'
import type { EncodedRows } from './row-cache.js'
import type { PrepareControl } from './rows.js'
import { readSpeed } from './speeds.js'
import { stepWork } from './work.js'
import { workloadOf } from './workload.js'
import { writingSize } from './writing-size.js'

/** For which device to plan. */
export interface PlanControl extends PrepareControl {
  /** Bytes of the device; else what this machine (or its GPU) has, within control group and ulimit. */
  memory?: number
}

/** One way to cut a step into batches. */
export interface SplitPlan {
  batchSize: number
  /** Undefined where a step is filled by tokens. */
  gradAccumSteps?: number
  recompute: boolean
  /** Tokens of the largest batch that are computed: what its rows begin with counts once. */
  tokens: number
  /** Bytes at the peak of the run. */
  memory: number
  fits: boolean
}

/** How long a run would take. */
export interface TimePlan {
  secondsPerStep: number
  /** Of all steps; validation and saving left aside. */
  seconds: number
  /** What it rests on: a run of this model here, or a product that was timed now. */
  basis: 'run' | 'product'
  /** That run's or that product's rate, operations a second. */
  operationsPerSecond: number
  /** Of the run that was measured. */
  tokensPerSecond?: number
  steps?: number
}

/** What a run would take. */
export interface TrainingPlan {
  model: { name: string; layers: number; parameters: number }
  device: 'cpu' | 'cuda'
  precision: Precision
  threads: number
  rows: { train: number; validation: number }
  steps: number
  rowsPerStep: number
  tokensPerStep: number
  /** Floating-point operations of a mean step. */
  operationsPerStep: number
  memory: MemoryNeed
  /** Bytes of the device, and what says so. */
  limit: { bytes: number; from: 'machine' | 'control group' | 'ulimit' | 'gpu' | 'given' }
  /** Bytes that are free now; undefined for a device that was given by its size, and for a GPU. */
  available?: number
  fits: boolean
  /** The ways to cut the same steps, fewest rows at a time first, each with and without recomputation. */
  splits: SplitPlan[]
  /** The one with most rows at a time that fits, without recomputation where both do. */
  largest?: SplitPlan
  /** Undefined where nothing was measured and libtorch does not open; `timeProblem` says why. */
  time?: TimePlan
  timeProblem?: string
  /** Generating with the adapter, every option at its default. */
  generation: { sequences: number; tokens: number; cacheBytes: number }
}

/**
 * Reckons what train() with these options would take. Nothing is written.
 * @throws {BtError} BT_USAGE for options, and for the reference engine, whose memory is libtorch's affair; what reading the
 * model and the data throws
 */
export async function planTraining(input: TrainInput, control: PlanControl = {}): Promise<TrainingPlan> {
  const options = completeOptions(input)
  if (options.engine === 'reference') {
    throw new BtError('BT_USAGE', 'engine: what the reference engine keeps for backward cannot be told', {
      remedy: 'Leave out --engine reference: the fused engine takes less.',
    })
  }
  const prepared = await prepare(options, control)
  const encoded = await prepared.encode(control)
  const { name, config, parameters, hash } = prepared.source
  const { gpuMemory, ...place } = placeOf(options)
  const shape = runShape(options, prepared.source, place)
  const workload = workloadOf(encoded, options, sharesPrefix(shape))
  // Whoever trains after this finds the rows' tokens kept.
  const beside = { writing: writingSize(options, encoded.validation, config), fresh: false }
  const memory = memoryNeed(shape, workload, beside)
  const { limit, available } = limitOf(control.memory, gpuMemory)
  const splits = splitsOf(options, encoded, { shape, beside, limit: limit.bytes })
  const operationsPerStep = stepWork(shape, workload)
  const { steps, tokensPerStep } = workload
  const rowsPerStep = options.tokensPerStep ? workload.rowsPerStep : options.batchSize * options.gradAccumSteps
  return {
    model: { name, layers: config.layers, parameters },
    ...place,
    rows: { train: encoded.train.length, validation: encoded.validation.length },
    ...{ steps, rowsPerStep, tokensPerStep, operationsPerStep, memory, limit, available, splits },
    fits: memory.total <= limit.bytes,
    largest: largestOf(splits),
    ...(await timeOf({ ...place, model: hash, engine: 'fused' }, shape.dtype, operationsPerStep, steps)),
    generation: generationOf(config, shape.dtype),
  }
}

interface Place {
  device: 'cpu' | 'cuda'
  precision: Precision
  threads: number
}

/** Where train() would compute, and how. Of a GPU libtorch is asked; a CPU tells by itself. */
function placeOf({ device, precision, threads }: TrainOptions): Place & { gpuMemory?: number } {
  const count = threads || availableParallelism()
  const gpu = device === 'cuda' || (device === 'auto' && driverPresent()) ? coreInfo({ device }).cuda[0] : undefined
  if (device === 'cuda' && !gpu) throw new BtError('BT_CUDA', 'no CUDA device can be used by this process')
  const { avx512Bf16, amxBf16 } = readProcessor()
  const fast = gpu ? Number(gpu.capability.split('.')[0]) >= 8 : avx512Bf16 || amxBf16
  const best = fast ? 'bf16' : gpu ? 'fp16' : 'fp32'
  const chosen = precision === 'auto' ? best : precision
  return { device: gpu ? 'cuda' : 'cpu', precision: chosen, threads: count, gpuMemory: gpu?.totalMemory }
}

function limitOf(given: number | undefined, gpuMemory: number | undefined): Pick<TrainingPlan, 'limit' | 'available'> {
  if (given !== undefined) return { limit: { bytes: given, from: 'given' } }
  if (gpuMemory !== undefined) return { limit: { bytes: gpuMemory, from: 'gpu' } }
  return { limit: memoryLimit(), available: availableMemory() }
}

function splitsOf(
  options: TrainOptions,
  rows: EncodedRows,
  { shape, beside, limit }: { shape: RunShape; beside: BesideSteps; limit: number },
): SplitPlan[] {
  return sizesOf(options).flatMap(({ batchSize, gradAccumSteps }) => {
    const cut = { ...options, batchSize, gradAccumSteps: gradAccumSteps ?? options.gradAccumSteps }
    const workload = workloadOf(rows, cut, sharesPrefix(shape))
    return [false, true].map((recompute) => {
      const memory = memoryNeed({ ...shape, recompute }, workload, beside).total
      const { tokens } = workload.training
      return { batchSize, ...(gradAccumSteps && { gradAccumSteps }), recompute, tokens, memory, fits: memory <= limit }
    })
  })
}

function largestOf(splits: SplitPlan[]): SplitPlan | undefined {
  const fitting = splits.filter(({ fits }) => fits)
  return fitting.toSorted((a, b) => b.batchSize - a.batchSize || Number(a.recompute) - Number(b.recompute))[0]
}

/** Numbers of rows at a time that give the very steps of these options. */
function sizesOf(options: TrainOptions): Pick<SplitPlan, 'batchSize' | 'gradAccumSteps'>[] {
  const { batchSize, gradAccumSteps, tokensPerStep } = options
  if (tokensPerStep !== undefined) {
    return [...new Set([1, 2, 4, 8, 16, 32, batchSize])].toSorted((a, b) => a - b).map((size) => ({ batchSize: size }))
  }
  const rows = batchSize * gradAccumSteps
  const divisors = Array.from({ length: rows }, (_, index) => index + 1).filter((size) => rows % size === 0)
  return divisors.map((size) => ({ batchSize: size, gradAccumSteps: rows / size }))
}

async function timeOf(
  key: Place & { model: string; engine: string },
  dtype: Dtype,
  operationsPerStep: number,
  steps: number,
): Promise<Pick<TrainingPlan, 'time' | 'timeProblem'>> {
  const known = await readSpeed(key)
  if (known) {
    const { operationsPerSecond, tokensPerSecond, steps: measured } = known
    const secondsPerStep = operationsPerStep / operationsPerSecond
    const time = { secondsPerStep, seconds: secondsPerStep * steps, basis: 'run', operationsPerSecond } as const
    return { time: { ...time, tokensPerSecond, steps: measured } }
  }
  try {
    const operationsPerSecond = await productSpeed(key, dtype)
    const secondsPerStep = operationsPerStep / operationsPerSecond
    return { time: { secondsPerStep, seconds: secondsPerStep * steps, basis: 'product', operationsPerSecond } }
  } catch (error) {
    if (!(error instanceof BtError)) throw error
    return { timeProblem: error.message }
  }
}

/**
 * Operations a second of a product that is timed for some 50 ms. Whole steps were measured at 0.5 (with AMX) to 1.4 times
 * as many (AVX-512 BF16).
 */
async function productSpeed({ device, threads }: Place, dtype: Dtype): Promise<number> {
  const runtime = await openRuntime({ device, threads })
  try {
    return (await runtime.measureGemm(dtype)) * 1e12
  } finally {
    await runtime.close()
  }
}

/** Keys and values of the rows that `generate` writes side by side by default. */
function generationOf({ layers, kvHeads, headDim }: ModelConfig, dtype: Dtype): TrainingPlan['generation'] {
  const { batchSize, maxTokens, maxNewTokens } = generateSchema.parse({ input: '-' })
  const tokens = maxTokens + maxNewTokens
  const cacheBytes = 2 * layers * kvHeads * headDim * batchSize * tokens * dtypeBytes[dtype]
  return { sequences: batchSize, tokens, cacheBytes }
}
