// Scores of many pairs into a work log, which goes on where it was: curation's long part.
import type { RowCount } from '../data/row-count.js'
import { type Group, groupStart, groupsOf } from '../generate/groups.js'
import { afterStored, type Fingerprint, finishedRows, type OutputOptions, reserveOutput } from '../generate/output.js'
import type { OnProgress } from '../progress.js'
import { packageVersion } from '../version.js'
import { logRows } from './outputs.js'
import { type CandidateRow, keyOfPair } from './rows.js'
import type { Scorer } from './scorer.js'
import type { CandidatePair } from './types.js'

export interface StageOptions {
  /** JSONL. */
  log: string
  /** For messages: where the rows come from. */
  input: string
  limit?: number
  /** Rows in all, where that is known; the limit otherwise. */
  total?: number
  /** The same, where it is being counted. */
  count?: RowCount
  /** What the rows were read from, where it is no file of that name. */
  stamp?: OutputOptions['stamp']
  force: boolean
  fingerprint: Fingerprint
  /** What is computed of each row: its scores, if nothing else is said. */
  work?: StageWork
}

/** The models, and the fingerprint now that the precision is known. */
export type OpenScorer = () => Promise<{ scorer: Scorer; fingerprint: Fingerprint }>

export interface StageWork {
  /** A row of the log for each pair. */
  rowsOf(pairs: readonly CandidateRow['pair'][], scorer: Scorer): Promise<object[]>
  /** keyOfPair() of the pair that a row of the log belongs to. */
  keyOf(row: Record<string, unknown>): string
}

const scoring: StageWork = {
  async rowsOf(pairs, scorer) {
    const scores = await scorer.score(pairs)
    return pairs.map((pair, at) => ({ ...pair, ...scores[at] }))
  },
  keyOf: (row) => keyOfPair(row as unknown as CandidatePair),
}

export interface StageControl {
  signal?: AbortSignal
  abort?: AbortSignal
  onProgress?: OnProgress
  /** Rows that are there already. */
  onStart?: (scorer: Scorer, rowsDone: number) => void
  /** What progress is of: "scoring". */
  label: string
}

export interface StageResult {
  rows: number
  written: number
  /** Ended by the signal. */
  interrupted: boolean
}

/** Rows that are scored together: what Ctrl-C waits for, and what a kill loses. */
const groupRows = 16

/** Rows of a log that is complete for this very input, else undefined. */
export function finishedStage(options: StageOptions): Promise<number | undefined> {
  return finishedRows(options.log, outputOptionsOf(options))
}

/**
 * Scores each row that is not in the log yet.
 * @param open called once the log is found fit to be written
 * @throws {BtError} BT_OUTPUT_CHANGED, BT_LOCKED, BT_INPUT_CHANGED; what the scorer throws
 */
export async function scoreStage(
  rows: AsyncIterable<CandidateRow>,
  open: OpenScorer,
  options: StageOptions,
  control: StageControl,
): Promise<StageResult> {
  const reserved = await reserveOutput(options.log, outputOptionsOf(options))
  try {
    const { scorer, fingerprint } = await open()
    const output = await reserved.open(fingerprint)
    control.onStart?.(scorer, output.rows)
    const resumed = { done: output.rows, waiting: [] as CandidateRow[] }
    const result = { rows: output.rows, written: 0, interrupted: false }
    const fresh = afterStored(rows, output, {
      keyOf: ({ pair }) => keyOfPair(pair),
      names: { input: options.input, output: options.log },
      onStored: (row) => {
        if (row.index >= groupStart(resumed.done, groupRows)) resumed.waiting.push(row)
      },
    })
    for await (const group of groupsOf(fresh, resumed, groupRows)) {
      if (control.signal?.aborted || control.abort?.aborted) break
      const scored = await groupRowsOf(group, scorer, options.work ?? scoring)
      await output.append(...scored)
      result.rows += scored.length
      result.written += scored.length
      control.onProgress?.({
        label: control.label,
        done: result.rows,
        total: options.total ?? options.count?.total ?? options.limit,
        unit: 'rows',
      })
    }
    result.interrupted = control.signal?.aborted === true || control.abort?.aborted === true
    if (!result.interrupted) await output.finish()
    return result
  } finally {
    await reserved.release()
  }
}

async function groupRowsOf(
  { rows, done }: Group<CandidateRow>,
  scorer: Scorer,
  { rowsOf }: StageWork,
): Promise<object[]> {
  const pairs = rows.map(({ pair }) => pair)
  return (await rowsOf(pairs, scorer)).slice(done)
}

/** The rows of a complete log of scores, as a stage of its own takes them. */
export async function* scoredRows(log: string, rows: number): AsyncGenerator<CandidateRow> {
  let index = 0
  for await (const row of logRows(log, rows)) yield { index: index++, pair: row as CandidateRow['pair'] }
}

function outputOptionsOf({ input, limit, stamp, force, fingerprint, work = scoring }: StageOptions): OutputOptions {
  return {
    ...{ input, force, fingerprint },
    ...(limit === undefined ? {} : { limit }),
    ...(stamp === undefined ? {} : { stamp }),
    version: packageVersion(),
    keyOf: work.keyOf,
    columns: {},
  }
}
