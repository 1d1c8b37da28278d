// Rows through the sampler: read ahead, admitted, guarded, ranked, and handed out in the order they came in. Knows nothing
// of files.
import { createHash } from 'node:crypto'
import type { Finished, Sampler, SamplerPrompt } from '../../binding.js'
import { hasCode } from '../errors.js'
import type { Before, PromptTemplate } from '../text/types.js'
import type { Given } from './guard.js'
import { patience, ReadAhead } from './read-ahead.js'
import { bestOf, type Ranking, scoreCandidates } from './rerank.js'
import { type Candidate, candidateOf, emptyRow, type RowMaking, rowOf } from './row.js'
import { attemptTemperature } from './sampling.js'
import type { GeneratedRow, TextRow } from './types.js'

export interface SampleContext extends RowMaking {
  sampler: Pick<Sampler, 'add' | 'advance'>
  template: Pick<PromptTemplate, 'task' | 'encodePrompt'>
  seed: number
  maxTokens: number
  maxNewTokens: number
  /** Candidates a row. */
  n: number
  /** How the best of them is told; needed for more than one. */
  ranking?: Ranking
  /** Temperature of attempts after the first, where the first is greedy. */
  retryTemperature?: number
  /** Rows read but not yet handed out: what a kill loses at most. Enough to keep all cache slots busy. */
  window: number
  /** Ends after the decode steps under way. */
  signal?: AbortSignal
  /** Called after each bounded piece of decoding. */
  onAdvance?: (generated: number) => void
}

/** Decode steps of one native call: long enough to pay for the crossing, short enough to be stopped. */
const stepsPerCall = 8

/** A text, and the rows that have it. */
interface Job {
  /** Tells it apart from others under way. */
  key: string
  text: string
  before?: Before
  /** For the guard. */
  given: Given
  prompt: Int32Array
  cut: number
  rows: TextRow[]
  /** [n] the best attempt so far of each. */
  candidates: (Candidate | undefined)[]
  /** Candidates that are not yet what they will be. */
  open: number
}

/** One sequence to be written. */
interface Attempt {
  job: Job
  candidate: number
  attempt: number
}

/**
 * Number that a sequence's randomness is a function of: 31 bits over seed, text, candidate and attempt. Position and
 * neighbours play no part, so equal texts get equal outputs wherever they stand.
 */
export function samplerId(seed: number, text: string, candidate = 0, attempt = 0): number {
  const which = candidate === 0 && attempt === 0 ? `${seed}` : `${seed}/${candidate}/${attempt}`
  return createHash('sha256').update(`${which}\n`).update(text).digest().readUInt32BE(0) & 0x7fffffff
}

/**
 * Writes an answer for each row, in the order of the rows. Nothing is computed between two calls of next(): who reads
 * slowly holds the sampler.
 * @throws what the sampler throws (BT_ABORTED, BT_OUT_OF_MEMORY, ...); rows handed out until then are right
 */
export async function* sampleRows(rows: AsyncIterable<TextRow>, context: SampleContext): AsyncGenerator<GeneratedRow> {
  const { signal, window } = context
  const ahead = new ReadAhead(rows, signal)
  const desk = new Desk(context)
  let read = 0
  let next: number | undefined
  let handedOut = 0

  try {
    while (!signal?.aborted) {
      const inFlight = read - handedOut
      if (!ahead.ended && inFlight <= window / 2) {
        const fresh = await ahead.take(window - inFlight, desk.busy ? patience : undefined)
        next ??= fresh[0]?.index
        read += fresh.length
        await desk.admit(fresh)
      }
      await desk.advance()
      while (next !== undefined && desk.done.has(next)) {
        const row = desk.done.get(next)!
        desk.done.delete(next++)
        handedOut++
        yield row
      }
      if (ahead.ended && !desk.busy) return
    }
  } finally {
    ahead.close()
  }
}

/** What was said before the text; undefined for a pair. */
function beforeOf({ exchanges, system }: TextRow): Before | undefined {
  if (system === undefined && !exchanges?.length) return undefined
  return { ...(system === undefined ? {} : { system }), ...(exchanges?.length ? { exchanges } : {}) }
}

/** Texts under way. */
class Desk {
  /** Rows that are written but not handed out, by their place in the input. */
  readonly done = new Map<number, GeneratedRow>()
  private readonly jobs = new Map<string, Job>()
  private readonly running = new Map<number, Attempt>()
  /** Those whose number another sequence has: they wait until that one is done. */
  private waiting: Attempt[] = []

  constructor(private readonly context: SampleContext) {}

  get busy(): boolean {
    return this.jobs.size > 0
  }

  /**
   * Encodes rows and queues them in their order: nothing is padded, so sorting by length would gain nothing, and would
   * hold back the rows that are done.
   */
  async admit(rows: TextRow[]): Promise<void> {
    const fresh: Job[] = []
    for (const row of rows) {
      const before = beforeOf(row)
      const key = before ? JSON.stringify([before, row.text]) : row.text
      const job = this.jobs.get(key)
      if (job) job.rows.push(row)
      else fresh.push(this.open(row, key, before))
    }
    await Promise.all(fresh.map((job) => this.encode(job)))
    const written = fresh.filter(({ prompt }) => prompt.length > 0)
    await this.submit(written.flatMap((job) => job.candidates.map((_, candidate) => ({ job, candidate, attempt: 0 }))))
  }

  /** Some decode steps, and what follows from what they finished. */
  async advance(): Promise<void> {
    if (this.running.size === 0) return
    const result = await this.context.sampler.advance(stepsPerCall)
    const again = result.finished.map((finished) => this.settle(finished)).filter((attempt) => attempt !== undefined)
    this.context.onAdvance?.(result.generated)
    const waiting = this.waiting
    this.waiting = []
    await this.submit([...again, ...waiting])
    for (const job of [...this.jobs.values()].filter(({ open }) => open === 0)) await this.close(job)
  }

  private open(row: TextRow, key: string, before: Before | undefined): Job {
    const { n } = this.context
    const candidates: Job['candidates'] = Array(n).fill(undefined)
    const exchanges = before?.exchanges ?? []
    const own = this.context.template.task === 'backward' ? 'instruction' : 'response'
    const given = {
      text: [...exchanges.flatMap(({ instruction, response }) => [instruction, response]), row.text].join('\n\n'),
      own: exchanges.map((exchange) => exchange[own]),
    }
    const job: Job = { key, text: row.text, given, prompt: new Int32Array(), cut: 0, rows: [row], candidates, open: n }
    if (before) job.before = before
    this.jobs.set(key, job)
    return job
  }

  /** An empty text's rows are written at once. */
  private async encode(job: Job): Promise<void> {
    const { template, maxTokens } = this.context
    try {
      const { tokens, cut } = await template.encodePrompt(job.text, maxTokens, job.before)
      job.prompt = tokens
      job.cut = cut
    } catch (error) {
      if (!hasCode(error, 'BT_ROW_EMPTY')) throw error
      for (const row of job.rows) this.done.set(row.index, emptyRow(row, this.context))
      this.jobs.delete(job.key)
    }
  }

  private async submit(attempts: Attempt[]): Promise<void> {
    const { seed, maxNewTokens, retryTemperature, sampler } = this.context
    const prompts: SamplerPrompt[] = []
    for (const one of attempts) {
      const id = samplerId(seed, one.job.text, one.candidate, one.attempt)
      if (this.running.has(id)) this.waiting.push(one)
      else {
        this.running.set(id, one)
        const usual = one.attempt > 0 ? retryTemperature : undefined
        const warmer = usual === undefined ? {} : { temperature: attemptTemperature(usual, one.attempt) }
        const room = Math.min(maxNewTokens, one.job.rows[0]!.maxNewTokens ?? maxNewTokens)
        prompts.push({ id, tokens: one.job.prompt, maxNewTokens: room, ...warmer })
      }
    }
    if (prompts.length > 0) await sampler.add(prompts)
  }

  /** @returns the attempt that follows, where the guard wants one */
  private settle(finished: Finished): Attempt | undefined {
    const { job, candidate, attempt } = this.running.get(finished.id)!
    this.running.delete(finished.id)
    const fresh = candidateOf(finished, job.given, attempt, this.context)
    const before = job.candidates[candidate]
    const best = before ? bestOf([before, fresh]) : fresh
    job.candidates[candidate] = best
    if (best.faults.length > 0 && attempt < this.context.guard.retries) {
      return { job, candidate, attempt: attempt + 1 }
    }
    job.open--
    return undefined
  }

  /** Ranks the candidates of a text and writes its rows. */
  private async close(job: Job): Promise<void> {
    const candidates = job.candidates as Candidate[]
    if (this.context.ranking) await scoreCandidates(candidates, this.context.ranking, job.before)
    const best = bestOf(candidates)
    for (const row of job.rows) this.done.set(row.index, rowOf(row, best, job.cut, this.context, candidates))
    this.jobs.delete(job.key)
  }
}
