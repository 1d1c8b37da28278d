// A run of the loop as plain data: all that its page and its tables in the terminal show. pipeline/report.ts reads it from
// the run's folder. Everything but the stages may be missing: a run has a report after its first stage.
import type { Histogram } from './histogram.js'
import type { Point } from './thin.js'
import type { Fact } from './training.js'

/** How a stage stands; waiting: it has not begun. */
export type StageStatus = 'done' | 'running' | 'failed' | 'waiting'

/** A stage: what it did, or is doing. */
export interface RunStage {
  /** Unique: "curate-1". */
  name: string
  /** For people: "rate the pairs with M_0, keep the best". */
  title?: string | undefined
  status: StageStatus
  /** Stages whose files it reads; the one before if not given. */
  after?: readonly (string | RunFlow)[] | undefined
  rowsIn?: number | undefined
  rowsOut?: number | undefined
  /** Of work, all sittings together; of a running stage, up to now. */
  seconds?: number | undefined
  /** A few words: "validation loss 2.139". */
  note?: string | undefined
  error?: string | undefined
  /** Rows that it left out, by reason. */
  dropped?: readonly RunDrop[] | undefined
}

/** What goes from one stage to the next. */
export interface RunFlow {
  stage: string
  /** Rows; all that the stage gives if not given. */
  rows?: number | undefined
}

/** Rows that were left out for one reason. */
export interface RunDrop {
  reason: string
  count: number
}

/** A 95 % interval. */
export type Interval = readonly [low: number, high: number]

/** A measured value by its name. */
export interface Measured {
  name: string
  value: number
  interval?: Interval | undefined
}

/** How well a score tells good pairs from planted bad ones. */
export interface Separating {
  /** Probability that a good pair has the better score. */
  auc: number
  interval?: Interval | undefined
  /** At the threshold of the highest F1. */
  precision: number
  recall: number
  threshold?: number | undefined
}

/** How well one score tells good pairs from bad ones. */
export interface ScoreQuality extends Separating {
  score: string
  /** Against the planted pairs of each kind: "shuffled", "cut", "language". */
  kinds?: Readonly<Record<string, Separating>> | undefined
}

/** How a score falls, before and after the selection. */
export interface RunHistogram extends Histogram {
  score: string
}

/** One round of rating and selecting. */
export interface RunCuration {
  iteration: number
  rows: number
  kept: number
  histograms?: readonly RunHistogram[] | undefined
  calibration?: readonly ScoreQuality[] | undefined
  /** Some rows with the reason why each was kept or not. */
  samples?: readonly RunSample[] | undefined
}

/** A pair, and why it was kept or not. */
export interface RunSample {
  id: string
  instruction: string
  response: string
  kept: boolean
  why: string
  scores: readonly { name: string; value: number }[]
}

/** Nats a scored token; NaN where there is none. */
export interface RunLosses {
  model: string
  /** Smoothed training loss by step. */
  training: readonly Point[]
  validation: readonly Point[]
}

/** Systems measured the same way on the same rows. */
export interface RunComparison {
  /** "Log-likelihood of held-out responses" */
  title: string
  /** "nats a token" */
  unit?: string | undefined
  /** Default: high. */
  better?: 'high' | 'low' | undefined
  /** What it was measured on, in a sentence. */
  note?: string | undefined
  systems: readonly (Measured & {
    /** It is there to be beaten: it knows nothing of what is measured. */
    control?: boolean | undefined
  })[]
  /** How much `name` has more than `baseline`. */
  differences?: readonly RunDifference[] | undefined
}

/** How much more one system has than the baseline. */
export interface RunDifference extends Measured {
  baseline: string
  /** Two-sided. */
  p?: number | undefined
}

/** What the page of a run shows. */
export interface RunReport {
  stages: readonly RunStage[]
  /** What the run is called. */
  title?: string | undefined
  /** One line: recipe, model, version. */
  subtitle?: string | undefined
  /** When it was begun, ISO 8601. */
  started?: string | undefined
  /** The run in numbers. */
  summary?: readonly Fact[] | undefined
  curations?: readonly RunCuration[] | undefined
  losses?: readonly RunLosses[] | undefined
  comparisons?: readonly RunComparison[] | undefined
  /** The recipe as it was resolved. */
  settings?: readonly Fact[] | undefined
  /** A row that the instructions for lineage can name. */
  lineage?: { file: string; id?: string | undefined } | undefined
}
