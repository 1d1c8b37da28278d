// The input of curation: pairs of any known format, with the columns that travel along.
import { Drops } from '../data/drops.js'
import { parseColumns } from '../data/formats.js'
import { type ReadRow, readRows, rowToJson } from '../data/rows.js'
import type { DropCount } from '../data/types.js'
import { rowKey } from '../generate/output.js'
import { type CandidatePair, scoreNames } from './types.js'

/** A pair with everything that its row holds beside it. */
export interface CandidateRow {
  /** From 0, without gaps. */
  index: number
  pair: CandidatePair & Record<string, unknown>
}

export interface CandidateRows {
  rows: AsyncIterable<CandidateRow>
  /** Records that gave no row, so far. */
  dropped(): DropCount[]
}

/** Columns of scores, and what is told beside them. */
export const scoreColumns: ReadonlySet<string> = new Set([...scoreNames, 'unread'])

/** What an earlier curation wrote: judged anew here. */
const ownColumns: ReadonlySet<string> = new Set([...scoreColumns, 'kept', 'why'])

export interface CandidateOptions {
  columns?: string
  limit?: number
  /** Columns that do not travel along: curation's own if not given. */
  without?: ReadonlySet<string>
}

/** Reads pairs row by row; throws while reading what readRows throws. */
export function readCandidates(input: string, options: CandidateOptions): CandidateRows {
  const drops = new Drops()
  return { rows: candidates(input, options, drops), dropped: () => drops.counts() }
}

async function* candidates(
  input: string,
  { columns, limit, without = ownColumns }: CandidateOptions,
  drops: Drops,
): AsyncGenerator<CandidateRow> {
  const named = columns === undefined ? undefined : parseColumns(columns)
  let index = 0
  for await (const read of readRows(input, { drops, columns: named })) {
    yield { index, pair: pairOf(read, without) }
    if (++index === limit) return
  }
}

function pairOf({ row }: ReadRow, without: ReadonlySet<string>): CandidateRow['pair'] {
  const { id, instruction, response, source_id: given, ...rest } = rowToJson(row) as Record<string, unknown>
  return {
    id: typeof given === 'string' && given !== '' ? given : (id as string),
    instruction: instruction as string,
    response: response as string,
    ...Object.fromEntries(Object.entries(rest).filter(([name]) => !without.has(name))),
  }
}

export function keyOfPair({ id, instruction, response }: CandidatePair): string {
  return rowKey(id, [instruction, response])
}
