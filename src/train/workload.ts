// What the batches of a run ask for: the largest of them for memory, the mean step for time. A pure function of rows and
// options, in the steps that plan.ts makes.
import { type PackableRow, planSteps, scoredCount } from '../data/packing.js'
import type { BatchTokens } from './footprint.js'
import type { TrainOptions } from './options.js'
import { batchesByLength } from './validate.js'

export interface Workload {
  /** Optimizer steps of the run. */
  steps: number
  /** Means over the steps; what rows share counts in every row. */
  rowsPerStep: number
  tokensPerStep: number
  scoredPerStep: number
  /** Of the squares of the rows' lengths: what attention takes. */
  squaresPerStep: number
  /** Of all batches that are trained on, the most of each. */
  training: BatchTokens & Extent
  /** The same of those that are evaluated. */
  validation: BatchTokens & Extent
}

export interface Extent {
  /** Rows of a batch. */
  rows: number
  /** Tokens of a row. */
  longest: number
}

type WorkloadOptions = Pick<
  TrainOptions,
  'batchSize' | 'gradAccumSteps' | 'tokensPerStep' | 'seed' | 'epochs' | 'maxSteps'
>

/** @param sharesPrefix whether what the rows of a batch begin with is computed once (model/shared_prefix.h) */
export function workloadOf(
  rows: { train: PackableRow[]; validation: PackableRow[] },
  options: WorkloadOptions,
  sharesPrefix: boolean,
): Workload {
  const lengths = rows.train.map(({ tokens }) => tokens.length)
  const totals = { steps: 0, rows: 0, tokens: 0, scored: 0, squares: 0 }
  const training = noExtent()
  for (let epoch = 0; epoch < options.epochs && totals.steps < (options.maxSteps ?? Infinity); epoch++) {
    const { batchSize, gradAccumSteps, tokensPerStep, seed } = options
    for (const step of planSteps({ lengths, batchSize, gradAccumSteps, tokensPerStep, seed, epoch })) {
      if (totals.steps === options.maxSteps) break
      totals.steps++
      for (const batch of step.microBatches) widen(training, rows.train, batch, sharesPrefix)
      for (const row of step.rows) {
        const { tokens } = rows.train[row]!
        totals.rows++
        totals.tokens += tokens.length
        totals.scored += scoredCount(rows.train[row]!)
        totals.squares += tokens.length ** 2
      }
    }
  }
  const validation = noExtent()
  for (const batch of batchesByLength(rows.validation)) widen(validation, rows.validation, batch, sharesPrefix)
  return {
    steps: totals.steps,
    rowsPerStep: totals.rows / totals.steps,
    tokensPerStep: totals.tokens / totals.steps,
    scoredPerStep: totals.scored / totals.steps,
    squaresPerStep: totals.squares / totals.steps,
    training,
    validation,
  }
}

function noExtent(): BatchTokens & Extent {
  return { tokens: 0, scored: 0, rows: 0, longest: 0 }
}

function widen(most: BatchTokens & Extent, rows: PackableRow[], batch: Int32Array, sharesPrefix: boolean): void {
  const chosen = Array.from(batch, (row) => rows[row]!)
  const { tokens, scored } = sizeOf(chosen, sharesPrefix)
  most.tokens = Math.max(most.tokens, tokens)
  most.scored = Math.max(most.scored, scored)
  most.rows = Math.max(most.rows, chosen.length)
  most.longest = Math.max(most.longest, ...chosen.map((row) => row.tokens.length))
}

/** Tokens of a batch that are computed, and those that are scored. */
export function sizeOf(rows: PackableRow[], sharesPrefix: boolean): BatchTokens {
  let tokens = 0
  let scored = 0
  for (const row of rows) {
    tokens += row.tokens.length
    scored += scoredCount(row)
  }
  return { tokens: tokens - (sharesPrefix ? sharedPrefix(rows) * (rows.length - 1) : 0), scored }
}

/** Tokens that all rows begin with and that predict nothing scored, as native/model/shared_prefix.cc counts them. */
function sharedPrefix(rows: PackableRow[]): number {
  if (rows.length < 2) return 0
  const first = rows[0]!.tokens
  let shared = Math.min(...rows.map(({ tokens, targetStart }) => Math.min(tokens.length, targetStart) - 1))
  for (const { tokens } of rows.slice(1)) {
    let alike = 0
    while (alike < shared && tokens[alike] === first[alike]) alike++
    shared = alike
  }
  return Math.max(0, shared)
}
