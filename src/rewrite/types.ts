// What goes into rewriting and what comes out of it.
import type { CandidatePair, PairScores, ScoreName } from '../curate/types.js'
import type { DropCount } from '../data/types.js'
import type { Precision } from '../generate/machine.js'

/**
 * What became of a row. kept: the new response stands; same: it says the same; too long: the pair does not fit into a prompt;
 * empty: a text is; shorter: it lost more than may be lost; worse: its score is below the old one's; unscored: one of them has
 * none; and the faults that the guard of generate knows.
 */
export type RewriteOutcome =
  | 'kept'
  | 'same'
  | 'too long'
  | 'empty'
  | 'shorter'
  | 'worse'
  | 'unscored'
  | 'leak'
  | 'loop'
  | 'end'

/** A row of the input; where a new response stands, with it, its scores, and the old one beside it. */
export interface RewrittenRow extends CandidatePair, Partial<PairScores> {
  fit?: number | null
  /** The response as it was, where another stands in its place. */
  originalResponse?: string
  rewriting: RewriteOutcome
  /** What was written and does not stand. */
  refused?: string
  /** Score of the response as it was, and of what was written; where both were scored. */
  scoreBefore?: number | null
  scoreAfter?: number | null
  /** Columns of the input that travel along. */
  [column: string]: unknown
}

/** What came of a rewriting. */
export interface RewriteSummary {
  /** Rows of the output, those of earlier sittings included. */
  rows: number
  written: number
  /** Of the rows of the output. */
  outcomes: Partial<Record<RewriteOutcome, number>>
  /** Mean score of the replaced responses before and after; null where none was. */
  before: number | null
  after: number | null
  by: ScoreName
  dropped: DropCount[]
  seconds: number
  interrupted: boolean
  alreadyDone: boolean
  peakMemory: number
  output: string
}

/** What is known before the first row. */
export interface RewriteStart {
  device: 'cpu' | 'cuda'
  precision: Precision
  threads: number
  detail: string
  model: string
  adapter?: string
  template: string
  by: ScoreName
  rowsDone: number
}
