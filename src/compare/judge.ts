// The judge at work: every pair of answers in both orders, each reply in a log as soon as it is there.
import { rm } from 'node:fs/promises'
import { type JsonlAppender, openJsonlAppender } from '../data/appender.js'
import { Drops } from '../data/drops.js'
import { readRecords } from '../data/records.js'
import { sha256 } from '../files.js'
import { intervalOf, resampled, sumColumns } from '../metrics/bootstrap.js'
import { pairedDifference } from '../metrics/paired.js'
import type { OnProgress } from '../progress.js'
import type { ChatEndpoint } from './endpoint.js'
import type { Preference } from './types.js'
import { type Question, questionMessages, type Verdict, verdictOf } from './verdict.js'

/** Two sets of answers to the same instructions. */
export interface Match {
  model: string
  baseline: string
  control: boolean
  rows: { id: string; instruction: string; answer: string; against: string }[]
}

export interface JudgeOptions {
  /** JSONL of the replies. */
  log: string
  model: string
  maxTokens: number
  concurrency: number
  force: boolean
  bootstrap: number
  seed: number
}

export interface JudgeControl {
  /** No further questions; those under way are waited for. */
  signal?: AbortSignal
  /** Nothing is waited for. */
  abort?: AbortSignal
  onProgress?: OnProgress
}

/** A question of a match. */
interface Asked extends Question {
  key: string
  id: string
  model: string
  baseline: string
  /** Whether the model's answer is shown first. */
  modelFirst: boolean
}

interface Answer extends Verdict {
  key: string
}

/**
 * Has matches judged. Questions that the log answers are not asked again.
 * @returns undefined where the signal ended it
 * @throws {BtError} what the endpoint throws; the abort signal's reason; BT_OUTPUT_DAMAGED for a log that is none
 */
export async function judge(
  matches: readonly Match[],
  endpoint: ChatEndpoint,
  options: JudgeOptions,
  control: JudgeControl = {},
): Promise<{ preferences: Preference[]; byProbability: boolean } | undefined> {
  if (options.force) await rm(options.log, { force: true })
  const log = await openJsonlAppender(options.log)
  try {
    const answers = log.rows === 0 ? new Map<string, Verdict>() : await readAnswers(options.log)
    const open = matches.flatMap((match) => questionsOf(match, options)).filter(unlessSeen(answers))
    await askAll(open, answers, { endpoint, log, options, control })
    if (control.signal?.aborted && open.some(({ key }) => !answers.has(key))) return undefined
    return {
      preferences: matches.map((match) => preferenceOf(match, answers, options)),
      byProbability: [...answers.values()].some(({ probability }) => probability !== undefined),
    }
  } finally {
    await log.close()
  }
}

/** Each question once, and none that is answered. */
function unlessSeen(known: ReadonlyMap<string, Verdict>): (question: Asked) => boolean {
  const seen = new Set<string>()
  return ({ key }) => {
    if (known.has(key) || seen.has(key)) return false
    seen.add(key)
    return true
  }
}

async function readAnswers(path: string): Promise<Map<string, Verdict>> {
  const answers = new Map<string, Verdict>()
  for await (const { value } of readRecords(path, { drops: new Drops() })) {
    const { key, winner, probability } = value as unknown as Answer
    answers.set(key, { winner, ...(probability === undefined ? {} : { probability }) })
  }
  return answers
}

/** Both orders of each row; none for a row in which both answers are the same. */
function questionsOf({ model, baseline, rows }: Match, options: JudgeOptions): Asked[] {
  return rows.flatMap(({ id, instruction, answer, against }) => {
    if (answer === against) return []
    return [true, false].map((modelFirst) => {
      const question = modelFirst
        ? { instruction, first: answer, second: against }
        : { instruction, first: against, second: answer }
      return { ...question, key: keyOf(question, options), id, model, baseline, modelFirst }
    })
  })
}

/** A reply is a function of the judge and of what it is shown. */
function keyOf(question: Question, { model, maxTokens }: JudgeOptions): string {
  return sha256(JSON.stringify([model, maxTokens, questionMessages(question)])).slice(0, 24)
}

interface Work {
  endpoint: ChatEndpoint
  log: JsonlAppender
  options: JudgeOptions
  control: JudgeControl
}

/** So many questions at a time; the first that fails ends all. */
async function askAll(open: readonly Asked[], known: Map<string, Verdict>, work: Work): Promise<void> {
  const { endpoint, log, options, control } = work
  const failed = new AbortController()
  const signals = AbortSignal.any([failed.signal, ...(control.abort ? [control.abort] : [])])
  let next = 0
  let done = 0
  const worker = async () => {
    while (next < open.length && !control.signal?.aborted && !signals.aborted) {
      const { key, id, model, baseline, modelFirst, ...question } = open[next++]!
      const reply = await endpoint.ask(questionMessages(question), signals)
      const verdict = verdictOf(reply)
      const answers = { first: modelFirst ? model : baseline, second: modelFirst ? baseline : model }
      await log.append([{ key, id, ...answers, ...verdict, text: reply.text }])
      known.set(key, verdict)
      control.onProgress?.({ label: 'judging', done: ++done, total: open.length, unit: 'steps' })
    }
  }
  const workers = Array.from({ length: Math.min(options.concurrency, open.length) }, () =>
    worker().catch((error: unknown) => {
      failed.abort(error)
      throw error
    }),
  )
  const ends = await Promise.allSettled(workers)
  control.abort?.throwIfAborted()
  if (failed.signal.aborted) throw failed.signal.reason
  const rejected = ends.find((end) => end.status === 'rejected')
  if (rejected) throw rejected.reason
}

/** A win is one in both orders; what the order decides is a tie. */
function preferenceOf(match: Match, answers: ReadonlyMap<string, Verdict>, options: JudgeOptions): Preference {
  const { model, baseline, control, rows } = match
  const counts = { wins: 0, ties: 0, losses: 0, unparsable: 0, same: 0 }
  const points: number[] = []
  let [first, readable] = [0, 0]
  for (const { instruction, answer, against } of rows) {
    if (answer === against) {
      counts.ties++
      counts.same++
      points.push(0.5)
      continue
    }
    const ahead = answers.get(keyOf({ instruction, first: answer, second: against }, options))!.winner
    const behind = answers.get(keyOf({ instruction, first: against, second: answer }, options))!.winner
    for (const winner of [ahead, behind]) {
      if (winner === 'none') continue
      readable++
      first += winner === 'first' ? 1 : winner === 'even' ? 0.5 : 0
    }
    if (ahead === 'none' || behind === 'none') counts.unparsable++
    else {
      const point = ahead === 'first' && behind === 'second' ? 1 : ahead === 'second' && behind === 'first' ? 0 : 0.5
      counts[point === 1 ? 'wins' : point === 0 ? 'losses' : 'ties']++
      points.push(point)
    }
  }
  const rate = points.length === 0 ? {} : { rate: rateOf(points, options) }
  return { model, baseline, control, ...counts, ...rate, ...(readable === 0 ? {} : { first: first / readable }) }
}

/** Mean with its interval over rows, and p against one half. */
function rateOf(points: number[], { bootstrap, seed }: JudgeOptions) {
  const columns = { data: Float64Array.from(points), width: 1 }
  const places = Int32Array.from(points.keys())
  const mean = ([sum]: Float64Array) => sum! / points.length
  const value = mean(sumColumns(columns, places))
  const steps = resampled(columns, places, [mean], { resamples: bootstrap, seed })
  let step = steps.next()
  while (!step.done) step = steps.next()
  const sample = step.value[0]!
  const interval = intervalOf(sample)
  const { p } = pairedDifference(
    { system: value, baseline: 0.5 },
    sample,
    sample.map(() => 0.5),
  )
  return { value, ...(interval && { interval }), ...(p === undefined ? {} : { p }) }
}
