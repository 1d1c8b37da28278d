// The rows that training and evaluation use: any known format, held in memory, without empty and repeated ones.
import { BtError } from '../errors.js'
import type { Pair } from '../text/types.js'
import { inputName } from './bytes.js'
import { Drops } from './drops.js'
import { ExactDuplicates } from './duplicates.js'
import type { PairColumns } from './formats.js'
import { conversationId, isBroken, normaliseText } from './normalise.js'
import { type InputSummary, type ReadRow, readRows } from './rows.js'
import type { DataRow, DropCount } from './types.js'

export interface LoadOptions {
  columns?: PairColumns
  /** Stop at the first unreadable line. */
  strict?: boolean
  /** Keep repeated rows, as evaluation must. */
  keepDuplicates?: boolean
  /** Rows keep the whole conversation that they are the first pair of, with its system text or without. */
  conversations?: { system: boolean }
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
  const { columns, signal } = options
  for await (const read of readRows(path, { drops, summary, columns, signal })) {
    const { place } = read
    const reason = emptyReason(read.row)
    if (reason) {
      drops.add(reason, place)
      continue
    }
    const { row, broken } = options.conversations ? wholeRow(read, options.conversations) : { row: read.row }
    const first = options.keepDuplicates ? undefined : seen.seenAt(row.id, place)
    if (first) drops.add('duplicate', `${place} (same as ${first})`)
    else {
      rows.push(row)
      if (broken) drops.add(broken.reason, `${place} (${broken.where})`)
    }
  }
  if (rows.length === 0) throw nothingLeft(inputName(path), drops.counts())
  return { rows, dropped: drops.counts(), format: summary.format }
}

/** Reason under which later turns are counted that UTF-8 cannot hold. */
const brokenText = 'turns after one with half of a surrogate pair'

/** A row with its conversation up to the first turn that cannot be learned from, and why that is where it ends. */
function wholeRow(
  { row, conversation }: ReadRow,
  wanted: { system: boolean },
): { row: DataRow; broken?: { reason: string; where: string } } {
  if (!conversation) return { row }
  const exchanges: Pair[] = []
  let broken: { reason: string; where: string } | undefined
  for (const [at, raw] of conversation.exchanges.entries()) {
    const [instruction, response] = [normaliseText(raw.instruction), normaliseText(raw.response)]
    const unreadable = isBroken(raw.instruction) || isBroken(raw.response)
    const reason = unreadable ? brokenText : emptyReason({ instruction, response })
    if (reason) {
      broken = { reason, where: `exchange ${at + 1}` }
      break
    }
    exchanges.push({ instruction, response })
  }
  if (conversation.brokenOff) broken ??= { reason: conversation.brokenOff, where: `exchange ${exchanges.length + 1}` }
  const told = wanted.system ? (conversation.system ?? '') : ''
  const system = isBroken(told) ? '' : normaliseText(told)
  const whole = { ...(system ? { system } : {}), exchanges }
  const more = exchanges.length > 1 || system !== ''
  return {
    row: more ? { ...row, id: conversationId(whole), conversation: whole } : row,
    ...(broken ? { broken } : {}),
  }
}

/** Why a row without text on one side is left out. */
export function emptyReason(row: Pair): string | undefined {
  if (row.instruction === '') return 'empty instruction'
  return row.response === '' ? 'empty response' : undefined
}

export function nothingLeft(name: string, dropped: readonly DropCount[]): BtError {
  const why = dropped.map(({ reason, count, examples }) => `${count} ${reason} (${examples[0]})`).join(', ')
  return new BtError('BT_DATA_EMPTY', `${name}: no row is left${why ? `; left out: ${why}` : ''}`, {
    remedy: 'Look at the places named, or loosen the filters.',
  })
}
