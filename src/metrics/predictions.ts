// Files of written texts, and of the true ones, as rows to evaluate: which column holds what, and which true text belongs
// to which row. The formats themselves are read by the data folder.
import { Drops } from '../data/drops.js'
import { isBroken, normaliseText } from '../data/normalise.js'
import { readRecords, type SourceRecord } from '../data/records.js'
import type { DropCount } from '../data/types.js'
import { BtError } from '../errors.js'
import type { Task } from '../text/types.js'
import type { EvaluationRow } from './types.js'

/** Which column holds what, in place of the usual names. */
export interface EvaluationColumns {
  /** What the model wrote. */
  prediction?: string
  /** The true text: in the file of references if there is one, else beside the prediction. */
  reference?: string
  /** The text that was given. */
  response?: string
  id?: string
  source?: string
}

/** Where predictions and true texts stand. */
export interface ReadEvaluationOptions {
  predictions: readonly string[]
  /** A file with the true texts, joined by id, by the text that was given, or by order. */
  references?: string
  columns?: EvaluationColumns
  /** Backward: instructions were written for responses. Forward: the reverse. Default 'backward'. */
  task?: Task
  /** Ends the reading between two rows. */
  signal?: AbortSignal
}

/** A row of a file of predictions. */
export interface PredictionRow extends EvaluationRow {
  id?: string
  /** "file.jsonl:12" */
  place: string
}

/** Predictions with their true texts, as evaluate() takes them. */
export interface EvaluationInput {
  rows: PredictionRow[]
  /** How the true texts were found: in the predictions' own rows, or in another file by id, by given text, by order. */
  joined: 'own' | 'id' | 'text' | 'order'
  /** Lines that could not be read, by reason. */
  dropped: DropCount[]
}

/** Usual names, the first that is there wins. */
const usual: Record<Task, { prediction: string[]; response: string[]; truth: string[] }> = {
  backward: {
    prediction: ['prediction', 'generated', 'instruction'],
    response: ['response', 'output', 'text'],
    truth: ['reference', 'instruction', 'prompt', 'question', 'query'],
  },
  forward: {
    prediction: ['prediction', 'generated', 'response'],
    response: ['instruction', 'prompt', 'question', 'query'],
    truth: ['reference', 'response', 'output', 'completion', 'answer'],
  },
}

/**
 * Reads predictions (what `bt-native generate` writes, or columns named by `columns`) and their true texts. JSONL, JSON
 * arrays and Parquet, gzip too.
 * @throws {BtError} what reading throws; BT_DATA_COLUMN for a row without prediction; BT_REFERENCES when the true texts
 * do not belong to the predictions, by id or by order; the signal's reason
 */
export async function readEvaluation(options: ReadEvaluationOptions): Promise<EvaluationInput> {
  const { columns = {}, task = 'backward', references, signal } = options
  const drops = new Drops()
  const rows: PredictionRow[] = []
  const truths: Truth[] = []
  // A name for the true texts is meant for the file of references where there is one; other names may be for either.
  const optional = (name: string | undefined, value: object) => (name !== undefined && name in value ? name : undefined)
  const ownColumns = (value: object): EvaluationColumns =>
    references === undefined
      ? columns
      : {
          ...columns,
          reference: undefined,
          response: optional(columns.response, value),
          source: optional(columns.source, value),
        }
  for (const path of options.predictions) {
    for await (const record of readRecords(path, { drops, signal })) {
      signal?.throwIfAborted()
      const row = predictionOf(record, ownColumns(record.value), task)
      if (isWhole(row.prediction, row.reference, row.response)) rows.push(row)
      else drops.addMalformed(record.place, brokenText)
    }
  }
  if (references === undefined) return { rows, joined: 'own', dropped: drops.counts() }
  for await (const record of readRecords(references, { drops, signal })) {
    signal?.throwIfAborted()
    const truth = truthOf(record, columns, task)
    if (isWhole(truth.reference, truth.response)) truths.push(truth)
    else drops.addMalformed(record.place, brokenText)
  }
  return { ...join(rows, truths, references), dropped: drops.counts() }
}

const brokenText = 'its text holds half of a surrogate pair, which UTF-8 cannot write'

function isWhole(...texts: (string | undefined)[]): boolean {
  return !texts.some((text) => text !== undefined && isBroken(text))
}

function predictionOf(record: SourceRecord, columns: EvaluationColumns, task: Task): PredictionRow {
  const names = usual[task]
  const text = (name: string | undefined, fallback: string[]) => textColumn(record, name, fallback)
  const prediction = text(columns.prediction, names.prediction)
  if (prediction === undefined) throw noColumn(record, columns.prediction ?? names.prediction.join(', '), 'prediction')
  return definedOnly({
    prediction,
    // Only "reference" is read from a predictions file: its "instruction" is what was written.
    reference: normalised(text(columns.reference, ['reference'])),
    response: text(columns.response, names.response),
    source: text(columns.source, ['source']),
    finish: text(undefined, ['finish']),
    id: idOf(record, columns),
    place: record.place,
  })
}

interface Truth {
  reference: string
  response?: string
  id?: string
  source?: string
  place: string
}

function truthOf(record: SourceRecord, columns: EvaluationColumns, task: Task): Truth {
  const names = usual[task]
  const reference = normalised(textColumn(record, columns.reference, names.truth))
  if (reference === undefined) throw noColumn(record, columns.reference ?? names.truth.join(', '), 'reference')
  return definedOnly({
    reference,
    // These may stand in either file, so a name need not be that of a column here.
    response: textColumn(record, undefined, columns.response ? [columns.response] : names.response),
    source: textColumn(record, undefined, [columns.source ?? 'source']),
    id: idOf(record, columns),
    place: record.place,
  })
}

/** By id, or else by the text that was given, where that finds all; else by order. */
function join(rows: PredictionRow[], truths: Truth[], file: string): Omit<EvaluationInput, 'dropped'> {
  const byId = firstBy(truths, ({ id }) => id)
  const byText = firstBy(truths, ({ response }) => response && normaliseText(response))
  let joined: EvaluationInput['joined'] = 'id'
  const found = rows.map((row) => {
    const sameId = byId.get(row.id ?? '')
    if (sameId && !isOther(row.response, sameId.response)) return sameId
    joined = 'text'
    return byText.get(normaliseText(row.response ?? ''))
  })
  const lost = found.indexOf(undefined)
  if (lost < 0) return { rows: rows.map((row, at) => withTruth(row, found[at]!)), joined }
  checkOrder(rows, truths, file, lost)
  return { rows: rows.map((row, at) => withTruth(row, truths[at]!)), joined: 'order' }
}

/** @throws {BtError} BT_REFERENCES when the two cannot be row for row */
function checkOrder(rows: readonly PredictionRow[], truths: readonly Truth[], file: string, lost: number): void {
  const remedy = 'Give the file that the predictions were made from, or name its id column: --columns id=NAME.'
  if (rows.length !== truths.length) {
    throw new BtError(
      'BT_REFERENCES',
      `${rows[lost]!.place}: neither its id nor its text is in ${file}, and ${truths.length} references for ${rows.length} predictions cannot be joined by order`,
      { remedy },
    )
  }
  const stray = rows.findIndex((row, at) => isOther(row.response, truths[at]!.response))
  if (stray >= 0) {
    const places = `${rows[stray]!.place} and ${truths[stray]!.place}`
    throw new BtError('BT_REFERENCES', `${places} hold different texts: the references are in another order`, {
      remedy,
    })
  }
}

/** The first truth of each key; those without one are left out. */
function firstBy(truths: readonly Truth[], key: (truth: Truth) => string | undefined): Map<string, Truth> {
  const known = new Map<string, Truth>()
  for (const truth of truths) {
    const name = key(truth)
    if (name && !known.has(name)) known.set(name, truth)
  }
  return known
}

/** Whether two texts are there and differ. */
function isOther(one: string | undefined, other: string | undefined): boolean {
  return one !== undefined && other !== undefined && normaliseText(one) !== normaliseText(other)
}

function withTruth(row: PredictionRow, { reference, response, source }: Truth): PredictionRow {
  return definedOnly({ ...row, reference, response: row.response ?? response, source: row.source ?? source })
}

function textColumn({ value, place }: SourceRecord, name: string | undefined, fallback: string[]): string | undefined {
  if (name !== undefined && !(name in value)) throw noColumn({ value, place }, name)
  const contents = (name === undefined ? fallback : [name]).map((one) => value[one])
  return contents.find((content) => typeof content === 'string')
}

function idOf(record: SourceRecord, columns: EvaluationColumns): string | undefined {
  const id = record.value[columns.id ?? 'id']
  return typeof id === 'string' || typeof id === 'number' ? String(id) : undefined
}

function noColumn({ value, place }: SourceRecord, wanted: string, role?: string): BtError {
  const here = Object.keys(value)
  return new BtError('BT_DATA_COLUMN', `${place}: no text in ${wanted} (columns here: ${here.join(', ') || 'none'})`, {
    remedy: role && `Name the column: --columns ${role}=${here[0] ?? 'NAME'}`,
  })
}

function normalised(text: string | undefined): string | undefined {
  return text === undefined ? undefined : normaliseText(text)
}

function definedOnly<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T
}
