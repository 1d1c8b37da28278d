// Texts that are to be given an instruction (or, forward, a response): one at a time, from whatever they stand in.
import { extname } from 'node:path'
import { BtError } from '../errors.js'
import type { Pair } from '../text/types.js'
import { type OpenedFile, openFile } from './bytes.js'
import { conversationOf, isTurnList, openEndOf, type Turn, turnsOf } from './conversation.js'
import type { Drops } from './drops.js'
import { maxRecordBytes, textFault, tooLong } from './lines.js'
import { isBroken, normaliseText } from './normalise.js'
import { recordsOf, type SourceRecord } from './records.js'

export interface TextRow {
  /** From 0, without gaps, over the rows that are given. */
  index: number
  /** Normalised, never empty. */
  text: string
  /** Every other column; of a conversation, the other side of its first pair, and its system text. */
  extra: Record<string, unknown>
  /** Of a conversation whose last exchange is asked for: those before it, normalised. */
  exchanges?: Pair[]
  /** "file.jsonl:12" */
  place: string
}

export interface ReadTextsOptions {
  /** Where unreadable and empty rows are counted. */
  drops: Drops
  /** Column with the text, in place of the usual ones. */
  column?: string | undefined
  /** Which side of a pair is wanted where there are both: 'response' by default. */
  side?: 'response' | 'instruction' | undefined
  /** Of a conversation: its first exchange (the default), or the last, of which the wanted side is there. */
  turns?: 'first' | 'last' | undefined
  onBytes?: ((bytes: number) => void) | undefined
}

/** Columns that hold the text, the first that is there wins. */
const usualColumns = {
  response: ['response', 'text', 'output', 'completion', 'answer', 'content'],
  instruction: ['instruction', 'prompt', 'question', 'query', 'text', 'input'],
}

/**
 * Streams texts from JSONL, a JSON array or Parquet (gzip too; "-" is stdin), or one text from a file that is plain
 * text. Memory does not grow with the file. Unreadable and empty rows are counted in `drops`.
 * @throws {BtError} as readRecords; BT_DATA_COLUMN naming the line when the column is not there
 */
export async function* readTexts(path: string, options: ReadTextsOptions): AsyncGenerator<TextRow> {
  const file = await openFile(path, options)
  let index = 0
  for await (const found of isPlainText(path, file)
    ? wholeText(file, options.drops)
    : columnTexts(path, file, options)) {
    const text = normaliseText(found.text)
    if (isBroken(text)) {
      options.drops.addMalformed(found.place, 'its text holds half of a surrogate pair, which UTF-8 cannot write')
    } else if (text === '') options.drops.add('empty text', found.place)
    else yield { ...found, text, index: index++ }
  }
}

/** A .txt or .md file is text whatever it begins with; what comes through a pipe, when it does not begin like JSON. */
function isPlainText(path: string, file: OpenedFile): boolean {
  if (file.content === 'parquet') return false
  if (/^\.(txt|text|md)$/.test(extname(path.replace(/\.gz$/, '')))) return true
  return path === '-' && file.content === 'text'
}

type Found = Omit<TextRow, 'index'>

async function* wholeText(file: OpenedFile, drops: Drops): AsyncGenerator<Found> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of file.bytes) {
    length += part.length
    if (length <= maxRecordBytes) parts.push(part)
  }
  const bytes = Buffer.concat(parts)
  const fault = length > maxRecordBytes ? tooLong(length, maxRecordBytes) : textFault(bytes)
  if (fault) drops.addMalformed(file.name, `the text ${fault}`)
  else yield { text: bytes.toString('utf8'), extra: {}, place: file.name }
}

async function* columnTexts(path: string, file: OpenedFile, options: ReadTextsOptions): AsyncGenerator<Found> {
  const side = options.side ?? 'response'
  let column = options.column
  for await (const record of recordsOf(path, file, options)) {
    column ??= findColumn(record, side)
    const found = column in record.value ? textOf(record, column, options) : missing(record, column)
    if ('text' in found) yield { ...found, place: record.place }
    else if (found.why) options.drops.addMalformed(record.place, found.why)
    else options.drops.add(found.reason, record.place)
  }
}

function findColumn(record: SourceRecord, side: 'response' | 'instruction'): string {
  const { value } = record
  const turns = ['messages', 'conversations', 'conversation'].find((name) => isTurnList(value[name]))
  const found = turns ?? usualColumns[side].find((name) => name in value)
  if (found) return found
  throw noColumn(record, `no column with the text, such as ${usualColumns[side].slice(0, 3).join(', ')}`)
}

function missing(record: SourceRecord, column: string): never {
  throw noColumn(record, `"${column}" is missing`)
}

function noColumn({ value, place }: SourceRecord, what: string): BtError {
  const here = Object.keys(value)
  return new BtError('BT_DATA_COLUMN', `${place}: ${what} (columns here: ${here.join(', ') || 'none'})`, {
    remedy: `Name the column that holds the text: --column ${here[0] ?? 'NAME'}`,
  })
}

type Unfit = { reason: string; why?: string }

function textOf({ value }: SourceRecord, column: string, { side = 'response', turns: which }: ReadTextsOptions) {
  const { [column]: content, ...extra } = value
  if (typeof content === 'string') return { text: content, extra }
  if (content === null) return { text: '', extra }
  if (!isTurnList(content)) return { reason: 'malformed', why: `"${column}" holds no text` } satisfies Unfit
  const turns = turnsOf(content)
  if (!Array.isArray(turns)) return turns
  const other = side === 'response' ? 'instruction' : 'response'
  if (which === 'last') return lastOf(turns, side, other, extra)
  const found = conversationOf(turns)
  if ('reason' in found) return found
  const pair = found.exchanges[0]!
  const told = found.system === undefined ? {} : { system: found.system }
  return { text: pair[side], extra: { ...extra, ...told, [other]: pair[other] } }
}

type Side = 'response' | 'instruction'

function lastOf(turns: Turn[], side: Side, other: Side, extra: Record<string, unknown>) {
  const found = openEndOf(turns, side === 'response' ? 'assistant' : 'user')
  if ('reason' in found) return found
  const { given, reference, system } = found
  const exchanges = found.exchanges.map(({ instruction, response }) => ({
    instruction: normaliseText(instruction),
    response: normaliseText(response),
  }))
  if (exchanges.some(({ instruction, response }) => isBroken(instruction) || isBroken(response))) {
    return {
      reason: 'malformed',
      why: 'a turn holds half of a surrogate pair, which UTF-8 cannot write',
    } satisfies Unfit
  }
  const told = system === undefined ? {} : { system }
  return { text: given, extra: { ...extra, ...told, [other]: reference }, exchanges }
}
