// What a training run would see, without training: the same options, the same rows, the same tokens. libtorch is not
// needed. How it is drawn is the report folder's affair.
import { scoredCount, scoredSpans } from '../data/packing.js'
import type { DataRow } from '../data/types.js'
import { BtError } from '../errors.js'
import { randomAt } from '../metrics/random.js'
import type { Audit, AuditRowSize, AuditToken, Spread } from '../report/audit.js'
import { spellTokens } from '../text/spell.js'
import type { Tokenizer, TracedRow } from '../text/types.js'
import { completeOptions, type TrainInput, type TrainOptions } from './options.js'
import { overlapOf } from './overlap.js'
import { encodeTexts, hasConversations, openSource, openTexts, type PrepareControl, withoutTarget } from './rows.js'

/** Which rows are shown token by token. */
export interface AuditChoice {
  /** So many training rows, chosen by the run's seed: 6 by default. */
  rows?: number
  /**
   * These in their place: an id or at least 4 digits that it begins with, or the number of a training row as messages of
   * `bt-native train` have it.
   */
  row?: readonly string[]
}

/** A row that is trained or validated on, with all that there is to see of it. */
interface SeenRow extends TracedRow {
  row: DataRow
  id: string
  set: 'train' | 'validation'
  number: number
}

/** Rows in the lists of the longest and of the most cut. */
const listed = 5

/**
 * Reads and encodes the rows as `train` with these options would, and tells what it saw.
 * @throws {BtError} BT_USAGE for options, and for a `row` that is not there; what reading the model and the data throws;
 * the signal's reason
 */
export async function audit(input: TrainInput, choice: AuditChoice = {}, control: PrepareControl = {}): Promise<Audit> {
  const options = completeOptions(input)
  const source = await openSource(options, control)
  // What training refuses is shown here.
  const texts = await openTexts({ ...options, skipEmpty: true }, source, control)
  const encoded = await encodeTexts(texts, options, seen, control)
  const train = numbered(encoded.train, 'train')
  const validation = numbered(encoded.validation, 'validation')
  const { template, tokenizer, rows } = texts
  const { dropped, tooLong, tooLongExamples, cutRows, cutTokens, targets, tokens, scoredTokens } = encoded.counts
  const refused = withoutTarget(dropped, options.task).reduce((sum, { count }) => sum + count, 0)
  const fits = { reason: tooLongReason(options), count: tooLong, examples: tooLongExamples }
  const leftOut = [...dropped, ...(tooLong > 0 ? [fits] : [])]
  const inOrder = (by: (row: SeenRow) => number) => train.toSorted((a, b) => by(b) - by(a)).slice(0, listed)
  return {
    model: source.name,
    data: options.data,
    ...(options.validationData === undefined ? {} : { validationData: options.validationData }),
    template: template.describe(hasConversations(rows)),
    ends: template.stopTokens.map((id) => ({ id, text: tokenizer.tokenText(id) })),
    maxTokens: options.maxTokens,
    train: train.length,
    validation: validation.length,
    turns: options.turns,
    ...{ targets, tokens, scoredTokens, cutRows, cutTokens },
    rowsWithoutTarget: [...train, ...validation].filter((row) => scoredCount(row) === 0).length,
    leftOutWithoutTarget: tooLong + refused,
    refusedRows: options.skipEmpty ? 0 : refused,
    leftOut,
    lengths: spreadOf(train.map((row) => row.tokens.length)),
    targetLengths: spreadOf(train.map(scoredCount)),
    longest: inOrder((row) => row.tokens.length).map(sizeOf),
    mostCut: inOrder((row) => row.cut)
      .filter((row) => row.cut > 0)
      .map(sizeOf),
    overlap: overlapOf(rows.train, rows.validation, options.task),
    rows: chosen(train, validation, choice, options).map((row) => ({
      ...sizeOf(row),
      parts: partsOf(row, tokenizer),
    })),
  }
}

type Unnumbered = Omit<SeenRow, 'set' | 'number'>

const seen = (row: DataRow, traced: TracedRow, id: string): Unnumbered => ({ row, id, ...traced })

function numbered(rows: readonly Unnumbered[], set: SeenRow['set']): SeenRow[] {
  return rows.map((row, number) => ({ ...row, set, number }))
}

function tooLongReason({ maxTokens }: TrainOptions): string {
  return `target does not fit into ${maxTokens} tokens`
}

function sizeOf(row: SeenRow): AuditRowSize {
  const { source } = row.row
  return {
    set: row.set,
    row: row.number,
    id: row.id,
    ...(source === undefined ? {} : { source }),
    tokens: row.tokens.length,
    scored: scoredCount(row),
    cut: row.cut,
  }
}

/** The row's tokens in order, with the dropped ones where they stood. */
function partsOf(row: SeenRow, tokenizer: Tokenizer): AuditToken[] {
  const { tokens, dropped } = row
  const kept = spellTokens(tokens, tokenizer).map((token): AuditToken => ({ ...token, kind: 'context' }))
  for (const [start, end] of scoredSpans(row)) for (const token of kept.slice(start, end)) token.kind = 'scored'
  const parts: AuditToken[] = []
  let from = 0
  for (const { at, tokens: ids } of dropped) {
    parts.push(...kept.slice(from, at))
    parts.push(...spellTokens(ids, tokenizer).map((token): AuditToken => ({ ...token, kind: 'cut' })))
    from = at
  }
  return [...parts, ...kept.slice(from)]
}

/** Bins of a histogram. */
const mostBins = 16

/** @param lengths not empty */
export function spreadOf(lengths: readonly number[]): Spread {
  const sorted = Int32Array.from(lengths).sort()
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]!
  const [shortest, longest] = [sorted[0]!, sorted.at(-1)!]
  const width = Math.ceil((longest - shortest + 1) / mostBins)
  const bins = Array.from({ length: Math.ceil((longest - shortest + 1) / width) }, (_, bin) => {
    const from = shortest + bin * width
    return { from, to: Math.min(from + width - 1, longest), rows: 0 }
  })
  for (const length of lengths) bins[Math.floor((length - shortest) / width)]!.rows++
  return { shortest, median: at(0.5), p95: at(0.95), longest, bins }
}

const defaultRows = 6

function chosen(train: SeenRow[], validation: SeenRow[], choice: AuditChoice, options: TrainOptions): SeenRow[] {
  if (choice.row && choice.row.length > 0) {
    return choice.row.map((wanted) => findRow(wanted, train, validation, options))
  }
  const draw = randomAt(options.seed, 'audit')
  return train
    .toSorted((a, b) => draw(a.number) - draw(b.number))
    .slice(0, choice.rows ?? defaultRows)
    .sort((a, b) => a.number - b.number)
}

/** Digits of an id that name a row. */
const leastDigits = 4

function findRow(wanted: string, train: SeenRow[], validation: SeenRow[], options: TrainOptions): SeenRow {
  const all = [...train, ...validation]
  const exact = all.find(({ id }) => id === wanted)
  if (exact) return exact
  const number = /^\d+$/.test(wanted) ? train[Number(wanted)] : undefined
  if (number) return number
  const near = wanted.length < leastDigits ? [] : all.filter(({ id }) => id.startsWith(wanted.toLowerCase()))
  if (near.length === 1) return near[0]!
  const ids = near.slice(0, 5).map(({ id }) => id)
  throw new BtError(
    'BT_USAGE',
    near.length > 1
      ? `row ${wanted}: ${near.length} rows begin so (${ids.join(', ')}${near.length > 5 ? ', …' : ''})`
      : `row ${wanted}: no row that is trained or validated on has this id or number`,
    {
      remedy: `Give an id, at least ${leastDigits} digits of one, or a number from 0 to ${train.length - 1}. Rows that were left out of ${options.data} have none.`,
    },
  )
}
