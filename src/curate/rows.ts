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

/** What an earlier curation wrote: judged anew here. */
const ownColumns = new Set<string>([...scoreNames, 'unread', 'kept', 'why'])

/** Reads pairs row by row; throws while reading what readRows throws. */
export function readCandidates(input: string, options: { columns?: string; limit?: number }): CandidateRows {
  const drops = new Drops()
  return { rows: candidates(input, options, drops), dropped: () => drops.counts() }
}

async function* candidates(
  input: string,
  { columns, limit }: { columns?: string; limit?: number },
  drops: Drops,
): AsyncGenerator<CandidateRow> {
  const named = columns === undefined ? undefined : parseColumns(columns)
  let index = 0
  for await (const read of readRows(input, { drops, columns: named })) {
    yield { index, pair: pairOf(read) }
    if (++index === limit) return
  }
}

function pairOf({ row }: ReadRow): CandidateRow['pair'] {
  const { id, instruction, response, source_id: given, ...rest } = rowToJson(row) as Record<string, unknown>
  return {
    id: typeof given === 'string' && given !== '' ? given : (id as string),
    instruction: instruction as string,
    response: response as string,
    ...Object.fromEntries(Object.entries(rest).filter(([name]) => !ownColumns.has(name))),
  }
}

export function keyOfPair({ id, instruction, response }: CandidatePair): string {
  return rowKey(id, [instruction, response])
}
