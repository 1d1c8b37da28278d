// Rows through the sampler: read ahead, admitted and handed out in the order they came in. Knows nothing of files.
import { createHash } from 'node:crypto'
import type { Finished, Sampler } from '../../binding.js'
import { hasCode } from '../errors.js'
import type { PromptTemplate, Tokenizer } from '../text/types.js'
import type { GeneratedRow, TextRow } from './types.js'

export interface SampleContext {
  sampler: Pick<Sampler, 'add' | 'advance'>
  tokenizer: Pick<Tokenizer, 'decode'>
  template: Pick<PromptTemplate, 'task' | 'encodePrompt'>
  seed: number
  maxTokens: number
  maxNewTokens: number
  /** Rows read but not yet handed out: what a kill loses at most. Enough to keep all cache slots busy. */
  window: number
  /** Ends after the decode steps under way. */
  signal?: AbortSignal
  /** Called after each bounded piece of decoding. */
  onAdvance?: (generated: number) => void
}

/** Decode steps of one native call: long enough to pay for the crossing, short enough to be stopped. */
const stepsPerCall = 8
/** How long to wait for a slow producer while there is other work: milliseconds. */
const patience = 20

/** A prompt in the sampler, and the rows that have this text. */
interface Job {
  text: string
  cut: number
  rows: TextRow[]
}

/**
 * Number that a row's randomness is a function of: 31 bits over seed and text. Position and neighbours play no part, so
 * equal texts get equal outputs wherever they stand.
 */
export function samplerId(seed: number, text: string): number {
  return createHash('sha256').update(`${seed}\n`).update(text).digest().readUInt32BE(0) & 0x7fffffff
}

/**
 * Writes an answer for each row, in the order of the rows.
 * @throws what the sampler throws (BT_ABORTED, BT_OUT_OF_MEMORY, ...); rows handed out until then are right
 */
export async function* sampleRows(rows: AsyncIterable<TextRow>, context: SampleContext): AsyncGenerator<GeneratedRow> {
  const { sampler, signal, window } = context
  const ahead = new ReadAhead(rows, signal)
  const jobs = new Map<number, Job>()
  const done = new Map<number, GeneratedRow>()
  let held: TextRow[] = []
  let read = 0
  let next: number | undefined
  let handedOut = 0

  try {
    while (!signal?.aborted) {
      const inFlight = read - handedOut
      if (!ahead.ended && inFlight <= window / 2) {
        const fresh = await ahead.take(window - inFlight, jobs.size > 0 ? patience : undefined)
        next ??= fresh[0]?.index
        read += fresh.length
        held.push(...fresh)
      }
      held = await admit(held, jobs, done, context)
      if (jobs.size > 0) {
        const result = await sampler.advance(stepsPerCall)
        for (const finished of result.finished) settle(finished, jobs, done, context)
        context.onAdvance?.(result.generated)
      }
      while (next !== undefined && done.has(next)) {
        const row = done.get(next)!
        done.delete(next++)
        handedOut++
        yield row
      }
      if (ahead.ended && jobs.size === 0 && held.length === 0) return
    }
  } finally {
    ahead.close()
  }
}

/**
 * Encodes rows and queues them in their order: nothing is padded, so sorting by length would gain nothing, and would
 * hold back the rows that are done.
 * @returns rows whose number is in use by another text: they wait until that one is done
 */
async function admit(
  rows: TextRow[],
  jobs: Map<number, Job>,
  done: Map<number, GeneratedRow>,
  context: SampleContext,
): Promise<TextRow[]> {
  if (rows.length === 0) return []
  const held: TextRow[] = []
  const fresh = new Map<number, Job>()
  for (const row of rows) {
    const id = samplerId(context.seed, row.text)
    const job = jobs.get(id) ?? fresh.get(id)
    if (!job) fresh.set(id, { text: row.text, cut: 0, rows: [row] })
    else if (job.text === row.text) job.rows.push(row)
    else held.push(row)
  }
  const prompts = await Promise.all([...fresh].map(([id, job]) => encode(id, job, done, context)))
  const queued = prompts.filter((prompt) => prompt !== undefined)
  for (const { id } of queued) jobs.set(id, fresh.get(id)!)
  if (queued.length > 0) await context.sampler.add(queued)
  return held
}

/** The prompt of a job; undefined for an empty text, whose rows are settled at once. */
async function encode(id: number, job: Job, done: Map<number, GeneratedRow>, context: SampleContext) {
  try {
    const { tokens, cut } = await context.template.encodePrompt(job.text, context.maxTokens)
    job.cut = cut
    return { id, tokens, maxNewTokens: context.maxNewTokens }
  } catch (error) {
    if (!hasCode(error, 'BT_ROW_EMPTY')) throw error
    const nothing = { finish: 'empty', tokens: 0, logProb: null, cut: 0 } as const
    for (const row of job.rows) done.set(row.index, written(row, '', nothing, context))
    return undefined
  }
}

/** Turns what the sampler finished into rows. */
function settle(
  finished: Finished,
  jobs: Map<number, Job>,
  done: Map<number, GeneratedRow>,
  context: SampleContext,
): void {
  const job = jobs.get(finished.id)!
  jobs.delete(finished.id)
  const text = context.tokenizer.decode(finished.tokens).trim()
  const logProbs = Array.from(finished.logProbs)
  const sum = logProbs.reduce((total, value) => total + value, 0)
  const outcome = {
    finish: finished.reason,
    tokens: finished.tokens.length,
    logProb: logProbs.length > 0 ? Number((sum / logProbs.length).toFixed(4)) : null,
    cut: job.cut,
  }
  for (const row of job.rows) done.set(row.index, written(row, text, outcome, context))
}

function written(
  row: TextRow,
  text: string,
  outcome: Pick<GeneratedRow, 'finish' | 'tokens' | 'logProb' | 'cut'>,
  { template }: SampleContext,
): GeneratedRow {
  return {
    id: row.id,
    instruction: template.task === 'backward' ? text : row.text,
    response: template.task === 'backward' ? row.text : text,
    ...(row.reference === undefined ? {} : { reference: row.reference }),
    ...outcome,
    ...(row.source === undefined ? {} : { source: row.source }),
  }
}

/** Takes rows from a source that may be slower than the sampler, without waiting for it when there is other work. */
class ReadAhead {
  ended = false
  private readonly iterator: AsyncIterator<TextRow>
  private pending: Promise<IteratorResult<TextRow>> | undefined

  constructor(
    rows: AsyncIterable<TextRow>,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.iterator = rows[Symbol.asyncIterator]()
  }

  /** Leaves the source without waiting for what it is about to give: a pipe may never give anything. */
  close(): void {
    const nobodyAsks = () => undefined
    this.pending?.catch(nobodyAsks)
    this.iterator.return?.(undefined).catch(nobodyAsks)
  }

  /**
   * Up to `count` rows. Waits for the first; for others (and for the first, given `wait`) only `wait` or 20 ms; for
   * none once the signal is aborted.
   */
  async take(count: number, wait?: number): Promise<TextRow[]> {
    const rows: TextRow[] = []
    while (rows.length < count && !this.ended) {
      this.pending ??= this.iterator.next()
      const result = await inTime(this.pending, rows.length > 0 ? patience : wait, this.signal)
      if (result === undefined) break
      this.pending = undefined
      if (result.done) this.ended = true
      else rows.push(result.value)
    }
    return rows
  }
}

/** What `promise` gives within `milliseconds`, if they are limited, and before the signal aborts; else undefined. */
async function inTime<T>(
  promise: Promise<T>,
  milliseconds: number | undefined,
  signal: AbortSignal | undefined,
): Promise<T | undefined> {
  if (signal?.aborted) return undefined
  let leave = () => {}
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    leave = () => resolve(undefined)
    if (milliseconds !== undefined) timer = setTimeout(leave, milliseconds)
    signal?.addEventListener('abort', leave)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', leave)
  }
}
