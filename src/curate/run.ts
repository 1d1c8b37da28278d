// Curation from options to files: pairs are scored (the long part, which goes on where it was), then chosen (at once, again
// with other rules whenever they change).
import { checkFile } from '../data/bytes.js'
import { RowCount } from '../data/row-count.js'
import { BtError } from '../errors.js'
import { definedOf, resolveOptions } from '../fields.js'
import { writeFileAtomic } from '../files.js'
import type { Fingerprint } from '../generate/output.js'
import { paced } from '../metrics/paced.js'
import { openAhead } from '../native/ahead.js'
import { plainName } from '../paths.js'
import type { OnProgress } from '../progress.js'
import { packageVersion } from '../version.js'
import { calibrateStage } from './calibrate-stage.js'
import type { Calibration } from './calibration.js'
import type { Vectors } from './diverse.js'
import { type CurateInput, type CurateOptions, curateSchema, defaultCalibration, scorerOptionsOf } from './options.js'
import { type CuratePaths, pathsOf, writeOutputs } from './outputs.js'
import { areThere, readRecord, refuseForeign } from './record.js'
import { readCandidates } from './rows.js'
import { finishedStage, type StageControl, type StageOptions, scoreStage } from './score-stage.js'
import { type LocatedScorer, loadScorer, locateScorer, type Scorer } from './scorer.js'
import { selecting } from './select.js'
import { calibrationKey, checkRules, fingerprintOf, rulesOf, scoresNamed, stageOf } from './settings.js'
import { histogramsOf, judgedRows, tableOf } from './table.js'
import type { CurateStart, CurateSummary, ScoredPair } from './types.js'
import { vectorStage } from './vector-stage.js'

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
  let vectors: Vectors | undefined
  try {
    await scoreInput(bench, options, stage, before, summary)
    if (!summary.interrupted && options.calibrate !== undefined) {
      calibration = await calibrateInput(bench, options, stage, paths, summary)
    }
    if (!summary.interrupted && options.diverse !== undefined) {
      vectors = await vectorsOfInput(bench, stage, paths, summary)
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
  if (vectors) table.vectors = vectors
  const { kept, why, rejected } = await paced(selecting(table, rules), control)
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
  const count = new RowCount(options.input, options.limit)
  try {
    Object.assign(
      summary,
      await scoreStage(source.rows, bench.open, { ...stage, count }, bench.stageControl('scoring')),
    )
    summary.dropped = source.dropped()
  } finally {
    count.close()
  }
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

async function vectorsOfInput(
  bench: Bench,
  stage: StageOptions,
  paths: CuratePaths,
  summary: CurateSummary,
): Promise<Vectors | undefined> {
  const control = bench.stageControl('reading for diversity')
  const found = await vectorStage(paths, summary.rows, { open: bench.open, stage, control })
  if (!found) summary.interrupted = true
  return found?.vectors
}

function isSame(a: object, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

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
