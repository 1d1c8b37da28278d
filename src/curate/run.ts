// Curation from options to files: pairs are scored (the long part, which goes on where it was), then chosen (at once, again
// with other rules whenever they change).
import { readFile, stat } from 'node:fs/promises'
import { checkFile } from '../data/bytes.js'
import { BtError, hasCode } from '../errors.js'
import { resolveOptions } from '../fields.js'
import { sha256, writeFileAtomic } from '../files.js'
import type { Precision } from '../generate/machine.js'
import type { Fingerprint } from '../generate/output.js'
import { openAhead } from '../native/ahead.js'
import { plainName } from '../paths.js'
import type { OnProgress } from '../progress.js'
import { histogramOf } from '../report/histogram.js'
import { packageVersion } from '../version.js'
import { checkExpression, evaluateExpression } from './expression.js'
import { type CurateInput, type CurateOptions, curateSchema, type ScorerOptions } from './options.js'
import { type CuratePaths, logRows, pathsOf, writeOutputs } from './outputs.js'
import { ratingPrompt } from './rating.js'
import { readCandidates } from './rows.js'
import { finishedStage, type StageOptions, type StageResult, scoreStage } from './score-stage.js'
import { type LocatedScorer, loadScorer, locateScorer, type Scorer } from './scorer.js'
import { completeRules, missingScore, type SelectionRules, type SelectionTable, select } from './select.js'
import {
  type CurateStart,
  type CurateSummary,
  type ScoredPair,
  type ScoreHistogram,
  type ScoreName,
  scoreNames,
} from './types.js'

export interface CurateControl {
  /** Stop after the group of rows under way; the scores so far stay. */
  signal?: AbortSignal
  /** Stop at once with BT_ABORTED; the scores so far stay. */
  abort?: AbortSignal
  onProgress?: OnProgress
  /** Called when there is something to score. */
  onStart?: (start: CurateStart) => void
  onWarning?: (text: string) => void
}

/**
 * Scores each pair of the input, chooses, writes the kept rows, and beside them all rows. Yields every row, in order, once
 * it is known whether it is kept; nothing where all was done before, or where the signal ended it.
 * @throws {BtError} BT_USAGE for options, scores that are not there, and a keep expression that does not fit the columns;
 * BT_OUTPUT_EXISTS, BT_OUTPUT_CHANGED, BT_LOCKED, BT_INPUT_CHANGED; what reading models and input throws
 */
export async function* curate(
  input: CurateInput,
  control: CurateControl = {},
): AsyncGenerator<ScoredPair, CurateSummary> {
  const options = resolveOptions(curateSchema, input)
  if (options.input !== '-') await checkFile(options.input)
  await checkRules(options)
  const paths = pathsOf(options.output ?? `${plainName(options.input)}.curated.jsonl`)
  await refuseForeign(paths, options.force)
  openAhead({ device: options.device })
  const located = await locateScorer(scorerOptionsOf(options), control)
  const stage = stageOf(options, located, paths)
  const rules = rulesOf(options)
  const before = await finishedStage(stage)
  const record = before === undefined ? undefined : await readRecord(paths)
  if (record && sameRules(record.rules, rules) && (await areThere(paths))) {
    return { ...record.summary, written: 0, seconds: 0, interrupted: false, alreadyDone: true }
  }
  const scored = before === undefined ? await scoreInput(options, located, stage, control) : nothingScored(before)
  const summary = summaryOf(paths, scored)
  if (scored.interrupted) {
    if (control.abort?.aborted) throw new BtError('BT_ABORTED', `stopped after ${scored.rows} rows`)
    return summary
  }
  const table = await tableOf(paths.scores, scored.rows, rules)
  const { kept, why, rejected } = select(table, rules)
  const rows = () => judgedRows(paths.scores, scored.rows, kept, why)
  await writeOutputs(paths, rows)
  summary.kept = kept.filter(Boolean).length
  summary.rejected = rejected
  summary.unscored = table.empty.size
  summary.cut = table.cut
  summary.histograms = histogramsOf(table, kept)
  summary.chosenBy = scoresNamed(rules, table.scores)
  await writeFileAtomic(paths.record, `${JSON.stringify({ version: packageVersion(), rules, summary }, null, 2)}\n`)
  yield* rows()
  return summary
}

interface InputResult extends StageResult {
  seconds: number
  peakMemory: number
  dropped: CurateSummary['dropped']
}

function nothingScored(rows: number): InputResult {
  return { rows, written: 0, interrupted: false, seconds: 0, peakMemory: 0, dropped: [] }
}

async function scoreInput(
  options: CurateOptions,
  located: LocatedScorer,
  stage: StageOptions,
  control: CurateControl,
): Promise<InputResult> {
  const source = readCandidates(options.input, options)
  let scorer: Scorer | undefined
  let started = performance.now()
  const leave = () => scorer?.machine.runtime.abort()
  control.abort?.addEventListener('abort', leave)
  try {
    const result = await scoreStage(
      source.rows,
      async () => {
        scorer = await loadScorer(scorerOptionsOf(options), located)
        started = performance.now()
        return { scorer, fingerprint: fingerprintOf(options, located, scorer.machine.precision) }
      },
      stage,
      { ...control, label: 'scoring', onStart: (one, done) => control.onStart?.(startOf(located, one, done)) },
    )
    const { peakResident } = await scorer!.machine.runtime.memory()
    const seconds = (performance.now() - started) / 1000
    return { ...result, seconds, peakMemory: peakResident, dropped: source.dropped() }
  } finally {
    control.abort?.removeEventListener('abort', leave)
    await scorer?.close()
  }
}

/** What the selection has to know of all rows. */
async function tableOf(log: string, rows: number, { keep }: SelectionRules): Promise<SelectionTable & { cut: number }> {
  const columns = new Map<ScoreName, Float64Array>()
  const faults = new Map<number, string[]>()
  const empty = new Set<number>()
  let cut = 0
  let index = 0
  for await (const row of logRows(log, rows)) {
    for (const name of scoreNames) {
      if (!(name in row)) continue
      if (!columns.has(name)) columns.set(name, new Float64Array(rows).fill(Number.NaN))
      columns.get(name)![index] = (row[name] as number | null) ?? Number.NaN
    }
    if (Array.isArray(row.guard) && row.guard.length > 0) faults.set(index, row.guard.map(String))
    if (row.likelihood === null) empty.add(index)
    if ((row.unread as number) > 0) cut++
    index++
  }
  const scores = Object.fromEntries(columns) as SelectionTable['scores']
  const expression = keep === undefined || rows === 0 ? undefined : await evaluateExpression(keep, log)
  return { rows, scores, faults, empty, cut, ...(expression ? { expression } : {}) }
}

/** The log's rows with what became of them. */
async function* judgedRows(
  log: string,
  rows: number,
  kept: readonly boolean[],
  why: readonly string[],
): AsyncGenerator<ScoredPair> {
  let index = 0
  for await (const row of logRows(log, rows)) {
    yield { ...row, kept: kept[index]!, why: why[index]! } as ScoredPair
    index++
  }
}

function histogramsOf({ scores }: SelectionTable, kept: readonly boolean[]): ScoreHistogram[] {
  return (Object.entries(scores) as [ScoreName, Float64Array][]).flatMap(([score, values]) => {
    const histogram = histogramOf(values, kept)
    return histogram ? [{ score, ...histogram }] : []
  })
}

// ---- Options

function scorerOptionsOf(options: CurateOptions): ScorerOptions {
  const { adapter, model, backward, backwardModel, reasoning, cycleTokens } = options
  const { maxTokens, batchTokens, precision, device, threads } = options
  return {
    ...{ adapter, model, backward, backwardModel, reasoning, cycleTokens },
    ...{ maxTokens, batchTokens, precision, device, threads },
  }
}

function rulesOf({ min, keep, top, budget, by, keepFaulty }: CurateOptions): SelectionRules {
  return { min, keep, top, budget, by, keepFaulty }
}

function sameRules(a: SelectionRules, b: SelectionRules): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** Scores that rules choose by. */
function scoresNamed(rules: SelectionRules, scores: SelectionTable['scores']): ScoreName[] {
  const { by, top, budget, min = {}, keep = '' } = completeRules(rules, scores)
  const ranked = top !== undefined || budget !== undefined
  return (Object.keys(scores) as ScoreName[]).filter(
    (name) => name in min || new RegExp(`\\b${name}\\b`, 'i').test(keep) || (ranked && name === by),
  )
}

/** Before hours of scoring: rules by scores that there will be, and an expression that is one. */
async function checkRules(options: CurateOptions): Promise<void> {
  const known = scoresOf(options)
  const scores = Object.fromEntries(known.map((name) => [name, new Float64Array()]))
  const { by, min } = completeRules(rulesOf(options), scores)
  for (const name of [by, ...(Object.keys(min ?? {}) as ScoreName[])]) {
    if (!known.includes(name)) throw missingScore(name, known)
  }
  if (options.keep !== undefined) await checkExpression(options.keep)
}

/** The scores that rows get. */
function scoresOf({ cycleTokens, backward, backwardModel }: CurateOptions): ScoreName[] {
  const hasBackward = backward !== undefined || backwardModel !== undefined
  return scoreNames.filter((name) => {
    if (name === 'cycle') return cycleTokens > 0
    if (name === 'fit') return false
    return hasBackward || (name !== 'backward' && name !== 'backwardPmi')
  })
}

function stageOf(options: CurateOptions, located: LocatedScorer, paths: CuratePaths): StageOptions {
  const { input, limit, force, precision } = options
  const known = precision === 'auto' ? undefined : precision
  return {
    log: paths.scores,
    ...{ input, force, fingerprint: fingerprintOf(options, located, known) },
    ...(limit === undefined ? {} : { limit }),
  }
}

function fingerprintOf(
  options: CurateOptions,
  { forward, backward }: LocatedScorer,
  precision: Precision | undefined,
): Fingerprint {
  const { columns = null, reasoning, cycleTokens, maxTokens, batchTokens } = options
  return {
    scores: 'curation',
    model: forward.source.hash.slice(0, 16),
    adapter: forward.adapter?.hash.slice(0, 16) ?? 'none',
    template: forward.template.hash,
    rating: sha256(ratingPrompt('', '', reasoning > 0)).slice(0, 12),
    ...(backward
      ? {
          backwardModel: backward.source.hash.slice(0, 16),
          backwardAdapter: backward.adapter?.hash.slice(0, 16) ?? 'none',
          backwardTemplate: backward.template.hash,
        }
      : {}),
    ...{ columns, reasoning, cycleTokens, maxTokens, batchTokens, precision },
  }
}

// ---- What was done before

interface CurateRecord {
  rules: SelectionRules
  summary: CurateSummary
}

async function readRecord({ record }: CuratePaths): Promise<CurateRecord | undefined> {
  try {
    const { rules, summary } = JSON.parse(await readFile(record, 'utf8')) as Partial<CurateRecord>
    return rules && summary ? { rules, summary } : undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

async function areThere({ output, scored }: CuratePaths): Promise<boolean> {
  return (await exists(output)) && (await exists(scored))
}

/** @throws {BtError} BT_OUTPUT_EXISTS for a file that curation did not write */
async function refuseForeign(paths: CuratePaths, force: boolean): Promise<void> {
  if (force) return
  if (!(await exists(paths.output)) && !(await exists(paths.scored))) return
  // A kill between the outputs and their record leaves the scores.
  if ((await readRecord(paths)) || (await exists(paths.scores))) return
  throw new BtError('BT_OUTPUT_EXISTS', `${paths.output} or ${paths.scored} exists and was not made by this command`, {
    remedy: 'Choose another --output, or --force to replace it.',
  })
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}

// ---- What is told

function startOf({ forward, backward }: LocatedScorer, { machine }: Scorer, rowsDone: number): CurateStart {
  const { device, precision, threads, detail } = machine
  const { source, adapter, template } = forward
  return {
    ...{ device, precision, threads, detail, rowsDone },
    model: source.name,
    ...(adapter ? { adapter: adapter.folder } : {}),
    template: `${template.task}/${template.form} ${template.hash}`,
    ...(backward ? { backward: backward.adapter?.folder ?? backward.source.name } : {}),
  }
}

function summaryOf({ output, scored: scoredOutput }: CuratePaths, scored: InputResult): CurateSummary {
  const { rows, written, interrupted, seconds, peakMemory, dropped } = scored
  return {
    ...{ rows, written, kept: 0, rejected: {}, unscored: 0, cut: 0, dropped, histograms: [], chosenBy: [] },
    ...{ seconds, interrupted, alreadyDone: false, peakMemory, output, scoredOutput },
  }
}
