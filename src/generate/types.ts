// What goes into generation and what comes out of it.
import type { Lineage } from '../data/lineage.js'
import type { DropCount } from '../data/types.js'
import type { Pair } from '../text/types.js'
import type { Fault } from './guard.js'

/** A text to write for, as read from the input. */
export interface TextRow {
  /** Position in the input, from 0. */
  index: number
  /** The row's own id where the input has one, else a hash of its text: sixteen hex digits. */
  id: string
  /** What the model reads: the response in the backward task, the instruction in the forward one. */
  text: string
  /** Tokens that are written for it at most, where that is less than for all. */
  maxNewTokens?: number
  /** The true answer, where the input has one: for evaluation. */
  reference?: string
  /** What was said before, where the row is the end of a conversation. */
  exchanges?: Pair[]
  /** And what the replying side was told there: forward alone. */
  system?: string
  source?: string
  /** Columns that tell where the text comes from. */
  lineage?: Lineage
}

/** Why an output ended: end of turn or a stop text, maxNewTokens, logits that became NaN or infinite, or an empty text. */
export type FinishReason = 'stop' | 'length' | 'not-finite' | 'empty'

/** How one text was written. */
export interface WritingOutcome {
  finish: FinishReason
  /** Tokens written, without the end token; with those of a stop text. */
  tokens: number
  /** Mean log-probability of the tokens written, end token included, under the untempered model; nats. */
  logProb: number | null
  /** What candidates were ranked by: pmi or likelihood, nats. */
  score?: number
  /** Which attempt of the guard it is, where it is not the first (0). */
  attempt?: number
  /** Faults that are left after all attempts. */
  guard?: Fault[]
  /** Log-probability of each token and of the end token, on request. */
  logProbs?: number[]
}

/** A text that could have been the row's, on request. */
export interface WrittenCandidate extends WritingOutcome {
  text: string
}

/** One message of a conversation. */
export interface ConversationMessage {
  role: 'system' | 'user' | 'assistant'
  content: string
}

/** One written row, as it stands in the output. */
export interface GeneratedRow extends WritingOutcome, Lineage {
  id: string
  /** Written in the backward task, given in the forward one. */
  instruction: string
  /** Given in the backward task, written in the forward one. */
  response: string
  /** The true instruction (or response) of the input row, where it has one. */
  reference?: string
  /** Tokens of the text, and of what was said before it, that did not fit into the prompt. */
  cut: number
  source?: string
  /** The whole conversation, where the row is the end of one. */
  messages?: ConversationMessage[]
  /** All candidates in the order of their numbers, on request. */
  candidates?: WrittenCandidate[]
}

/** Where a generation stood when it ended. */
export interface GenerateSummary {
  /** Rows in the output, those of earlier sittings included. */
  rows: number
  /** Rows written by this call. */
  written: number
  /** Among those: cut prompts, outputs that met maxNewTokens, empty texts. */
  cut: number
  unfinished: number
  empty: number
  /** Rows whose text is not the first that was written: the guard found a fault in that. */
  rewritten: number
  /** Rows in which a fault is left, marked there, and how many have each. */
  faulty: number
  faults: Partial<Record<Fault, number>>
  /** Records of the input that gave no row. */
  dropped: DropCount[]
  /** Tokens written by this call. */
  tokens: number
  seconds: number
  /** Ended by the signal, with the rows so far in the output. */
  interrupted: boolean
  /** The output was complete before this call. */
  alreadyDone: boolean
  /** Bytes of memory at the peak. */
  peakMemory: number
  output?: string
}
