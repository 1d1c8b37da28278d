// The rules that leave rows out, in one order for all: each row that goes is counted under the first rule it breaks.
import { BtError } from '../errors.js'
import type { Drops } from './drops.js'
import { ExactDuplicates } from './duplicates.js'
import { languageFilter } from './language.js'
import { emptyReason } from './load.js'
import { NearDuplicates } from './near-duplicates.js'
import { characterCount } from './normalise.js'
import type { ReadRow } from './rows.js'

/** Which rows are kept. */
export interface FilterOptions {
  /** Keep conversations of exactly one instruction and one response. */
  singleTurn?: boolean | undefined
  /** Languages to keep, by ISO 639-1 code. */
  lang?: readonly string[] | undefined
  /** Keep rows ranked this or better (0 is best); rows that nobody ranked go. */
  maxRank?: number | undefined
  /** Limits in characters, both ends included. */
  minInstruction?: number | undefined
  maxInstruction?: number | undefined
  minResponse?: number | undefined
  maxResponse?: number | undefined
  /** Jaccard similarity from which a row nearly repeats an earlier one; false for off; 0.85 by default. */
  nearDuplicates?: number | false | undefined
}

export interface RowFilter {
  /** Whether the row stays; when not, it has been counted. */
  keeps(read: ReadRow): boolean
  readonly languageDetected: number
  /** Rows kept because their text does not tell its language. */
  readonly languageUnsure: number
}

/** @throws {BtError} BT_USAGE for limits that make no sense */
export async function openFilter(options: FilterOptions, drops: Drops): Promise<RowFilter> {
  checkLimits(options)
  const language = options.lang?.length ? await languageFilter(options.lang) : undefined
  const exact = new ExactDuplicates()
  const threshold = options.nearDuplicates ?? 0.85
  const near = threshold === false ? undefined : new NearDuplicates(threshold)
  let languageUnsure = 0

  const otherLanguage = (read: ReadRow): boolean => {
    const verdict = language?.judge(read)
    if (verdict === 'unsure') languageUnsure++
    return verdict === 'other'
  }
  /** Reason and, for a duplicate, the place of the row that stays. */
  const reasonFor = (read: ReadRow): { reason: string; like?: string } | undefined => {
    const { row, place } = read
    const plain =
      emptyReason(row) ??
      (options.singleTurn && row.multiTurn ? 'multi-turn conversation' : undefined) ??
      rankReason(read, options.maxRank) ??
      lengthReason(read, options) ??
      (otherLanguage(read) ? 'other language' : undefined)
    if (plain) return { reason: plain }
    const same = exact.seenAt(row.id, place)
    if (same) return { reason: 'duplicate', like: same }
    const like = near?.seenAt(`${row.instruction}\n${row.response}`, place)
    return like === undefined ? undefined : { reason: 'near-duplicate', like }
  }
  return {
    keeps(read) {
      const why = reasonFor(read)
      if (why) drops.add(why.reason, why.like ? `${read.place} (like ${why.like})` : read.place)
      return why === undefined
    },
    get languageDetected() {
      return language?.detected ?? 0
    },
    get languageUnsure() {
      return languageUnsure
    },
  }
}

function rankReason({ rank }: ReadRow, maxRank: number | undefined): string | undefined {
  if (maxRank === undefined) return undefined
  if (rank === undefined) return 'not ranked'
  return rank > maxRank ? `rank above ${maxRank}` : undefined
}

function lengthReason({ row }: ReadRow, options: FilterOptions): string | undefined {
  for (const side of ['instruction', 'response'] as const) {
    const least = side === 'instruction' ? options.minInstruction : options.minResponse
    const most = side === 'instruction' ? options.maxInstruction : options.maxResponse
    if (least === undefined && most === undefined) continue
    const length = characterCount(row[side])
    if (least !== undefined && length < least) return `${side} under ${least} characters`
    if (most !== undefined && length > most) return `${side} over ${most} characters`
  }
  return undefined
}

function checkLimits(options: FilterOptions): void {
  const { minInstruction = 0, maxInstruction, minResponse = 0, maxResponse, nearDuplicates } = options
  if (minInstruction > (maxInstruction ?? minInstruction) || minResponse > (maxResponse ?? minResponse)) {
    throw new BtError('BT_USAGE', 'a smallest length is above the largest: no row could pass')
  }
  if (typeof nearDuplicates === 'number' && !(nearDuplicates > 0 && nearDuplicates <= 1)) {
    throw new BtError('BT_USAGE', `near-duplicates: ${nearDuplicates} is no similarity`, {
      remedy: 'Give a number above 0, at most 1, such as 0.85, or "off".',
    })
  }
}
