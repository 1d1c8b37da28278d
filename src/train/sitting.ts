// What happens inside a run once everything is loaded: one step, one validation, one saving at a time. run.ts puts them
// in order; a sitting lasts from one start of the process to its end.
import type { Lora, LoraTensor, Model, Runtime, StepResult, Trainer } from '../../binding.js'
import { hasCode } from '../errors.js'
import { type WriteAdapterOptions, writeAdapter } from '../models/adapter.js'
import type { OnProgress } from '../progress.js'
import type { EncodedRow } from '../text/types.js'
import { type Checkpoint, pruneCheckpoints, writeCheckpoint } from './checkpoint.js'
import { diverged, hopelessSkips } from './diverged.js'
import type { StepEvent, TrainEvent, TrainSummary } from './events.js'
import type { MemoryNeed } from './memory.js'
import type { Metrics } from './metrics.js'
import type { TrainOptions } from './options.js'
import { outOfMemory } from './out-of-memory.js'
import type { RunPlan } from './plan.js'
import type { RunRecord } from './record.js'
import type { IdentifiedRow } from './row-cache.js'
import type { Sampling } from './samples.js'
import { learningRateAt } from './schedule.js'
import { scoreStep, spikeWarning } from './spikes.js'
import { type Standing, writeState } from './state.js'
import type { WritingTools } from './written.js'

export interface Sitting {
  options: TrainOptions
  record: RunRecord
  plan: RunPlan
  /** Training rows: PackedBatch.rows are indices into them. */
  rows: IdentifiedRow[]
  validation: EncodedRow[]
  samples?: Sampling
  /** What the run was reckoned to take; undefined where it cannot be told. */
  need?: MemoryNeed
  runtime: Pick<Runtime, 'memory'>
  model: Pick<Model, 'createSampler'>
  /** Tokens that the model reads at most; 0: no limit. */
  maxPositions: number
  trainer: Pick<Trainer, 'step' | 'evaluate' | 'diagnose' | 'state'>
  lora: Lora
  /** For writing to validation rows; opened when it is first asked for. */
  writingTools: () => Promise<WritingTools>
  metrics: Metrics
  standing: Standing
  /** performance.now() when this sitting began. */
  startedAt: number
  /** The standing that this sitting began with. */
  before: Readonly<Standing>
  /** performance.now() when the last checkpoint of this sitting was written, or when it began. */
  savedAt: number
  skippedInARow: number
  onProgress?: OnProgress
}

/** Weight of the past in the smoothed loss. */
const smoothing = 0.95

export interface MadeStep {
  event: StepEvent
  endsEpoch: boolean
  warning?: Extract<TrainEvent, { type: 'warning' }>
}

/**
 * Makes optimizer step `step` and notes it. With `warning` where its loss or gradient norm stands out.
 * @throws {BtError} BT_DIVERGED after too many steps in a row without a finite gradient; BT_OUT_OF_MEMORY
 */
export async function makeStep(sitting: Sitting, step: number): Promise<MadeStep> {
  const { options, plan, standing } = sitting
  const { spikeState } = standing
  const { epoch, endsEpoch, microBatches } = plan.at(step)
  const learningRate = learningRateAt({ ...options, totalSteps: plan.steps }, step)
  const result = await sitting.trainer.step(microBatches, { learningRate, step }).catch((error: unknown) => {
    throw hasCode(error, 'BT_OUT_OF_MEMORY') ? outOfMemory(sitting, step, microBatches, error) : error
  })
  note(sitting, step, epoch, result)
  if (sitting.skippedInARow >= hopelessSkips) throw await diverged(sitting, microBatches, { learningRate, step })
  const { scores, state } = scoreStep(spikeState, result)
  standing.spikeState = state
  if (scores.spike) standing.spikes++
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
    ...scores,
  }
  const rows = scores.spike ? microBatches.flatMap((batch) => Array.from(batch.rows, idOf(sitting))) : undefined
  if (step % options.logEvery === 0 || step === plan.steps || scores.spike || event.skipped) {
    const { type: _, steps: __, etaSeconds: ___, ...line } = event
    await sitting.metrics.write({ ...line, rows })
  }
  if (!rows) return { event, endsEpoch }
  return { event, endsEpoch, warning: { type: 'warning', message: spikeWarning(event, spikeState, rows), step, rows } }
}

function idOf({ rows }: Sitting): (row: number) => string {
  return (row) => rows[row]!.id
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
}

function smoothed({ lossMean, lossWeight }: Standing): number {
  return lossWeight > 0 ? lossMean / lossWeight : Number.NaN
}

/** Mean of this sitting; validation and saving left aside. */
function secondsPerStep({ standing, before }: Sitting): number {
  return (standing.stepMilliseconds - before.stepMilliseconds) / 1000 / (standing.step - before.step)
}

/** The adapter as it is now, with the word on what it is. */
export function adapterOf({ options, record, standing }: Sitting, tensors: LoraTensor[]): WriteAdapterOptions {
  const { r, alpha, dropout, targets, rsLora } = options
  const training = { state: 'running', selectedStep: standing.step } as const
  const btNative: RunRecord = { ...record, training }
  return { baseModel: record.model.reference, r, alpha, dropout, targets, rsLora, tensors, btNative }
}

/** Whether --save-every asks for a checkpoint after the step that was just made. */
export function wantsCheckpoint({ options: { saveEvery }, standing, savedAt }: Sitting): boolean {
  if (typeof saveEvery === 'string') return performance.now() - savedAt >= 1000 * secondsOf(saveEvery)
  return saveEvery > 0 && standing.step % saveEvery === 0
}

const unitSeconds: Record<string, number> = { s: 1, min: 60, h: 3600 }

/** "10min" in seconds. */
function secondsOf(time: string): number {
  const [, number, unit] = /^([\d.]+)(\D+)$/.exec(time)!
  return Number(number) * unitSeconds[unit!]!
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
  sitting.savedAt = performance.now()
  return checkpoint
}

/** The run in numbers, after its last checkpoint. */
export function summarize({ options, standing }: Sitting): TrainSummary {
  return {
    output: options.output,
    steps: standing.step,
    stoppedEarly: standing.stoppedEarly,
    epochs: standing.epoch,
    trainLoss: smoothed(standing),
    validationLoss: standing.validationLoss,
    rougeL: standing.rougeL,
    baseLoss: standing.baseLoss,
    selectedStep: standing.selectedStep,
    selectedLoss: standing.selectedLoss,
    tokens: standing.tokens,
    tokensPerSecond: (standing.tokens / standing.stepMilliseconds) * 1000,
    seconds: standing.seconds,
    skippedSteps: standing.skippedSteps,
    spikes: standing.spikes,
    peakMemory: standing.peakMemory,
    peakDeviceMemory: standing.peakDeviceMemory,
  }
}
