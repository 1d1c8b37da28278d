// What goes into curation and what comes out of it.
import type { DropCount } from '../data/types.js'
import type { Precision } from '../generate/machine.js'
import type { Histogram } from '../report/histogram.js'
import type { Calibration } from './calibration.js'

/** A pair to be judged. */
export interface CandidatePair {
  id: string
  instruction: string
  response: string
}

/** Numbers that tell pairs apart, in the order of the columns. */
export const scoreNames = [
  'quality',
  'likelihood',
  'pmi',
  'ifd',
  'ending',
  'length',
  'copy',
  'cycle',
  'backward',
  'backwardPmi',
  'fit',
] as const

/** Names of the scores. */
export type ScoreName = (typeof scoreNames)[number]

/** Of these less is better. A response that takes up words of its instruction speaks for the pair: of copy more is better. */
export const lowIsGood: ReadonlySet<ScoreName> = new Set(['ifd'])

/** What is known of one pair; null where a text is empty or does not fit. Docs: docs/curation.md. */
export interface PairScores {
  /** 1 to 5: what the forward model expects to answer when it is asked for a rating. */
  quality: number | null
  /** Mean log p(response | instruction) of the response's tokens, nats. */
  likelihood: number | null
  /** Mean log p(response | instruction) - log p(response), nats a token. */
  pmi: number | null
  /** Instruction-following difficulty: mean loss of the response with the instruction over that without. */
  ifd: number | null
  /** log p of the end token after the response, nats. */
  ending: number | null
  /** Characters of the response. */
  length: number
  /** Share of the instruction's words that stand in a row in the response too: its longest such run, 0 to 1. */
  copy: number
  /** chrF of the model's own answer against the response, 0 to 100. */
  cycle?: number | null
  /** Mean log p(instruction | response) of the backward model, nats a token. */
  backward?: number | null
  /** log p(instruction | response) - log p(instruction) of the backward model, nats. */
  backwardPmi?: number | null
  /** Tokens of the response that were not read: it is longer than maxTokens. */
  unread: number
}

/** One curated row: the input's own columns, its scores, and what became of it. */
export interface ScoredPair extends CandidatePair, PairScores {
  source?: string
  /** Probability that the pair is a good one; after calibration. */
  fit?: number | null
  kept: boolean
  why: string
  /** Columns of the input that travel along. */
  [column: string]: unknown
}

/** How a score falls, before and after selection. */
export interface ScoreHistogram extends Histogram {
  score: ScoreName
}

/** What a run came to. */
export interface CurateSummary {
  /** Rows with a score, those of earlier sittings included. */
  rows: number
  /** Rows scored by this call. */
  written: number
  kept: number
  /** What the selection left out, by rule: "guard", "min quality", ... */
  rejected: Record<string, number>
  /** Rows without scores: a text is empty. */
  unscored: number
  /** Rows whose response was not read to its end. */
  cut: number
  /** Records of the input that gave no row. */
  dropped: DropCount[]
  histograms: ScoreHistogram[]
  /** Scores that the rules name. */
  chosenBy: ScoreName[]
  /** What the scores are worth on planted pairs, where that was asked for. */
  calibration?: Calibration
  /** Planted pairs scored by this call. */
  plantedWritten: number
  /** Of the scoring by this call. */
  seconds: number
  interrupted: boolean
  /** Everything was there before this call. */
  alreadyDone: boolean
  peakMemory: number
  output: string
  scoredOutput: string
}

/** What is known before the first row is scored. */
export interface CurateStart {
  device: 'cpu' | 'cuda'
  precision: Precision
  threads: number
  detail: string
  model: string
  adapter?: string
  template: string
  backward?: string
  /** "scoring", "scoring planted pairs" or "reading for diversity". */
  work: string
  /** Rows of that which are there already. */
  rowsDone: number
}
