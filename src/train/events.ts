// What a training run tells whoever watches, in the order in which it happens.
import type { TargetModule } from '../../binding.js'
import type { TemplateDescription } from '../text/types.js'
import type { Sample } from './samples.js'
import type { StepScores } from './spikes.js'

/** Rows left out of training, or shortened for it. */
export interface RowCounts {
  train: number
  validation: number
  /** Rows that data preparation dropped, by reason. */
  dropped: { reason: string; count: number; examples: string[] }[]
  /** Rows whose context was cut to fit, and the tokens that went. */
  cutRows: number
  cutTokens: number
  /** Targets of the training rows: more than there are rows where conversations hold several. */
  targets: number
  /** Targets left out because they alone do not fit: how many, and the first few ids of their rows. */
  tooLong: number
  tooLongExamples: string[]
  /** Tokens of the training rows, and those among them that are scored. */
  tokens: number
  scoredTokens: number
}

/** How much there is to do. */
export interface PlanEvent {
  type: 'plan'
  steps: number
  stepsPerEpoch: number
  epochs: number
  rowsPerStep: number
  tokensPerStep: number
  /** Bytes that the run is reckoned to take at its peak, as planTraining() does; undefined for the reference engine. */
  memory?: number
}

export interface StepEvent extends StepScores {
  type: 'step'
  step: number
  steps: number
  /** Passes over the data, with the fraction of the current one. */
  epoch: number
  /** Nats per scored token. */
  loss: number
  /** Exponential mean of the loss (0.95), corrected for its start. */
  smoothedLoss: number
  /** L2 before clipping. */
  gradNorm: number
  learningRate: number
  tokens: number
  scoredTokens: number
  tokensPerSecond: number
  /** FP16 loss scale; 1 in other precisions. */
  scale: number
  /** The gradient was not finite: weights untouched. */
  skipped: boolean
  milliseconds: number
  /** Seconds to the last step, at the pace so far. */
  etaSeconds: number
}

/** A validation was made. */
export interface ValidationEvent {
  type: 'validation'
  /** 0: the base model, before training. */
  step: number
  epoch: number
  /** Nats per scored token. */
  loss: number
  /** ROUGE-L F1 of what is written for the first validation rows, from 0 to 100: with --best-by rouge-l. */
  rougeL?: number
  /** That of the base model. */
  baseLoss: number
  /** Best so far, by what --best-by says. */
  best: boolean
  /** Validations in a row that brought nothing better by --min-change. */
  stale: number
  seconds: number
}

/** None of the last `patience` validations was better by more than `minChange` than the best before it. */
export interface EarlyStopEvent {
  type: 'early-stop'
  step: number
  steps: number
  patience: number
  minChange: number
  /** What is compared: nats of loss, or ROUGE-L from 0 to 100. */
  bestBy: 'loss' | 'rouge-l'
  /** The best of all, which may be one of the last ones; undefined where no score was finite. */
  bestStep?: number
  bestScore?: number
}

/** What a run came to. */
export interface TrainSummary {
  output: string
  /** Made, not planned: fewer when nothing got better. */
  steps: number
  stoppedEarly: boolean
  epochs: number
  /** Exponential mean of the training loss at the end; nats per scored token. */
  trainLoss: number
  /** Of the last evaluation, of the base model, and of the adapter that was handed over. */
  validationLoss?: number
  baseLoss?: number
  /** Of the last evaluation, with --best-by rouge-l. */
  rougeL?: number
  selectedStep: number
  selectedLoss?: number
  tokens: number
  /** Useful tokens a second of training steps, validation and saving left aside. */
  tokensPerSecond: number
  /** Wall time, all sittings together. */
  seconds: number
  skippedSteps: number
  /** Steps whose loss or gradient norm stood out. */
  spikes: number
  /** Bytes: resident, and on the device. */
  peakMemory: number
  peakDeviceMemory: number
}

/** What train() tells as it goes. */
export type TrainEvent =
  | { type: 'machine'; device: 'cpu' | 'cuda'; precision: 'fp32' | 'bf16' | 'fp16'; threads: number; detail: string }
  | { type: 'model'; name: string; layers: number; parameters: number; dtype: string; seconds: number }
  | ({ type: 'data'; file: string; seconds: number } & RowCounts)
  | ({ type: 'template' } & TemplateDescription)
  | { type: 'lora'; r: number; alpha: number; targets: TargetModule[]; trainable: number; share: number }
  | PlanEvent
  | { type: 'resumed'; step: number; steps: number; checkpoint: string }
  | StepEvent
  | ValidationEvent
  | { type: 'checkpoint'; step: number; folder: string }
  | { type: 'adapter'; step: number; epoch: number; folder: string }
  | EarlyStopEvent
  /** What the adapter so far writes for a few held-back rows, at the end of an epoch. */
  | { type: 'samples'; step: number; epoch: number; samples: Sample[] }
  /** step, rows: of a spike, the step and the ids of all rows that it was computed from. */
  | { type: 'warning'; message: string; step?: number; rows?: string[] }
  | { type: 'interrupted'; step: number; steps: number; checkpoint: string }
  | ({ type: 'finished' } & TrainSummary)
  | ({ type: 'already-finished' } & TrainSummary)
