// What happens inside a run once everything is loaded: one step, one validation, one saving at a time. run.ts puts them
// in order; a sitting lasts from one start of the process to its end.
import type { Lora, LoraTensor, Runtime, StepResult, Trainer } from '../../binding.js'
import { BtError, hasCode } from '../errors.js'
import { type WriteAdapterOptions, writeAdapter } from '../models/adapter.js'
import type { OnProgress } from '../progress.js'
import type { EncodedRow } from '../text/types.js'
import { type Checkpoint, pruneCheckpoints, writeCheckpoint } from './checkpoint.js'
import type { StepEvent, TrainSummary, ValidationEvent } from './events.js'
import type { MemoryNeed } from './memory.js'
import type { Metrics } from './metrics.js'
import type { TrainOptions } from './options.js'
import { outOfMemory } from './out-of-memory.js'
import type { RunPlan } from './plan.js'
import type { RunRecord } from './record.js'
import { learningRateAt } from './schedule.js'
import { type Standing, writeState } from './state.js'
import { validationLoss } from './validate.js'

export interface Sitting {
  options: TrainOptions
  record: RunRecord
  plan: RunPlan
  validation: EncodedRow[]
  /** What the run was reckoned to take; undefined where it cannot be told. */
  need?: MemoryNeed
  runtime: Pick<Runtime, 'memory'>
  trainer: Pick<Trainer, 'step' | 'evaluate' | 'state'>
  lora: Pick<Lora, 'tensors'>
  metrics: Metrics
  standing: Standing
  /** performance.now() when this sitting began. */
  startedAt: number
  /** The standing that this sitting began with. */
  before: Readonly<Standing>
  skippedInARow: number
  onProgress?: OnProgress
}

/** Weight of the past in the smoothed loss. */
const smoothing = 0.95

/** Skipped steps in a row after which a run is given up: enough for FP16's scale to come down from 65536 to below 1. */
const hopelessSkips = 24

/**
 * Makes optimizer step `step` and notes it.
 * @throws {BtError} BT_DIVERGED after too many steps in a row without a finite gradient; BT_OUT_OF_MEMORY
 */
export async function makeStep(sitting: Sitting, step: number): Promise<{ event: StepEvent; endsEpoch: boolean }> {
  const { options, plan, standing } = sitting
  const { epoch, endsEpoch, microBatches } = plan.at(step)
  const learningRate = learningRateAt({ ...options, totalSteps: plan.steps }, step)
  const result = await sitting.trainer.step(microBatches, { learningRate, step }).catch((error: unknown) => {
    throw hasCode(error, 'BT_OUT_OF_MEMORY') ? outOfMemory(sitting, step, microBatches, error) : error
  })
  note(sitting, step, epoch, result)
  const event: StepEvent = {
    type: 'step',
    step,
    steps: plan.steps,
    epoch,
    ...result,
    smoothedLoss: smoothed(standing),
    learningRate,
    tokensPerSecond: (result.tokens / result.milliseconds) * 1000,
    etaSeconds: secondsPerStep(sitting) * (plan.steps - step),
  }
  if (step % options.logEvery === 0 || step === plan.steps) {
    const { type: _, steps: __, etaSeconds: ___, ...line } = event
    await sitting.metrics.write(line)
  }
  return { event, endsEpoch }
}

function note(sitting: Sitting, step: number, epoch: number, result: StepResult): void {
  const { standing } = sitting
  standing.step = step
  standing.epoch = epoch
  standing.tokens += result.tokens
  standing.stepMilliseconds += result.milliseconds
  sitting.skippedInARow = result.skipped ? sitting.skippedInARow + 1 : 0
  if (result.skipped) standing.skippedSteps++
  if (Number.isFinite(result.loss)) {
    standing.lossMean = smoothing * standing.lossMean + (1 - smoothing) * result.loss
    standing.lossWeight = smoothing * standing.lossWeight + (1 - smoothing)
  }
  if (sitting.skippedInARow < hopelessSkips) return
  throw new BtError('BT_DIVERGED', `step ${step}: no finite gradient in the last ${hopelessSkips} steps`, {
    remedy: 'Lower --learning-rate, or use --precision fp32; the last checkpoint is from before.',
  })
}

function smoothed({ lossMean, lossWeight }: Standing): number {
  return lossWeight > 0 ? lossMean / lossWeight : Number.NaN
}

/** Mean of this sitting; validation and saving left aside. */
function secondsPerStep({ standing, before }: Sitting): number {
  return (standing.stepMilliseconds - before.stepMilliseconds) / 1000 / (standing.step - before.step)
}

/**
 * Loss over the validation rows, noted and compared with the best so far; undefined where there are none.
 * @throws the signal's reason, where one is given and it is aborted
 */
export async function validate(sitting: Sitting, signal?: AbortSignal): Promise<ValidationEvent | undefined> {
  const { standing, validation } = sitting
  if (validation.length === 0) return undefined
  const started = performance.now()
  const loss = await validationLoss(sitting.trainer, validation, { onProgress: sitting.onProgress, signal })
  const { step, epoch } = standing
  if (step === 0) standing.baseLoss = loss
  standing.validationLoss = loss
  const best = step > 0 && loss < (standing.bestLoss ?? Number.POSITIVE_INFINITY)
  if (best) standing.bestLoss = loss
  const baseLoss = standing.baseLoss ?? Number.NaN
  const seconds = (performance.now() - started) / 1000
  await sitting.metrics.write({ step, epoch, validationLoss: loss, seconds })
  return { type: 'validation', step, epoch, loss, baseLoss, best, seconds }
}

/** Writes the adapter into the output folder, where a reader sees the old one or the new one. */
export async function handOver(sitting: Sitting, selectedLoss: number | undefined): Promise<void> {
  const { standing, options, lora } = sitting
  standing.selectedStep = standing.step
  standing.selectedLoss = selectedLoss
  await writeAdapter(options.output, adapterOf(sitting, await lora.tensors()))
}

/** The adapter as it is now, with the word on what it is. */
function adapterOf({ options, record, standing }: Sitting, tensors: LoraTensor[]): WriteAdapterOptions {
  const { r, alpha, dropout, targets, rsLora } = options
  const training = { state: 'running', selectedStep: standing.step } as const
  const btNative: RunRecord = { ...record, training }
  return { baseModel: record.model.reference, r, alpha, dropout, targets, rsLora, tensors, btNative }
}

/** Saves everything that the next step depends on. */
export async function saveCheckpoint(sitting: Sitting): Promise<Checkpoint> {
  const { standing, options } = sitting
  const memory = await sitting.runtime.memory()
  standing.seconds = sitting.before.seconds + (performance.now() - sitting.startedAt) / 1000
  standing.peakMemory = Math.max(standing.peakMemory, memory.peakResident)
  standing.peakDeviceMemory = Math.max(standing.peakDeviceMemory, memory.devicePeak)
  await sitting.metrics.sync()
  const tensors = await sitting.lora.tensors()
  const state = await sitting.trainer.state()
  const checkpoint = await writeCheckpoint(options.output, standing.step, async (folder) => {
    await writeAdapter(folder, adapterOf(sitting, tensors))
    await writeState(folder, standing, state)
  })
  await pruneCheckpoints(options.output, options.keep)
  return checkpoint
}

/** The run in numbers, after its last checkpoint. */
export function summarize({ options, plan, standing }: Sitting): TrainSummary {
  return {
    output: options.output,
    steps: plan.steps,
    epochs: standing.epoch,
    trainLoss: smoothed(standing),
    validationLoss: standing.validationLoss,
    baseLoss: standing.baseLoss,
    selectedStep: standing.selectedStep,
    selectedLoss: standing.selectedLoss,
    tokens: standing.tokens,
    tokensPerSecond: (standing.tokens / standing.stepMilliseconds) * 1000,
    seconds: standing.seconds,
    skippedSteps: standing.skippedSteps,
    peakMemory: standing.peakMemory,
    peakDeviceMemory: standing.peakDeviceMemory,
  }
}
