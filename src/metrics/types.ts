// What goes into an evaluation and what comes out of it.
import type { Matched } from './match.js'
import type { Outcomes } from './paired.js'

/** One written text and what is known about it. */
export interface EvaluationRow {
  /** What the model wrote: the instruction in the backward task. */
  prediction: string
  /** The true one, where there is one. */
  reference?: string
  /** The text that the model was given: the response in the backward task. For copies, and for the first-words control. */
  response?: string
  /** Data set it came from: rows of the per-source table. */
  source?: string
  /** How writing ended; 'length' is a missing end. Other values are not counted. */
  finish?: string
}

/** How intervals and controls are made. */
export interface EvaluateOptions {
  /** Resamples of the bootstrap; 0 leaves intervals out. Default 1,000. */
  bootstrap?: number
  /** Feeds the resamples and the shuffled control. Default 0. */
  seed?: number
  /** Shufflings that the shuffled control averages over. Default: so many that 4,000 pairs are scored, from 2 to 20. */
  shuffles?: number
  /** The question that the constant control gives for every row. */
  constant?: string
  /** Words of the prompt that ask for the target: a leak when they stand in an output. */
  asks?: string[]
}

/** Outputs that know nothing of the row: those of other rows, one question for all, the first words of the text. */
export type ControlName = 'shuffled' | 'constant' | 'firstWords'

/** A value with its 95% interval (bootstrap over rows, percentile), where the bootstrap is sound for it. */
export interface Estimate {
  value: number
  interval?: [low: number, high: number]
}

/** A metric with what it is compared with. */
export interface Measurement extends Estimate {
  /** What texts that know nothing of the row reach: for the metrics that compare with the true texts. */
  controls?: Partial<Record<ControlName, Estimate>>
  /** The same of the true texts: for the metrics that need none. */
  references?: Estimate
}

/** Names of the metrics. */
export type MetricName =
  | `rouge${'1' | '2' | 'L'}${'' | 'Precision' | 'Recall'}`
  | 'bleu'
  | 'chrf'
  | 'missingEnd'
  | 'leaks'
  | 'loops'
  | 'copies'
  | 'longCopies'
  | 'copyRate'
  | 'empty'
  | 'distinct1'
  | 'distinct2'
  | 'meanWords'
  | 'meanCharacters'

/** A metric is absent where no row has what it needs. Scores and rates are 0 to 100. */
export type Measurements = Partial<Record<MetricName, Measurement>>

/** Scores over the rows of one source. */
export interface SourceEvaluation {
  source: string
  rows: number
  /** Rows that have a true text. */
  referenced: number
  metrics: Measurements
}

/** Scores over all rows and by source. */
export interface Evaluation {
  rows: number
  /** Rows that have a true text: those that the comparing metrics are over. */
  referenced: number
  metrics: Measurements
  /** One entry a source, most rows first; empty where all rows come from one. */
  sources: SourceEvaluation[]
  options: Required<EvaluateOptions>
  /** What a reader must know to read the numbers right. */
  notes: string[]
}

export interface EvaluateSystemsOptions extends EvaluateOptions {
  /** The system that the others are held against, or several: then each pair once. Default: the first. */
  baseline?: string | readonly string[]
}

/** What a system has more than another (less: below 0), in the metric's own unit. */
export interface Difference extends Estimate {
  /** Two-sided, of the paired bootstrap over rows. */
  p?: number
}

/** A system against the baseline; wins, ties and losses are rows by ROUGE-L. */
export interface SystemDifferences extends Outcomes {
  system: string
  baseline: string
  /** Metrics that both have and that the bootstrap is sound for. */
  metrics: Partial<Record<MetricName, Difference>>
}

export interface SystemEvaluation extends Evaluation {
  name: string
}

/** Systems beside each other, over the rows that all have. */
export interface SystemsEvaluation {
  /** Rows that all systems have: everything is over these. */
  rows: number
  referenced: number
  /** The first of them. */
  baseline: string
  systems: SystemEvaluation[]
  /** Of each system but the baselines before it. */
  differences: SystemDifferences[]
  unmatched: Matched['unmatched']
  matchedBy: Matched['matchedBy']
  options: Required<EvaluateOptions>
  notes: string[]
}
