// Any input as a stream of JSON objects, each with the place it came from. Which columns matter is for formats.ts.
import { stat } from 'node:fs/promises'
import { extname } from 'node:path'
import { BtError, messageOf } from '../errors.js'
import { inputChanged, type OpenedFile, type OpenOptions, openFile } from './bytes.js'
import { type Drops, malformedReason } from './drops.js'
import { readElements } from './elements.js'
import { type Line, readLines } from './lines.js'
import { readParquet } from './parquet.js'

export interface SourceRecord {
  value: Record<string, unknown>
  /** "file.jsonl:12", or "file.parquet:12" for the twelfth row. */
  place: string
}

export interface RecordOptions extends OpenOptions {
  /** Where unreadable lines are counted. */
  drops: Drops
}

/**
 * Reads JSONL, a JSON array or Parquet, packed with gzip or not; "-" is stdin. Unreadable lines are counted in
 * `drops` and passed over.
 * @throws {BtError} BT_DATA_FILE, BT_DATA_EMPTY, BT_DATA_ENCODING, BT_DATA_FORMAT for the file as a whole,
 *   BT_DATA_MALFORMED when no line of it can be read, BT_INPUT_CHANGED at the end of a file that was written to meanwhile
 */
export async function* readRecords(path: string, options: RecordOptions): AsyncGenerator<SourceRecord> {
  yield* recordsOf(path, await openFile(path, options), options)
}

/** As readRecords, from a file that is open already. */
export async function* recordsOf(path: string, file: OpenedFile, options: RecordOptions): AsyncGenerator<SourceRecord> {
  const { drops } = options
  const faultsBefore = drops.count(malformedReason)
  let readable = 0
  for await (const record of file.content === 'parquet' ? parquetRecords(path) : jsonRecords(file, drops)) {
    readable++
    yield record
  }
  const faults = drops.count(malformedReason) - faultsBefore
  if (readable > 0) return
  if (faults === 0) throw new BtError('BT_DATA_EMPTY', `${file.name}: there is no row in it`)
  const first = drops.malformed.find((one) => one.place.startsWith(`${file.name}:`))
  throw new BtError('BT_DATA_MALFORMED', `${first?.place ?? file.name}: ${first?.why}; no line of the file is better`, {
    remedy: remedyFor(path, first?.why ?? ''),
  })
}

function remedyFor(path: string, why: string): string {
  const known = 'JSONL (one object a line), a JSON array of objects, or Parquet was expected'
  if (/\.(csv|tsv)$/i.test(path)) return `${known}. Convert CSV first, for instance with DuckDB or pandas.`
  if (/cut off|JSON/.test(why) && extname(path).startsWith('.json')) {
    return `${known}. An object that spans lines becomes one line with: jq -c . ${path}`
  }
  return `${known}.`
}

async function* parquetRecords(path: string): AsyncGenerator<SourceRecord> {
  let row = 1
  const before = await stat(path)
  for await (const value of readParquet(path)) yield { value, place: `${path}:${row++}` }
  const after = await stat(path)
  if (before.size !== after.size || before.mtimeMs !== after.mtimeMs) throw inputChanged(path)
}

async function* jsonRecords(file: OpenedFile, drops: Drops): AsyncGenerator<SourceRecord> {
  const isArray = file.content === 'json-array'
  for await (const line of isArray ? readElements(file.bytes) : readLines(file.bytes)) {
    const place = 'item' in line ? `${file.name}:${line.number} (item ${line.item})` : `${file.name}:${line.number}`
    const result = parseObject(line)
    if (typeof result === 'string') drops.addMalformed(place, result)
    else yield { value: result, place }
  }
}

/** Levels of a record; writing it again takes a stack frame for each. */
const deepest = 500

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((one) => isDeeper(one, levels - 1))
}

/** The object of a line, or why there is none. */
function parseObject(line: Line): Record<string, unknown> | string {
  if (line.fault) return line.fault
  let value: unknown
  try {
    value = JSON.parse(line.text)
  } catch (error) {
    return `is not JSON: ${jsonFault(messageOf(error), line.text)}`
  }
  if (isObject(value)) return isDeeper(value, deepest) ? `is nested over ${deepest} levels deep` : value
  return `holds ${Array.isArray(value) ? 'a list' : JSON.stringify(value)?.slice(0, 40)}, an object was expected`
}

/** V8's words without the text that it repeats; a line that simply stops is told as such. */
function jsonFault(message: string, text: string): string {
  const position = Number(/at position (\d+)/.exec(message)?.[1] ?? 0)
  const stops = position >= text.length || /Unexpected end|Unterminated string/.test(message)
  if (stops) return `it stops after ${JSON.stringify(text.slice(-20))}`
  return message.replace(/, (".*"|\.\.\.".*) is not valid JSON$/s, '').replace(/ in JSON at position.*/s, '')
}

/** True for an object that is neither null nor a list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
