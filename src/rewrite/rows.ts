// A group of pairs rewritten: texts are written, those with a fault refused, the others scored against what was there.
import type { Sampler } from '../../binding.js'
import { type CandidateRow, scoreColumns } from '../curate/rows.js'
import type { Scorer } from '../curate/scorer.js'
import type { CandidatePair } from '../curate/types.js'
import { BtError } from '../errors.js'
import type { Group } from '../generate/groups.js'
import { sampleRows } from '../generate/sample.js'
import { retryTemperature } from '../generate/sampling.js'
import { LeakFinder } from '../metrics/health.js'
import { compareScores, type JudgedScores, judged, refusalOf } from './judge.js'
import { repeatsPrompt, rewritePrompt } from './prompt.js'
import { type Work, writingOptions } from './settings.js'
import type { RewriteOutcome, RewrittenRow } from './types.js'

/** Rows that are written and scored together: what Ctrl-C waits for, and what a kill loses. */
export const groupRows = 32

/** Models that are loaded. */
export interface Bench extends Work {
  scorer: Scorer
  sampler: Sampler
  signal: AbortSignal | undefined
}

/** A better reply is seldom longer than its draft; what is goes round in circles, as a rule. */
const growth = 1.25
const slack = 64

/** A text that was written, or why none was. */
type Draft = { text: string; faults: readonly string[]; maxNewTokens: number } | RewriteOutcome

/** Rows of the output for those of the group that are not there yet. @throws {BtError} BT_ABORTED */
export async function rowsOf({ rows, done }: Group<CandidateRow>, bench: Bench): Promise<RewrittenRow[]> {
  const { options, scorer, calibration, by } = bench
  const pairs = rows.map(({ pair }) => pair)
  const drafts = await draftsOf(pairs, bench)
  const refusals = drafts.map((draft, at) =>
    typeof draft === 'string'
      ? draft
      : refusalOf(draft.text, { ...draft, response: pairs[at]!.response, minShare: options.minShare }),
  )
  const open = [...pairs.keys()].filter((at) => refusals[at] === undefined)
  const rewritten = open.map((at) => ({ ...pairs[at]!, response: (drafts[at] as Exclude<Draft, string>).text }))
  const before = await scorer.score(open.map((at) => pairs[at]!))
  const after = await scorer.score(rewritten)
  return pairs
    .map((pair, at) => {
      const place = open.indexOf(at)
      const draft = drafts[at]!
      const text = typeof draft === 'string' ? undefined : draft.text
      if (place < 0) return unchanged(pair, refusals[at]!, text)
      const [old, fresh] = [judged(before[place]!, calibration), judged(after[place]!, calibration)]
      const outcome = compareScores(by, old, fresh)
      const compared = { scoreBefore: old[by] ?? null, scoreAfter: fresh[by] ?? null }
      return outcome === 'kept'
        ? changed(pair, text!, fresh, compared)
        : { ...unchanged(pair, outcome, text), ...compared }
    })
    .slice(done)
}

function unchanged(pair: CandidateRow['pair'], rewriting: RewriteOutcome, text: string | undefined): RewrittenRow {
  return { ...pair, rewriting, ...(text === undefined || rewriting === 'same' ? {} : { refused: text }) }
}

/** Scores of the old response go: the row is another now. */
function changed(
  pair: CandidateRow['pair'],
  response: string,
  scores: JudgedScores,
  compared: { scoreBefore: number | null; scoreAfter: number | null },
): RewrittenRow {
  const kept = Object.entries(pair).filter(([name]) => !scoreColumns.has(name))
  const { id, instruction } = pair
  const row = { ...Object.fromEntries(kept), ...{ id, instruction, response }, originalResponse: pair.response }
  return { ...row, ...scores, rewriting: 'kept', ...compared }
}

/** What the model writes for each pair that fits into a prompt. */
async function draftsOf(pairs: readonly CandidatePair[], bench: Bench): Promise<Draft[]> {
  const { options, located, sampler, signal } = bench
  const { template, tokenizer } = located.forward
  const drafts: Draft[] = await Promise.all(
    pairs.map(async ({ instruction, response }): Promise<Draft> => {
      if (instruction.trim() === '' || response.trim() === '') return 'empty'
      const { tokens } = await template.encodePrompt(rewritePrompt(instruction, response), Number.MAX_SAFE_INTEGER)
      if (tokens.length > options.maxTokens) return 'too long'
      const { length } = await tokenizer.encodeText(response)
      return { text: '', faults: [], maxNewTokens: Math.ceil(growth * length) + slack }
    }),
  )
  const places = [...pairs.keys()].filter((at) => typeof drafts[at] === 'object')
  const texts = (async function* () {
    for (const [index, at] of places.entries()) {
      const { id, instruction, response } = pairs[at]!
      const { maxNewTokens } = drafts[at] as Exclude<Draft, string>
      yield { index, id, text: rewritePrompt(instruction, response), maxNewTokens }
    }
  })()
  const writing = writingOptions(options)
  const guard = {
    faults: writing.guard,
    retries: writing.guardRetries,
    task: template.task,
    leaks: new LeakFinder([template.ask]),
  }
  const context = {
    ...writing,
    ...{ sampler, template, tokenizer, guard, stop: [], window: groupRows },
    retryTemperature: retryTemperature(writing),
    ...(signal ? { signal } : {}),
  }
  let next = 0
  for await (const { response, guard: faults = [] } of sampleRows(texts, context)) {
    const at = places[next++]!
    const text = response.trim()
    const leaks = repeatsPrompt(text, pairs[at]!) ? ['leak'] : []
    drafts[at] = { ...(drafts[at] as Exclude<Draft, string>), text, faults: [...faults, ...leaks] }
  }
  if (signal?.aborted) throw new BtError('BT_ABORTED', 'stopped')
  return drafts
}
