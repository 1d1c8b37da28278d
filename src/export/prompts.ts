// The rows that an exported model is compared on: the user's, those that the adapter was validated on, or the package's
// own examples.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { parseColumns } from '../data/formats.js'
import { loadPairs } from '../data/load.js'
import { splitValidation } from '../data/split.js'
import type { DataRow } from '../data/types.js'
import { BtError, hasCode } from '../errors.js'
import type { Located } from '../generate/load.js'
import { packageRoot } from '../paths.js'
import type { EncodedRow } from '../text/types.js'
import type { ExportOptions } from './options.js'

export interface ComparedRows {
  /** The file. */
  from: string
  rows: EncodedRow[]
}

/** The part of bt_native.json that tells which rows a run was validated on. */
const recordSchema = z.looseObject({
  options: z.looseObject({
    data: z.string(),
    validationData: z.string().optional(),
    validation: z.number(),
    columns: z.string().optional(),
  }),
})

/** Tokens of each target that are compared: a row's logits are its vocabulary times as many numbers. */
const targetTokens = 32

/**
 * The first rows that fit, by the adapter's own prompt.
 * @throws {BtError} BT_DATA_EMPTY when none does; what loadPairs throws for a file that was named
 */
export async function comparedRows(options: ExportOptions, located: Located): Promise<ComparedRows> {
  const { from, pairs } = await pairsOf(options, located)
  const { maxPositions } = located.source.config
  const longest = Math.min(options.maxTokens, maxPositions)
  const rows: EncodedRow[] = []
  for (const pair of pairs) {
    if (rows.length === options.rows) break
    const row = await encoded(pair, located, longest)
    if (row) rows.push(row)
  }
  if (rows.length > 0) return { from, rows }
  throw new BtError('BT_DATA_EMPTY', `${from}: no row fits into ${longest} tokens`, {
    remedy: 'Raise --max-tokens, name other rows with --prompts, or leave the comparison out with --rows 0.',
  })
}

async function pairsOf(options: ExportOptions, { adapter }: Located): Promise<{ from: string; pairs: DataRow[] }> {
  if (options.prompts !== undefined) {
    return { from: options.prompts, pairs: (await loadPairs(options.prompts)).rows }
  }
  const record = recordSchema.safeParse(adapter?.btNative)
  if (record.success) {
    const { data, validationData, validation, columns } = record.data.options
    const from = validationData ?? data
    // The run may have been made elsewhere: its files are looked for where it named them, and not missed.
    if (existsSync(from)) {
      const { rows } = await loadPairs(from, { columns: columns === undefined ? undefined : parseColumns(columns) })
      const kept = validationData === undefined ? splitValidation(rows, validation, 0).validation : rows
      return { from, pairs: kept.length > 0 ? kept : rows }
    }
  }
  const from = join(packageRoot, 'examples', 'seed.jsonl')
  return { from, pairs: (await loadPairs(from)).rows }
}

/** A row with no more of its target than is compared; undefined when it is too long. */
async function encoded(pair: DataRow, { template }: Located, maxTokens: number): Promise<EncodedRow | undefined> {
  try {
    const row = await template.encodePair(pair, maxTokens)
    return { ...row, tokens: row.tokens.subarray(0, row.targetStart + targetTokens) }
  } catch (error) {
    if (hasCode(error, 'BT_ROW_TOO_LONG')) return undefined
    throw error
  }
}
