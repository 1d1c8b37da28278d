// The rows that training and evaluation use: any known format, held in memory, without empty and repeated ones.
import { BtError } from '../errors.js'
import { inputName } from './bytes.js'
import { Drops } from './drops.js'
import { ExactDuplicates } from './duplicates.js'
import type { PairColumns } from './formats.js'
import { type InputSummary, readRows } from './rows.js'
import type { DataRow, DropCount } from './types.js'

export interface LoadOptions {
  columns?: PairColumns
  /** Stop at the first unreadable line. */
  strict?: boolean
  /** Keep repeated rows, as evaluation must. */
  keepDuplicates?: boolean
  /** Ends a read of stdin. */
  signal?: AbortSignal
}

export interface LoadedPairs {
  rows: DataRow[]
  dropped: DropCount[]
  /** Name of the format that was recognised: "Alpaca". */
  format: string
}

/**
 * Reads all pairs of a file in file order.
 * @throws {BtError} as readRows, and BT_DATA_EMPTY when no row is left
 */
export async function loadPairs(path: string, options: LoadOptions = {}): Promise<LoadedPairs> {
  const drops = new Drops({ strict: options.strict === true })
  const summary: InputSummary = { path, format: '', records: 0 }
  const seen = new ExactDuplicates()
  const rows: DataRow[] = []
  for await (const { row, place } of readRows(path, {
    drops,
    summary,
    columns: options.columns,
    signal: options.signal,
  })) {
    const reason = emptyReason(row)
    const first = reason || options.keepDuplicates ? undefined : seen.seenAt(row.id, place)
    if (reason) drops.add(reason, place)
    else if (first) drops.add('duplicate', `${place} (same as ${first})`)
    else rows.push(row)
  }
  if (rows.length === 0) throw nothingLeft(inputName(path), drops.counts())
  return { rows, dropped: drops.counts(), format: summary.format }
}

/** Why a row without text on one side is left out. */
export function emptyReason(row: DataRow): string | undefined {
  if (row.instruction === '') return 'empty instruction'
  return row.response === '' ? 'empty response' : undefined
}

export function nothingLeft(name: string, dropped: readonly DropCount[]): BtError {
  const why = dropped.map(({ reason, count, examples }) => `${count} ${reason} (${examples[0]})`).join(', ')
  return new BtError('BT_DATA_EMPTY', `${name}: no row is left${why ? `; left out: ${why}` : ''}`, {
    remedy: 'Look at the places named, or loosen the filters.',
  })
}
