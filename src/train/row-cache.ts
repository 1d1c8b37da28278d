// Token ids of a run's rows, kept: a second run on the same data needs neither the texts nor the tokenizer. An entry is
// found by everything that the ids are a function of.
import { stat } from 'node:fs/promises'
import { type Cache, cacheKey, codeStamp, readEntry, writeEntry } from '../cache.js'
import { sha256File } from '../files.js'
import type { ModelSource } from '../models/types.js'
import type { EncodedRow, TemplateDescription } from '../text/types.js'
import type { RowCounts } from './events.js'
import type { TrainOptions } from './options.js'

/** A row's tokens, with rowName()'s id: for messages and samples. */
export interface IdentifiedRow extends EncodedRow {
  id: string
}

/** A row's id: the DataRow's; with the first exchange that it scores, from 1, where its conversation gives several rows. */
export function rowName(id: string, exchange?: number): string {
  return exchange === undefined ? id : `${id}#${exchange}`
}

export interface EncodedRows {
  train: IdentifiedRow[]
  validation: IdentifiedRow[]
  counts: RowCounts
}

/** What an entry holds. */
export interface KeptRows {
  rows: EncodedRows
  template: TemplateDescription
  /** As RunIdentity's `data`. */
  data: string
}

export interface RowCache {
  read(): Promise<KeptRows | undefined>
  /** Keeps the rows, unless a file was changed since the cache was opened. */
  write(kept: KeptRows): Promise<void>
}

/** Four bytes a token: some fifty data sets of the size that one trains on. */
const rowFiles: Cache = { name: 'rows', maxBytes: 1_000_000_000, maxEntries: 256 }

/** Undefined where the rows come from something that can be read once (a pipe), or not at all. */
export async function openRowCache(options: TrainOptions, source: ModelSource): Promise<RowCache | undefined> {
  const paths = [options.data, options.validationData].filter((path) => path !== undefined)
  const stamps = await stampsOf(paths)
  if (!stamps) return undefined
  const { task, ask, form, maxTokens, validation, columns, turns, skipEmpty } = options
  const shaping = [task, ask ?? null, form ?? null, maxTokens, validation, columns ?? null, turns, skipEmpty]
  // Paths stand in the places of rows that were left out.
  const files = await Promise.all(paths.map(async (path) => [path, await sha256File(path)])).catch(() => undefined)
  if (!files) return undefined // whoever reads the rows says what is wrong
  const key = cacheKey([codeStamp('data', 'text', 'train'), source.hash, shaping, files])
  return {
    async read() {
      const bytes = await readEntry(rowFiles, key)
      return bytes && decode(bytes)
    },
    async write(kept) {
      if ((await stampsOf(paths)) === stamps) await writeEntry(rowFiles, key, encode(kept))
    },
  }
}

/** Tells whether files were changed meanwhile; undefined when one is no regular file. */
async function stampsOf(paths: string[]): Promise<string | undefined> {
  const found = await Promise.all(paths.map((path) => stat(path, { bigint: true }).catch(() => undefined)))
  if (found.some((one) => !one?.isFile())) return undefined
  return found.map((one) => [one!.ino, one!.size, one!.mtimeNs, one!.ctimeNs].join()).join(' ')
}

/** First line of an entry. */
interface Head extends Omit<KeptRows, 'rows'> {
  counts: RowCounts
  train: number
  validation: number
  /** Tokens of all rows, and numbers in their gaps. */
  tokens: number
  gaps: number
}

/**
 * A line of JSON, spaces to a multiple of four bytes, then arrays of Int32: length, targetStart, cut, numbers in its gaps
 * and exchange in its id (or 0) of each row (training, then validation); all gaps end to end, and all tokens. Last, the
 * ids of the rows without their exchanges: 8 bytes each.
 */
function encode({ rows: { train, validation, counts }, template, data }: KeptRows): Uint8Array[] {
  const all = [...train, ...validation]
  const tokens = all.reduce((sum, row) => sum + row.tokens.length, 0)
  const gaps = all.flatMap((row) => Array.from(row.gaps ?? []))
  const sizes = { train: train.length, validation: validation.length, tokens, gaps: gaps.length }
  const head: Head = { template, data, counts, ...sizes }
  const names = all.map(({ id }) => id.split('#'))
  const line = Buffer.from(`${JSON.stringify(head)}\n`)
  const perRow = [
    Int32Array.from(all, (row) => row.tokens.length),
    Int32Array.from(all, (row) => row.targetStart),
    Int32Array.from(all, (row) => row.cut),
    Int32Array.from(all, (row) => row.gaps?.length ?? 0),
    Int32Array.from(names, ([, exchange]) => Number(exchange ?? 0)),
    Int32Array.from(gaps),
  ]
  const joined = new Int32Array(tokens)
  let at = 0
  for (const row of all) {
    joined.set(row.tokens, at)
    at += row.tokens.length
  }
  const padding = Buffer.alloc(-line.length & 3, ' ')
  const ids = Buffer.from(names.map(([hash]) => hash).join(''), 'hex')
  return [line, padding, ...[...perRow, joined].map((array) => new Uint8Array(array.buffer)), ids]
}

type Columns = [Int32Array, Int32Array, Int32Array, Int32Array, Int32Array]

/** Rows are views of the entry's bytes. */
function decode(bytes: Buffer): KeptRows {
  const end = bytes.indexOf(10) + 1
  const { template, data, counts, train, validation, ...sizes } = JSON.parse(bytes.toString('utf8', 0, end)) as Head
  const rows = train + validation
  let at = bytes.byteOffset + end + (-end & 3)
  const take = (length: number) => {
    const array = new Int32Array(bytes.buffer, at, length)
    at += array.byteLength
    return array
  }
  const [lengths, targetStarts, cuts, gapCounts, exchanges] = Array.from({ length: 5 }, () => take(rows)) as Columns
  const [allGaps, joined] = [take(sizes.gaps), take(sizes.tokens)]
  const ids = bytes.toString('hex', at - bytes.byteOffset)
  let start = 0
  let gap = 0
  const all = Array.from(lengths, (length, row): IdentifiedRow => {
    const own = joined.subarray(start, start + length)
    start += length
    const gaps = allGaps.subarray(gap, gap + gapCounts[row]!)
    gap += gaps.length
    const id = rowName(ids.slice(16 * row, 16 * row + 16), exchanges[row] || undefined)
    const gapped = gaps.length > 0 ? { gaps } : {}
    return { id, tokens: own, targetStart: targetStarts[row]!, ...gapped, cut: cuts[row]! }
  })
  return { template, data, rows: { train: all.slice(0, train), validation: all.slice(train), counts } }
}
