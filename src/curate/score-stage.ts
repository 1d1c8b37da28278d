// Scores of many pairs into a work log, which goes on where it was: curation's long part.
import { type Group, groupStart, groupsOf } from '../generate/groups.js'
import { afterStored, type Fingerprint, finishedRows, type OutputOptions, reserveOutput } from '../generate/output.js'
import type { OnProgress } from '../progress.js'
import { packageVersion } from '../version.js'
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
  /** What the rows were read from, where it is no file of that name. */
  stamp?: OutputOptions['stamp']
  force: boolean
  fingerprint: Fingerprint
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
  open: () => Promise<{ scorer: Scorer; fingerprint: Fingerprint }>,
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
      const scored = await scoreGroup(group, scorer)
      await output.append(...scored)
      result.rows += scored.length
      result.written += scored.length
      control.onProgress?.({
        label: control.label,
        done: result.rows,
        total: options.total ?? options.limit,
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

async function scoreGroup({ rows, done }: Group<CandidateRow>, scorer: Scorer): Promise<object[]> {
  const scores = await scorer.score(rows.map(({ pair }) => pair))
  return rows.slice(done).map(({ pair }, at) => ({ ...pair, ...scores[done + at] }))
}

function outputOptionsOf({ input, limit, stamp, force, fingerprint }: StageOptions): OutputOptions {
  return {
    ...{ input, force, fingerprint },
    ...(limit === undefined ? {} : { limit }),
    ...(stamp === undefined ? {} : { stamp }),
    version: packageVersion(),
    keyOf: (row) => keyOfPair(row as unknown as CandidatePair),
    columns: {},
  }
}
