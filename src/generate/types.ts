// What goes into generation and what comes out of it.
import type { DropCount } from '../data/types.js'

/** A text to write for, as read from the input. */
export interface TextRow {
  /** Position in the input, from 0. */
  index: number
  /** The row's own id where the input has one, else a hash of its text: sixteen hex digits. */
  id: string
  /** What the model reads: the response in the backward task, the instruction in the forward one. */
  text: string
  /** The true answer, where the input has one: for evaluation. */
  reference?: string
  source?: string
}

/** Why an output ended: end of turn, maxNewTokens, logits that became NaN or infinite, or an empty text. */
export type FinishReason = 'stop' | 'length' | 'not-finite' | 'empty'

/** One written row, as it stands in the output. */
export interface GeneratedRow {
  id: string
  /** Written in the backward task, given in the forward one. */
  instruction: string
  /** Given in the backward task, written in the forward one. */
  response: string
  /** The true instruction (or response) of the input row, where it has one. */
  reference?: string
  finish: FinishReason
  /** Tokens written, without the end token. */
  tokens: number
  /** Mean log-probability of the tokens written, end token included, under the untempered model; nats. */
  logProb: number | null
  /** Tokens of the text that did not fit into the prompt. */
  cut: number
  source?: string
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
