// Curation from options to files: pairs are scored (the long part, which goes on where it was), then chosen (at once, again
// with other rules whenever they change).
import { readFile, stat } from 'node:fs/promises'
import { checkFile } from '../data/bytes.js'
import { BtError, hasCode } from '../errors.js'
import { resolveOptions } from '../fields.js'
import { sha256, sha256File, writeFileAtomic } from '../files.js'
import type { Precision } from '../generate/machine.js'
import type { Fingerprint } from '../generate/output.js'
import { openAhead } from '../native/ahead.js'
import { plainName } from '../paths.js'
import type { OnProgress } from '../progress.js'
import { histogramOf } from '../report/histogram.js'
import { packageVersion } from '../version.js'
import { calibrateStage } from './calibrate-stage.js'
import { type Calibration, fitOf } from './calibration.js'
import { checkExpression, evaluateExpression } from './expression.js'
import {
  type CurateInput,
  type CurateOptions,
  curateSchema,
  defaultCalibration,
  type ScorerOptions,
} from './options.js'
import { type CuratePaths, logRows, pathsOf, writeOutputs } from './outputs.js'
import { ratingPrompt } from './rating.js'
import { readCandidates } from './rows.js'
import { finishedStage, type StageControl, type StageOptions, scoreStage } from './score-stage.js'
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

/** How to watch a run and end it. */
export interface CurateControl {
  /** Stop after the group of rows under way; the scores so far stay. */
  signal?: AbortSignal
  /** Stop at once with BT_ABORTED; the scores so far stay. */
  abort?: AbortSignal
  onProgress?: OnProgress
  /** Called when there is something to score. */
  onStart?: (start: CurateStart) => void
  /** Once each, with a count where there are many. */
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
  if (options.reference !== undefined) await checkFile(options.reference)
  await checkRules(options)
  const paths = pathsOf(options.output ?? `${plainName(options.input)}.curated.jsonl`)
  await refuseForeign(paths, options.force)
  openAhead({ device: options.device })
  const located = await locateScorer(scorerOptionsOf(options), control)
  const stage = stageOf(options, located, paths)
  const rules = rulesOf(options)
  const before = await finishedStage(stage)
  const record = before === undefined ? undefined : await readRecord(paths)
  const key = { rules, ...(await calibrationKey(options)) }
  if (record && isSame(record.key, key) && (await areThere(paths))) {
    return { ...record.summary, written: 0, plantedWritten: 0, seconds: 0, interrupted: false, alreadyDone: true }
  }
  const summary = summaryOf(paths)
  const bench = new Bench(options, located, control)
  let calibration: Calibration | undefined
  try {
    await scoreInput(bench, options, stage, before, summary)
    if (!summary.interrupted && options.calibrate !== undefined) {
      calibration = await calibrateInput(bench, options, stage, paths, summary)
    }
    summary.seconds = bench.seconds
    summary.peakMemory = await bench.peakMemory()
  } finally {
    await bench.close()
  }
  if (summary.interrupted) {
    if (control.abort?.aborted) throw new BtError('BT_ABORTED', `stopped after ${summary.rows} rows`)
    return summary
  }
  const table = await tableOf(paths.scores, summary.rows, rules, calibration)
  const { kept, why, rejected } = select(table, rules)
  const rows = () => judgedRows(paths.scores, table, kept, why)
  await writeOutputs(paths, rows)
  summary.kept = kept.filter(Boolean).length
  summary.rejected = rejected
  summary.unscored = table.empty.size
  summary.cut = table.cut
  summary.histograms = histogramsOf(table, kept)
  summary.chosenBy = scoresNamed(rules, table.scores)
  await writeFileAtomic(paths.record, `${JSON.stringify({ version: packageVersion(), key, summary }, null, 2)}\n`)
  yield* rows()
  return summary
}

/** The models, loaded when something is first to be scored, and what follows from the signals. */
class Bench {
  private scorer: Scorer | undefined
  private started = 0

  constructor(
    private readonly options: CurateOptions,
    private readonly located: LocatedScorer,
    readonly control: CurateControl,
  ) {
    control.abort?.addEventListener('abort', this.leave)
  }

  readonly open = async (): Promise<{ scorer: Scorer; fingerprint: Fingerprint }> => {
    if (!this.scorer) {
      this.scorer = await loadScorer(scorerOptionsOf(this.options), this.located)
      this.started = performance.now()
    }
    const { machine } = this.scorer
    return { scorer: this.scorer, fingerprint: fingerprintOf(this.options, this.located, machine.precision) }
  }

  stageControl(label: string): StageControl {
    const { signal, abort, onProgress } = this.control
    const onStart = (scorer: Scorer, done: number) => this.control.onStart?.(startOf(this.located, scorer, done, label))
    return { label, onStart, ...definedOf({ signal, abort, onProgress }) }
  }

  get seconds(): number {
    return this.scorer ? (performance.now() - this.started) / 1000 : 0
  }

  async peakMemory(): Promise<number> {
    return this.scorer ? (await this.scorer.machine.runtime.memory()).peakResident : 0
  }

  async close(): Promise<void> {
    this.control.abort?.removeEventListener('abort', this.leave)
    await this.scorer?.close()
  }

  private readonly leave = () => this.scorer?.machine.runtime.abort()
}

function definedOf<T extends object>(object: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}

/** @param before rows of a log that is complete */
async function scoreInput(
  bench: Bench,
  options: CurateOptions,
  stage: StageOptions,
  before: number | undefined,
  summary: CurateSummary,
): Promise<void> {
  if (before !== undefined) {
    summary.rows = before
    return
  }
  const source = readCandidates(options.input, definedOf({ columns: options.columns, limit: options.limit }))
  const result = await scoreStage(source.rows, bench.open, stage, bench.stageControl('scoring'))
  Object.assign(summary, result)
  summary.dropped = source.dropped()
}

async function calibrateInput(
  bench: Bench,
  { calibrate, reference }: CurateOptions,
  stage: StageOptions,
  paths: CuratePaths,
  summary: CurateSummary,
): Promise<Calibration | undefined> {
  const pairs = typeof calibrate === 'number' ? calibrate : defaultCalibration
  const control = bench.stageControl('scoring planted pairs')
  const found = await calibrateStage({ pairs, reference }, paths, summary.rows, { open: bench.open, stage, control })
  if (!found) {
    summary.interrupted = true
    return undefined
  }
  summary.plantedWritten = found.result.written
  summary.calibration = found.calibration
  return found.calibration
}

/** What the selection has to know of all rows. */
async function tableOf(
  log: string,
  rows: number,
  { keep }: SelectionRules,
  calibration: Calibration | undefined,
): Promise<SelectionTable & { cut: number }> {
  const columns = new Map<ScoreName, Float64Array>()
  const fit = calibration && new Float64Array(rows)
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
    if (fit) fit[index] = fitOf(calibration, row)
    if ((row.unread as number) > 0) cut++
    index++
  }
  if (fit) columns.set('fit', fit)
  const scores = Object.fromEntries(columns) as SelectionTable['scores']
  const more: Record<string, Float64Array> = fit ? { fit } : {}
  const expression = keep === undefined || rows === 0 ? undefined : await evaluateExpression(keep, log, more)
  return { rows, scores, faults, empty, cut, ...(expression ? { expression } : {}) }
}

/** The log's rows with what became of them. */
async function* judgedRows(
  log: string,
  { rows, scores: { fit } }: SelectionTable,
  kept: readonly boolean[],
  why: readonly string[],
): AsyncGenerator<ScoredPair> {
  let index = 0
  for await (const row of logRows(log, rows)) {
    const probability = fit && { fit: Number.isNaN(fit[index]) ? null : Number(fit[index]!.toFixed(6)) }
    yield { ...row, ...probability, kept: kept[index]!, why: why[index]! } as ScoredPair
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

/** What calibration follows from beside the scores of the input. */
async function calibrationKey({ calibrate, reference }: CurateOptions) {
  if (calibrate === undefined) return {}
  return { calibrate, ...(reference === undefined ? {} : { reference: await sha256File(reference) }) }
}

function isSame(a: object, b: object): boolean {
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
function scoresOf({ cycleTokens, backward, backwardModel, calibrate }: CurateOptions): ScoreName[] {
  const hasBackward = backward !== undefined || backwardModel !== undefined
  return scoreNames.filter((name) => {
    if (name === 'cycle') return cycleTokens > 0
    if (name === 'fit') return calibrate !== undefined
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
    ...(forward.system === undefined ? {} : { system: forward.system }),
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
  /** Rules and calibration. */
  key: object
  summary: CurateSummary
}

async function readRecord({ record }: CuratePaths): Promise<CurateRecord | undefined> {
  try {
    const { key, summary } = JSON.parse(await readFile(record, 'utf8')) as Partial<CurateRecord>
    return key && summary ? { key, summary } : undefined
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

function startOf(
  { forward, backward }: LocatedScorer,
  { machine }: Scorer,
  rowsDone: number,
  work: string,
): CurateStart {
  const { device, precision, threads, detail } = machine
  const { source, adapter, template } = forward
  return {
    ...{ device, precision, threads, detail, rowsDone, work },
    model: source.name,
    ...(adapter ? { adapter: adapter.folder } : {}),
    template: `${template.task}/${template.form} ${template.hash}`,
    ...(backward ? { backward: backward.adapter?.folder ?? backward.source.name } : {}),
  }
}

function summaryOf({ output, scored: scoredOutput }: CuratePaths): CurateSummary {
  return {
    ...{ rows: 0, written: 0, plantedWritten: 0, kept: 0, rejected: {}, unscored: 0, cut: 0, dropped: [] },
    ...{ histograms: [], chosenBy: [], seconds: 0, interrupted: false, alreadyDone: false, peakMemory: 0 },
    ...{ output, scoredOutput },
  }
}
