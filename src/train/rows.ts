// The rows of a run: read, split, laid out by the template and encoded. What is kept of them is the caller's to say:
// training takes tokens alone, an audit all that there is to see.
import { parseColumns } from '../data/formats.js'
import { type LoadOptions, loadPairs } from '../data/load.js'
import { splitValidation } from '../data/split.js'
import type { DataRow, DropCount } from '../data/types.js'
import { BtError, hasCode } from '../errors.js'
import { openModel } from '../models/open.js'
import type { ModelSource } from '../models/types.js'
import type { OnProgress } from '../progress.js'
import type { EncodedRow, PromptTemplate, Tokenizer, TracedRow } from '../text/types.js'
import type { RowCounts } from './events.js'
import type { TrainOptions } from './options.js'

/** Rows before they are tokens. */
export interface RowSet {
  train: DataRow[]
  validation: DataRow[]
  dropped: DropCount[]
}

export interface RunTexts {
  tokenizer: Tokenizer
  template: PromptTemplate
  rows: RowSet
}

export interface PrepareControl {
  onProgress?: OnProgress
  signal?: AbortSignal
}

/**
 * Locates the model.
 * @throws {BtError} BT_USAGE for rows longer than the model's positions, and for a wrong --columns; what openModel throws
 */
export async function openSource(
  { model, maxTokens, columns }: Pick<TrainOptions, 'model' | 'maxTokens' | 'columns'>,
  control: PrepareControl,
): Promise<ModelSource> {
  if (columns !== undefined) parseColumns(columns) // said before anything is fetched
  const source = await openModel(model, control)
  const { maxPositions } = source.config
  if (maxPositions === 0 || maxTokens <= maxPositions) return source
  throw new BtError('BT_USAGE', `--max-tokens ${maxTokens}: ${source.name} reads at most ${maxPositions} tokens`, {
    remedy: `Give --max-tokens ${maxPositions} or less.`,
  })
}

/** Compiles the template and reads the rows. The tokenizer's library is read in for this alone. */
export async function openTexts(
  options: TrainOptions,
  source: ModelSource,
  control: PrepareControl,
): Promise<RunTexts> {
  const columns = options.columns === undefined ? undefined : parseColumns(options.columns)
  const { openTokenizer } = await import('../text/tokenizer.js')
  const { makeTemplate } = await import('../text/template.js')
  const tokenizer = await openTokenizer(source.tokenizer)
  const { task, ask, form } = options
  const template = await makeTemplate(task, tokenizer, source.tokenizer, { ask, form })
  return { tokenizer, template, rows: await readRows(options, { columns, signal: control.signal }) }
}

/** Not the run's seed: runs with other seeds are compared on the same validation rows. */
const splitSeed = 0

async function readRows(options: TrainOptions, how: LoadOptions): Promise<RowSet> {
  const { rows, dropped } = await loadPairs(options.data, how)
  if (!options.validationData) {
    const split = splitValidation(rows, options.validation, splitSeed)
    // So few rows that all fall on one side: better trained on than looked at.
    return split.train.length > 0 ? { ...split, dropped } : { train: rows, validation: [], dropped }
  }
  const validation = await loadPairs(options.validationData, how)
  return { train: rows, validation: validation.rows, dropped: [...dropped, ...validation.dropped] }
}

/** Rows encoded between two reports. */
const rowsPerReport = 512

/**
 * Token ids of all rows. Rows whose target alone does not fit are left out and listed; cut contexts are counted.
 * @param keep what stays of a row
 * @throws {BtError} BT_DATA_EMPTY when no row is left to train on
 */
export async function encodeTexts<Kept extends EncodedRow>(
  { rows, template }: RunTexts,
  maxTokens: number,
  keep: (row: DataRow, traced: TracedRow) => Kept,
  control: PrepareControl,
): Promise<{ train: Kept[]; validation: Kept[]; counts: RowCounts }> {
  const tooLong: string[] = []
  let done = 0
  const total = rows.train.length + rows.validation.length
  const encodeAll = async (set: DataRow[]) => {
    const kept: Kept[] = []
    for (let start = 0; start < set.length; start += rowsPerReport) {
      control.signal?.throwIfAborted()
      const part = set.slice(start, start + rowsPerReport)
      const traced = await Promise.all(part.map((row) => encodeOne(row, template, maxTokens)))
      for (const [index, row] of part.entries()) {
        const encoded = traced[index]
        if (encoded) kept.push(keep(row, encoded))
        else tooLong.push(row.id)
      }
      done += part.length
      control.onProgress?.({ label: 'reading rows', done, total, unit: 'rows' })
    }
    return kept
  }
  const train = await encodeAll(rows.train)
  const validation = await encodeAll(rows.validation)
  if (train.length === 0) {
    throw new BtError('BT_DATA_EMPTY', `none of the ${rows.train.length} rows fits into ${maxTokens} tokens`, {
      remedy: 'Raise --max-tokens.',
    })
  }
  return { train, validation, counts: countRows(train, validation, rows.dropped, tooLong) }
}

/** A row's tokens, or undefined when its target alone does not fit. */
async function encodeOne(row: DataRow, template: PromptTemplate, maxTokens: number): Promise<TracedRow | undefined> {
  try {
    return await template.encodePair(row, maxTokens)
  } catch (error) {
    if (!hasCode(error, 'BT_ROW_TOO_LONG')) throw error
    return undefined
  }
}

function countRows(
  train: readonly EncodedRow[],
  validation: readonly EncodedRow[],
  dropped: DropCount[],
  tooLong: string[],
): RowCounts {
  const sum = (of: (row: EncodedRow) => number) => train.reduce((total, row) => total + of(row), 0)
  return {
    train: train.length,
    validation: validation.length,
    dropped,
    cutRows: train.filter((row) => row.cut > 0).length,
    cutTokens: sum((row) => row.cut),
    tooLong: tooLong.length,
    tooLongExamples: tooLong.slice(0, 5),
    tokens: sum((row) => row.tokens.length),
    scoredTokens: sum((row) => row.tokens.length - row.targetStart),
  }
}
