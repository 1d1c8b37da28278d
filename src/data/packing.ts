// Which rows make up each optimizer step, and rows laid end to end for the native side. All of it is a pure function of
// its arguments, so a resumed run sees the same steps. Knows nothing of files, tokenizers or training.
import type { PackedBatch } from '../../binding.js'
import { BtError } from '../errors.js'
import { mix } from './hash.js'

/** A row that can be packed: text/types.ts's EncodedRow is one. */
export interface PackableRow {
  /** [length] token ids: prompt, then target; of a conversation several of both. */
  tokens: Int32Array
  /** Index of the first scored token: from here to the end all are scored, but for `gaps`. */
  targetStart: number
  /** [start, end, start, end, ...] of the stretches after it that are not scored, ascending; the last token is scored. */
  gaps?: Int32Array
}

/** [start, end) of each stretch of scored tokens, in order. */
export function scoredSpans({ tokens, targetStart, gaps }: PackableRow): [start: number, end: number][] {
  const edges = [targetStart, ...(gaps ?? []), tokens.length]
  return Array.from({ length: edges.length / 2 }, (_, span) => [edges[2 * span]!, edges[2 * span + 1]!])
}

/** Scored tokens of a row. */
export function scoredCount({ tokens, targetStart, gaps }: PackableRow): number {
  let count = tokens.length - targetStart
  for (let gap = 0; gap < (gaps?.length ?? 0); gap += 2) count -= gaps![gap + 1]! - gaps![gap]!
  return count
}

/**
 * Lays rows end to end without padding.
 * @param ids row ids, one for each row: they feed dropout's randomness and appear in messages
 * @returns tokens [T], cuSeqlens [n + 1], scored [S] and rows [n] as binding.d.ts describes them
 * @throws {BtError} BT_ARGUMENT when ids and rows differ in number, BT_ROW_EMPTY when a row has no token to score, or
 *   would have its first token scored (nothing stands before it to predict it from)
 */
export function packBatch(rows: readonly PackableRow[], ids: ArrayLike<number>): PackedBatch {
  if (rows.length !== ids.length) throw new BtError('BT_ARGUMENT', `${rows.length} rows, but ${ids.length} row ids`)
  const cuSeqlens = new Int32Array(rows.length + 1)
  let scoredTokens = 0
  for (const [index, row] of rows.entries()) {
    if (row.targetStart < 1 || row.targetStart >= row.tokens.length) throw noTarget(ids[index]!, row)
    cuSeqlens[index + 1] = cuSeqlens[index]! + row.tokens.length
    scoredTokens += scoredCount(row)
  }
  const tokens = new Int32Array(cuSeqlens[rows.length]!)
  const scored = new Int32Array(scoredTokens)
  let next = 0
  for (const [index, row] of rows.entries()) {
    const start = cuSeqlens[index]!
    tokens.set(row.tokens, start)
    for (const [from, to] of scoredSpans(row)) {
      for (let token = from; token < to; token++) scored[next++] = start + token
    }
  }
  return { tokens, cuSeqlens, scored, rows: Int32Array.from(ids) }
}

function noTarget(id: number, row: PackableRow): BtError {
  const what = row.targetStart < 1 ? 'has no token before its target' : 'has no token to learn from'
  return new BtError('BT_ROW_EMPTY', `row ${id} ${what} (${row.tokens.length} tokens, target from ${row.targetStart})`)
}

/**
 * A shuffle of 0 .. count - 1 that depends on (seed, epoch, count) alone: Fisher and Yates' with a generator that is
 * a hash of (seed, epoch, position), not a running state.
 * @param seed a safe integer
 * @param epoch from 0
 */
export function epochOrder(count: number, seed: number, epoch: number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index)
  const key = mix(mix(mix(seed >>> 0) ^ Math.floor(seed / 2 ** 32)) ^ epoch)
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(uniform(key, last) * (last + 1))
    const swapped = order[last]!
    order[last] = order[other]!
    order[other] = swapped
  }
  return order
}

/** A number in [0, 1) with 53 bits, from (key, counter). */
function uniform(key: number, counter: number): number {
  const low = mix(key ^ mix(counter))
  const high = mix(low ^ 0x9e3779b9 ^ key)
  return ((high >>> 5) * 0x4000000 + (low >>> 6)) / 0x20000000000000
}

export interface PlanOptions {
  /** Tokens of each row, prompt and target together. */
  lengths: ArrayLike<number>
  /** Most rows in one micro-batch; without it (and with tokensPerStep) only maxTokensPerMicroBatch limits them. */
  batchSize?: number
  /** Micro-batches of a step: a step has batchSize * gradAccumSteps rows. 1 by default. */
  gradAccumSteps?: number
  /** In place of gradAccumSteps: rows are taken while their tokens do not exceed this; at least one row. */
  tokensPerStep?: number
  /** A micro-batch is closed before it exceeds this many tokens; a longer row stands alone. */
  maxTokensPerMicroBatch?: number
  seed: number
  /** From 0. */
  epoch: number
}

/** One optimizer step: indices into the rows that were planned. */
export interface PlannedStep {
  /** All rows of the step, in the order of the epoch. */
  rows: Int32Array
  /** The same rows sorted by length and split: what each forward and backward pass takes. */
  microBatches: Int32Array[]
}

/**
 * The steps of one epoch: every row exactly once. The epoch's order alone says which rows make up a step; inside it they
 * are sorted by length, so that rows of one micro-batch are alike. The loss is weighted by token over the whole step,
 * so the split into micro-batches does not change what is learned. The last step may have fewer rows.
 * @throws {BtError} BT_ARGUMENT for sizes that are not positive integers
 */
export function planSteps(options: PlanOptions): PlannedStep[] {
  checkSizes(options)
  const { lengths, seed, epoch } = options
  const order = epochOrder(lengths.length, seed, epoch)
  const ends = options.tokensPerStep
    ? endsByTokens(order, lengths, options.tokensPerStep)
    : endsByRows(order.length, (options.batchSize ?? 1) * (options.gradAccumSteps ?? 1))
  return ends.map((end, index) => {
    const rows = order.slice(ends[index - 1] ?? 0, end)
    return { rows, microBatches: splitStep(rows, options) }
  })
}

function checkSizes(options: PlanOptions): void {
  for (const name of ['batchSize', 'gradAccumSteps', 'tokensPerStep', 'maxTokensPerMicroBatch'] as const) {
    const value = options[name]
    if (value === undefined || (Number.isSafeInteger(value) && value > 0)) continue
    throw new BtError('BT_ARGUMENT', `${name} is ${value}, a positive whole number was expected`)
  }
}

function endsByRows(count: number, rowsPerStep: number): number[] {
  const steps = Math.ceil(count / rowsPerStep)
  return Array.from({ length: steps }, (_, step) => Math.min(count, (step + 1) * rowsPerStep))
}

function endsByTokens(order: Int32Array, lengths: ArrayLike<number>, tokensPerStep: number): number[] {
  const ends: number[] = []
  let tokens = 0
  for (const [position, row] of order.entries()) {
    const length = lengths[row]!
    if (tokens > 0 && tokens + length > tokensPerStep) {
      ends.push(position)
      tokens = 0
    }
    tokens += length
  }
  if (order.length > 0) ends.push(order.length)
  return ends
}

/** Rows of a step sorted by length (the longest first, so that a lack of memory shows at once), then cut by size. */
function splitStep(rows: Int32Array, options: PlanOptions): Int32Array[] {
  const { lengths } = options
  const mostTokens = options.maxTokensPerMicroBatch ?? Number.POSITIVE_INFINITY
  const mostRows = options.batchSize ?? Number.POSITIVE_INFINITY
  const sorted = rows.toSorted((a, b) => lengths[b]! - lengths[a]! || a - b)
  const batches: Int32Array[] = []
  let start = 0
  let tokens = 0
  for (const [position, row] of sorted.entries()) {
    const length = lengths[row]!
    if (position > start && (position - start >= mostRows || tokens + length > mostTokens)) {
      batches.push(sorted.slice(start, position))
      start = position
      tokens = 0
    }
    tokens += length
  }
  if (sorted.length > start) batches.push(sorted.slice(start))
  return batches
}
