// From options to what can be trained on: model, template, rows and their tokens. Nothing is computed and nothing is
// written here; libtorch is not needed yet.
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseColumns } from '../data/formats.js'
import { type LoadOptions, loadPairs } from '../data/load.js'
import { splitValidation } from '../data/split.js'
import type { DataRow, DropCount } from '../data/types.js'
import { BtError, hasCode } from '../errors.js'
import { openModel } from '../models/open.js'
import type { ModelSource } from '../models/types.js'
import type { OnProgress } from '../progress.js'
import type { EncodedRow, PromptTemplate, TemplateDescription } from '../text/types.js'
import type { RowCounts } from './events.js'
import type { TrainOptions } from './options.js'
import { dataHash, type RunIdentity } from './record.js'
import { type EncodedRows, type IdentifiedRow, openRowCache } from './row-cache.js'

/** Rows before they are tokens. */
interface RowSet {
  train: DataRow[]
  validation: DataRow[]
  dropped: DropCount[]
}

export interface Prepared {
  source: ModelSource
  template: TemplateDescription
  identity: RunIdentity
  /** Token ids of all rows: as they were kept of an earlier run, or encoded now. */
  encode(control: PrepareControl): Promise<EncodedRows>
}

export interface PrepareControl {
  onProgress?: OnProgress
  signal?: AbortSignal
}

/**
 * Locates the model, compiles the template and reads the rows; where a run before has encoded the very rows, neither
 * tokenizer nor texts are opened.
 * @throws {BtError} BT_USAGE for rows longer than the model's positions; what openModel, makeTemplate and loadPairs throw
 */
export async function prepare(options: TrainOptions, control: PrepareControl): Promise<Prepared> {
  const columns = options.columns === undefined ? undefined : parseColumns(options.columns)
  const source = await openModel(options.model, control)
  refuseTooLong(source, options.maxTokens)
  const cache = await openRowCache(options, source)
  const kept = await cache?.read()
  if (kept) {
    const identity = identityOf(options, source, kept)
    return { source, template: kept.template, identity, encode: async () => kept.rows }
  }
  const template = await openTemplate(options, source)
  const rows = await readRows(options, { columns, signal: control.signal })
  const texts = { template: template.describe(), data: dataHash(rows.train, rows.validation) }
  return {
    source,
    template: texts.template,
    identity: identityOf(options, source, texts),
    async encode(progress) {
      const encoded = await encodeRows(rows, template, options.maxTokens, progress)
      await cache?.write({ rows: encoded, ...texts })
      return encoded
    },
  }
}

/** The tokenizer's library is read in for this alone. */
async function openTemplate({ task, ask, form }: TrainOptions, source: ModelSource): Promise<PromptTemplate> {
  const { openTokenizer } = await import('../text/tokenizer.js')
  const { makeTemplate } = await import('../text/template.js')
  return makeTemplate(task, await openTokenizer(source.tokenizer), source.tokenizer, { ask, form })
}

function identityOf(
  options: TrainOptions,
  { name, reference, hash, parameters }: ModelSource,
  texts: Pick<RunIdentity, 'template' | 'data'>,
): RunIdentity {
  // A relative path would mean something else to who reads the adapter from another folder.
  const model = { name, reference: existsSync(reference) ? resolve(reference) : reference, hash, parameters }
  return { options, model, template: texts.template, data: texts.data }
}

function refuseTooLong({ name, config: { maxPositions } }: ModelSource, maxTokens: number): void {
  if (maxPositions === 0 || maxTokens <= maxPositions) return
  throw new BtError('BT_USAGE', `--max-tokens ${maxTokens}: ${name} reads at most ${maxPositions} tokens`, {
    remedy: `Give --max-tokens ${maxPositions} or less.`,
  })
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
 * @throws {BtError} BT_DATA_EMPTY when no row is left to train on
 */
async function encodeRows(
  rows: RowSet,
  template: PromptTemplate,
  maxTokens: number,
  control: PrepareControl,
): Promise<EncodedRows> {
  const tooLong: string[] = []
  let done = 0
  const total = rows.train.length + rows.validation.length
  const encodeAll = async (set: DataRow[]) => {
    const encoded: IdentifiedRow[] = []
    for (let start = 0; start < set.length; start += rowsPerReport) {
      control.signal?.throwIfAborted()
      const part = set.slice(start, start + rowsPerReport)
      const results = await Promise.all(part.map((row) => encodeOne(row, template, maxTokens, tooLong)))
      encoded.push(...results.filter((row) => row !== undefined))
      done += part.length
      control.onProgress?.({ label: 'reading rows', done, total, unit: 'rows' })
    }
    return encoded
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

/** A row's tokens, or undefined (and noted in `tooLong`) when its target alone does not fit. */
async function encodeOne(row: DataRow, template: PromptTemplate, maxTokens: number, tooLong: string[]) {
  try {
    return { id: row.id, ...(await template.encodePair(row, maxTokens)) }
  } catch (error) {
    if (!hasCode(error, 'BT_ROW_TOO_LONG')) throw error
    tooLong.push(row.id)
    return undefined
  }
}

function countRows(train: EncodedRow[], validation: EncodedRow[], dropped: DropCount[], tooLong: string[]): RowCounts {
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
