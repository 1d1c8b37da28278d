// Rewriting from options to rows: the forward model writes a better response for each pair, and it stands where its score does
// not fall below the old one's.
import { scorerOptionsOf } from '../curate/options.js'
import { type CandidateRow, keyOfPair, readCandidates } from '../curate/rows.js'
import { loadScorer, locateScorer, type Scorer } from '../curate/scorer.js'
import type { ScoreName } from '../curate/types.js'
import { checkFile } from '../data/bytes.js'
import { RowCount } from '../data/row-count.js'
import { BtError } from '../errors.js'
import { definedOf, resolveOptions } from '../fields.js'
import { groupStart, groupsOf } from '../generate/groups.js'
import { afterStored, finishedRows, type OutputOptions, reserveOutput } from '../generate/output.js'
import { samplerOptions } from '../generate/sampling.js'
import { openAhead } from '../native/ahead.js'
import { plainName } from '../paths.js'
import type { OnProgress } from '../progress.js'
import { readCalibration } from './judge.js'
import { type RewriteInput, rewriteSchema } from './options.js'
import { Outcomes, storedOutcomes } from './outcomes.js'
import { type Bench, groupRows, rowsOf } from './rows.js'
import { outputOptionsOf, scoreToJudgeBy, type Work, writingOptions } from './settings.js'
import type { RewriteStart, RewriteSummary, RewrittenRow } from './types.js'

/** How to watch a rewriting and end it. */
export interface RewriteControl {
  /** Stop after the rows under way; the rows so far stay. */
  signal?: AbortSignal
  /** Stop at once with BT_ABORTED; the rows so far stay. */
  abort?: AbortSignal
  onProgress?: OnProgress
  /** Once, when models and rows are known. */
  onStart?: (start: RewriteStart) => void
  /** Once each, with a count where there are many. */
  onWarning?: (text: string) => void
}

/** Columns that an earlier rewriting wrote. */
const ownColumns: ReadonlySet<string> = new Set([
  ...['originalResponse', 'rewriting', 'refused', 'scoreBefore', 'scoreAfter'],
])

/**
 * Writes every row of the input to the output, in order, with a new response where one stands, and yields the rows as they
 * are made. Rows that an earlier call wrote are not written again.
 * @throws {BtError} BT_USAGE for options and for a score that rows will not have; BT_OUTPUT_CHANGED, BT_OUTPUT_EXISTS,
 * BT_LOCKED, BT_INPUT_CHANGED; what reading models, input and calibration throws
 */
export async function* rewrite(
  input: RewriteInput,
  control: RewriteControl = {},
): AsyncGenerator<RewrittenRow, RewriteSummary> {
  const options = resolveOptions(rewriteSchema, input)
  const { onProgress, signal, onWarning } = control
  if (options.input !== '-') await checkFile(options.input)
  const calibration = options.calibration === undefined ? undefined : await readCalibration(options.calibration)
  const by = scoreToJudgeBy(options, calibration)
  openAhead({ device: options.device })
  const located = await locateScorer(scorerOptionsOf(options), definedOf({ onProgress, signal, onWarning }))
  const work: Work = { options, located, calibration, by }
  const output = options.output ?? `${plainName(options.input)}.rewritten.jsonl`
  const outputOptions = await outputOptionsOf(work)
  const summary = emptySummary(output, by)
  const finished = await finishedRows(output, outputOptions)
  if (finished !== undefined) {
    const outcomes = await storedOutcomes(output)
    return { ...summary, rows: finished, ...outcomes.totals(), alreadyDone: true }
  }
  const reserved = await reserveOutput(output, outputOptions)
  try {
    return yield* write(work, { reserved, output, outputOptions, summary }, control)
  } finally {
    await reserved.release()
  }
}

interface Target {
  reserved: Awaited<ReturnType<typeof reserveOutput>>
  output: string
  outputOptions: OutputOptions
  summary: RewriteSummary
}

async function* write(
  work: Work,
  { reserved, output: path, outputOptions, summary }: Target,
  control: RewriteControl,
): AsyncGenerator<RewrittenRow, RewriteSummary> {
  const started = performance.now()
  const { options, located } = work
  const scorer = await loadScorer(scorerOptionsOf(options), located)
  const leave = () => scorer.machine.runtime.abort()
  control.abort?.addEventListener('abort', leave)
  const count = new RowCount(options.input, options.limit)
  try {
    const precision = scorer.machine.precision
    const output = await reserved.open({ ...outputOptions.fingerprint, precision })
    control.onStart?.(startOf(work, scorer, output.rows))
    const sampler = await scorer.createSampler(await samplerOptions(writingOptions(options), located.forward))
    const bench: Bench = { ...work, scorer, sampler, signal: control.abort }
    const source = readCandidates(options.input, {
      ...definedOf({ columns: options.columns, limit: options.limit }),
      without: ownColumns,
    })
    const resumed = { done: output.rows, waiting: [] as CandidateRow[] }
    const outcomes = new Outcomes()
    const fresh = afterStored(source.rows, output, {
      keyOf: ({ pair }) => keyOfPair(pair),
      names: { input: options.input, output: path },
      onStored: (row, stored) => {
        outcomes.add(stored as unknown as RewrittenRow)
        if (row.index >= groupStart(resumed.done, groupRows)) resumed.waiting.push(row)
      },
    })
    summary.rows = output.rows
    for await (const group of groupsOf(fresh, resumed, groupRows)) {
      if (control.signal?.aborted || control.abort?.aborted) break
      const rows = await rowsOf(group, bench)
      await output.append(...rows)
      summary.rows += rows.length
      summary.written += rows.length
      for (const row of rows) outcomes.add(row)
      control.onProgress?.({ label: 'rewriting', done: summary.rows, total: count.total, unit: 'rows' })
      yield* rows
    }
    if (control.abort?.aborted) throw new BtError('BT_ABORTED', `stopped after ${summary.rows} rows`)
    summary.interrupted = control.signal?.aborted === true
    if (!summary.interrupted) await output.finish()
    Object.assign(summary, outcomes.totals(), { dropped: source.dropped() })
    summary.seconds = (performance.now() - started) / 1000
    summary.peakMemory = (await scorer.machine.runtime.memory()).peakResident
    return summary
  } finally {
    count.close()
    control.abort?.removeEventListener('abort', leave)
    await scorer.close()
  }
}

function startOf({ located: { forward }, by }: Work, { machine }: Scorer, rowsDone: number): RewriteStart {
  const { device, precision, threads, detail } = machine
  return {
    ...{ device, precision, threads, detail, by, rowsDone },
    model: forward.source.name,
    ...(forward.adapter ? { adapter: forward.adapter.folder } : {}),
    template: forward.template.hash,
  }
}

function emptySummary(output: string, by: ScoreName): RewriteSummary {
  return {
    ...{ rows: 0, written: 0, outcomes: {}, before: null, after: null, by, dropped: [] },
    ...{ seconds: 0, interrupted: false, alreadyDone: false, peakMemory: 0, output },
  }
}
