// A training run as plain data: all that its report and its curve in the terminal show. train/report.ts reads it from an
// output folder.

/** A line of metrics.jsonl that stands for a step. null: not finite. */
export interface ReportStep {
  step: number
  /** Passes over the data, with the fraction of the current one. */
  epoch: number
  /** Nats per scored token. */
  loss: number | null
  smoothedLoss: number | null
  /** L2 before clipping. */
  gradNorm: number | null
  learningRate: number
  tokensPerSecond: number
  /** The gradient was not finite: weights untouched. */
  skipped: boolean
  /** Deviations of loss and of the gradient norm's logarithm above their running means. */
  lossZ?: number
  gradNormZ?: number
  /** One of the two stood out. */
  spike?: boolean
  /** Ids of a spike's rows. */
  rows?: string[]
}

/** Step 0 is the base model. */
export interface ReportValidation {
  step: number
  epoch: number
  validationLoss: number | null
}

/** What was written for a held-back row. */
export interface ReportSample {
  step: number
  epoch: number
  id: string
  given: string
  reference: string
  prediction: string
  /** `stop`: the model ended it. */
  finish: string
}

/** A name and what stands beside it. */
export interface Fact {
  name: string
  value: string
  /** Worth to be seen first: an option that is not at its default. */
  marked?: boolean
}

/** A run as its folder tells it. */
export interface TrainingReport {
  /** A name for the run: its folder's. */
  title: string
  /** One line: version, model, task. */
  subtitle: string
  finished: boolean
  /** The last that there is a line of; 0 for none. */
  lastStep: number
  /** Step whose adapter lies in the folder; 0 for none yet. */
  selectedStep: number
  steps: ReportStep[]
  validations: ReportValidation[]
  samples: ReportSample[]
  /** The run in numbers. */
  summary: Fact[]
  model: Fact[]
  data: Fact[]
  /** With the laid out prompt. */
  template: Fact[]
  options: Fact[]
}
