// What an export tells: before it begins, when the file is there, and how it compares.
import type { Precision } from '../generate/machine.js'
import type { ExportDtype } from './options.js'

/** What is known before the first byte. */
export interface ExportStart {
  model: string
  adapter?: string
  to: 'safetensors' | 'gguf'
  dtype: ExportDtype
  output: string
  /** Weights, and how many of them the adapter changes. */
  tensors: number
  merged: number
  /** Bytes of weights to be written. */
  bytes: number
}

/** Told once everything is on disk. */
export interface ExportWritten {
  /** Absolute. */
  output: string
  /** All files together. */
  bytes: number
  files: string[]
  seconds: number
}

/** The exported model, read back, beside the base model with the adapter. */
export interface ExportComparison {
  /** Where the rows come from: a file. */
  prompts: string
  rows: number
  /** Tokens whose prediction was compared: the targets' first. */
  positions: number
  /** That both were computed in. */
  precision: Precision
  /** Largest |difference| of a logit, over all positions and the whole vocabulary. */
  largestLogitDifference: number
  /** Mean log-probability of the true tokens, nats. */
  meanLogProb: { unmerged: number; exported: number }
  /** Share of positions whose likeliest token is the same. */
  sameTopToken: number
}

export interface ExportSummary extends ExportWritten {
  dtype: ExportDtype
  /** Absent with `rows: 0`. */
  comparison?: ExportComparison
}
