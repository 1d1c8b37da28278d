// What a lack of memory in a step is told as: what was asked for, how large the step was, and what to set.
import type { PackedBatch } from '../../binding.js'
import { BtError, messageOf } from '../errors.js'
import { memoryLimit } from '../native/memory.js'
import { formatBytes, formatCount } from '../units.js'
import type { MemoryNeed } from './memory.js'
import type { TrainOptions } from './options.js'

interface Step {
  options: TrainOptions
  /** Undefined for the reference engine. */
  need?: MemoryNeed
}

/** The error of step `step`, which ran out of memory as `cause` says. */
export function outOfMemory({ options, need }: Step, step: number, batches: PackedBatch[], cause: unknown): BtError {
  const largest = batches.reduce((most, one) => (one.tokens.length > most.tokens.length ? one : most))
  const { tokens, scored, rows } = largest
  const size = `${formatCount(rows.length)} rows, ${formatCount(tokens.length)} tokens, ${formatCount(scored.length)} of them scored`
  const limit = memoryLimit()
  const words = [
    `step ${step}: ${messageOf(cause)}. Its largest batch has ${size}.`,
    ...(need ? [`${needLine(need)}.`] : []),
    `Limit: ${formatBytes(limit.bytes)} (${limit.from})`,
  ]
  const message = words.join(' ')
  return new BtError('BT_OUT_OF_MEMORY', message, { remedy: remedyOf(options), cause })
}

/** "The run needs about 2.1 GB: weights 269 MB, ...". */
export function needLine({ total, ...parts }: MemoryNeed): string {
  const largest = Object.entries(parts).toSorted(([, a], [, b]) => b - a)
  const named = largest.slice(0, 3).map(([name, bytes]) => `${name} ${formatBytes(bytes)}`)
  return `The run needs about ${formatBytes(total)} (most of it ${named.join(', ')})`
}

/** What takes less memory, what changes nothing else first. */
export function remedyOf(options: TrainOptions): string {
  const split = smallerSplit(options)
  const same = [split, options.recompute || options.engine === 'reference' ? undefined : '--recompute'].filter(
    (one) => one !== undefined,
  )
  const goOn = `Give ${same.join(', or ')}: the steps stay the same, and the run goes on from its last checkpoint.`
  const shorter = `A lower --max-tokens than ${options.maxTokens} changes the rows, so it needs a new run.`
  return same.length > 0 ? `${goOn}\n${shorter}` : shorter
}

/** Flags for half the rows at a time or less, and as many rows a step; undefined when there is one row at a time. */
function smallerSplit({ batchSize, gradAccumSteps, tokensPerStep }: TrainOptions): string | undefined {
  if (batchSize === 1) return undefined
  if (tokensPerStep !== undefined) return `--batch-size ${batchSize >> 1}`
  const rows = batchSize * gradAccumSteps
  let smaller = batchSize >> 1
  while (rows % smaller !== 0) smaller--
  return `--batch-size ${smaller} --grad-accum-steps ${rows / smaller}`
}
