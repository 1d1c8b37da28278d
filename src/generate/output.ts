// The file that rows go to as they are made: goes on where it was, refuses other options, is written by one process at a
// time. A .json or .parquet output is made from a JSONL work log at the end. Knows nothing of models.
import { mkdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { type JsonlAppender, openJsonlAppender, writeJsonFromJsonl } from '../data/appender.js'
import { Drops } from '../data/drops.js'
import { lockPath } from '../data/lock.js'
import { type ParquetColumns, writeParquetFromJsonl } from '../data/parquet-write.js'
import { readRecords } from '../data/records.js'
import { BtError, hasCode } from '../errors.js'
import { sha256, writeFileAtomic } from '../files.js'
import type { Shard } from './shard.js'

/**
 * Everything that the rows are a function of, but the input: name and value, as a person reads them. A value that is
 * not known yet is undefined, and agrees with any.
 */
export type Fingerprint = Record<string, string | number | boolean | null | undefined>

/** Content of OUTPUT.meta.json. */
export interface Meta {
  version: string
  fingerprint: Fingerprint
  /** What was read: same path, size and time mean the same rows. */
  input: InputStamp
  finished: boolean
  rows?: number
  /** Which of an array job's outputs it is. */
  shard?: Shard
}

export type InputStamp = { path: string; bytes: number; modified: number; limit: number | null }

export interface OutputOptions {
  fingerprint: Fingerprint
  version: string
  input: string
  limit?: number
  /** What was read, where that is known already: then `input` and `limit` are not looked at. */
  stamp?: InputStamp
  force: boolean
  shard?: Shard
  /** What a row is told apart by: rowKey() of its id and what was given. */
  keyOf(row: Record<string, unknown>): string
  /** What a .parquet output has. */
  columns: ParquetColumns
}

/** An output that this process alone may write, untouched yet. */
export interface ReservedOutput {
  /**
   * Takes up the rows that are there or, with force, drops them.
   * @throws {BtError} as reserveOutput, which did not know the whole fingerprint; BT_OUTPUT_DAMAGED
   */
  open(fingerprint: Fingerprint): Promise<OutputFile>
  /** Closes what was opened and gives the lock back. */
  release(): Promise<void>
}

export interface StoredRow {
  key: string
  row: Record<string, unknown>
}

export interface OutputFile {
  /** Rows that are there. */
  readonly rows: number
  /** Those rows and their keys, in order, read from the file. */
  stored(): AsyncIterable<StoredRow>
  append(...rows: object[]): Promise<void>
  /** Marks the output as complete; makes the .json or .parquet. */
  finish(): Promise<void>
}

/** Tells rows apart by id and given text: 16 hex digits. */
export function rowKey(id: unknown, text: unknown): string {
  return sha256(JSON.stringify([id, text])).slice(0, 16)
}

/** Rows of an output that is complete for this very input, else undefined. Costs no lock and reads no input. */
export async function finishedRows(path: string, options: OutputOptions): Promise<number | undefined> {
  if (path === '-' || options.force) return undefined
  const meta = await readMeta(path)
  if (!meta) return undefined
  refuseOther(path, meta.fingerprint, options.fingerprint)
  if (!meta.finished || !(await exists(path))) return undefined
  const stamp = await stampOf(options)
  return JSON.stringify(stamp) === JSON.stringify(meta.input) && stamp.bytes >= 0 ? meta.rows : undefined
}

/**
 * Locks an output and looks whether it can be written: "-" for stdout, .jsonl, .jsonl.gz, or .json and .parquet with their
 * work log beside them.
 * @throws {BtError} BT_LOCKED, BT_OUTPUT_CHANGED when its rows were made with other options or, for a finished .json,
 * another
 * input; BT_OUTPUT_EXISTS when it is not ours; BT_USAGE for another ending
 */
export async function reserveOutput(path: string, options: OutputOptions): Promise<ReservedOutput> {
  if (path === '-') return { open: async () => standardOutput(), release: async () => undefined }
  const log = logOf(path)
  await mkdir(dirname(path), { recursive: true })
  const isNew = !(await exists(log))
  const lock = await lockPath(log, path)
  let opened: JsonlAppender | undefined
  const release = async () => {
    try {
      await opened?.close()
      // The lock made an empty file: nothing came of it.
      if (isNew && !opened) await rm(log, { force: true })
    } finally {
      await lock.release()
    }
  }
  try {
    if (!options.force) await refuseUnfit(path, log, options.fingerprint)
  } catch (error) {
    await release()
    throw error
  }
  return {
    async open(fingerprint) {
      if (options.force) await empty(path, log)
      else await refuseUnfit(path, log, fingerprint)
      const input = await stampOf(options)
      await writeMeta(path, { ...metaOf(options, fingerprint, input), finished: false })
      opened = await openJsonlAppender(log)
      return outputFile(path, log, opened, metaOf(options, fingerprint, input), options)
    },
    release,
  }
}

/** What an output's name may end in, and what its rows are appended to. */
const endings: [ending: string, log: string][] = [
  ['.jsonl', ''],
  ['.jsonl.gz', ''],
  ['.json', '.partial.jsonl'],
  ['.parquet', '.partial.jsonl'],
]

/** The JSONL file that rows are appended to. @throws {BtError} BT_USAGE */
export function logOf(path: string): string {
  const found = endings.find(([ending]) => path.endsWith(ending))
  if (found) return `${path}${found[1]}`
  throw new BtError(
    'BT_USAGE',
    `--output ${path}: the name ends in none of ${endings.map(([ending]) => ending).join(', ')}`,
  )
}

/** Rows that are there must be ours and made as those to come will be. */
async function refuseUnfit(path: string, log: string, fingerprint: Fingerprint): Promise<void> {
  const meta = await readMeta(path)
  if (meta) refuseOther(path, meta.fingerprint, fingerprint)
  else if ((await sizeOf(path)) > 0 || (await sizeOf(log)) > 0) throw foreign(path)
  if (meta?.finished && path !== log) throw await otherInput(path, log)
}

function outputFile(
  path: string,
  log: string,
  appender: JsonlAppender,
  meta: Omit<Meta, 'finished'>,
  { keyOf, columns }: OutputOptions,
): OutputFile {
  let rows = appender.rows
  return {
    rows: appender.rows,
    stored: () => storedRows(log, appender.rows, keyOf),
    append(...fresh) {
      rows += fresh.length
      return appender.append(fresh)
    },
    async finish() {
      await appender.sync()
      await makeFromLog(log, path, columns)
      await writeMeta(path, { ...meta, finished: true, rows })
      if (path !== log) await rm(log)
    },
  }
}

/** The first rows of a log, one at a time. */
async function* storedRows(log: string, rows: number, keyOf: OutputOptions['keyOf']): AsyncGenerator<StoredRow> {
  if (rows === 0) return
  let read = 0
  for await (const { value } of readRecords(log, { drops: new Drops() })) {
    yield { key: keyOf(value), row: value }
    if (++read === rows) return
  }
}

/** Makes what is not appended to itself. */
async function makeFromLog(log: string, path: string, columns: ParquetColumns): Promise<void> {
  if (path.endsWith('.json')) await writeJsonFromJsonl(log, path)
  if (path.endsWith('.parquet')) await writeParquetFromJsonl(log, path, columns)
}

function metaOf(
  { version, shard }: OutputOptions,
  fingerprint: Fingerprint,
  input: InputStamp,
): Omit<Meta, 'finished'> {
  return { version, fingerprint, input, ...(shard ? { shard } : {}) }
}

/** The files are emptied, not replaced, where the lock stands on them. */
async function empty(path: string, log: string): Promise<void> {
  await truncate(log, 0)
  await rm(metaPath(path), { force: true })
  if (path !== log) await rm(path, { force: true })
}

function refuseOther(path: string, before: Fingerprint, now: Fingerprint): void {
  const unknown = (name: string) => name in now && now[name] === undefined
  const names = Object.keys({ ...before, ...now }).filter((name) => before[name] !== now[name] && !unknown(name))
  if (names.length === 0) return
  const changes = names.map((name) => `${name} ${before[name] ?? 'not set'}, not ${now[name] ?? 'not set'}`)
  throw new BtError('BT_OUTPUT_CHANGED', `the rows in ${path} were made with ${changes.join('; ')}`, {
    remedy: 'Give the old values to go on with them, another --output for new rows, or --force to start over.',
  })
}

function foreign(path: string): BtError {
  return new BtError('BT_OUTPUT_EXISTS', `${path} exists and was not made by this command`, {
    remedy: 'Choose another --output, or --force to replace it.',
  })
}

/**
 * Passes over what is in an output already, which must be what `rows` begins with.
 * @returns the rows that are still to be made
 * @throws {BtError} BT_INPUT_CHANGED
 */
export async function* afterStored<Row extends { index: number }>(
  rows: AsyncIterable<Row>,
  output: OutputFile | undefined,
  { keyOf, names, onStored }: AfterStored<Row>,
): AsyncGenerator<Row> {
  const done = output?.rows ?? 0
  const stored = output?.stored()[Symbol.asyncIterator]()
  let read = 0
  try {
    for await (const row of rows) {
      read++
      if (row.index >= done) yield row
      else {
        const before = (await stored!.next()).value as StoredRow | undefined
        if (before?.key !== keyOf(row)) {
          throw otherRows(`row ${row.index + 1} of ${names.input} is not the one that ${names.output} has there`)
        }
        onStored?.(row, before.row)
      }
    }
    if (read < done) throw otherRows(`${names.input} has ${read} rows, but ${names.output} has ${done} already`)
  } finally {
    await stored?.return?.()
  }
}

export interface AfterStored<Row> {
  keyOf(row: Row): string
  /** For messages. */
  names: { input: string; output?: string | undefined }
  onStored?(row: Row, stored: Record<string, unknown>): void
}

function otherRows(what: string): BtError {
  return new BtError('BT_INPUT_CHANGED', what, {
    remedy: 'Give the input (and --limit) that the output was begun with, another --output, or --force to start over.',
  })
}

/** A finished .json or .parquet has no work log to add to; one that a kill left holds nothing more. */
async function otherInput(path: string, log: string): Promise<BtError> {
  await rm(log, { force: true })
  return new BtError('BT_OUTPUT_CHANGED', `${path} is finished, and was made from another input or --limit`, {
    remedy: 'Choose another --output, or --force to start over. An output of .jsonl or .jsonl.gz can be added to.',
  })
}

function metaPath(path: string): string {
  return `${path}.meta.json`
}

/** Undefined where there is none of generate: a record of that name may be another command's. */
export async function readMeta(path: string): Promise<Meta | undefined> {
  try {
    const meta = JSON.parse(await readFile(metaPath(path), 'utf8')) as Meta
    return meta.fingerprint ? meta : undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

async function writeMeta(path: string, meta: Meta): Promise<void> {
  await writeFileAtomic(metaPath(path), `${JSON.stringify(meta, null, 2)}\n`)
}

/** bytes is -1 for a pipe, which is never known to be the same. */
async function stampOf({ input, limit, stamp }: OutputOptions): Promise<InputStamp> {
  if (stamp) return stamp
  if (input === '-') return { path: '-', bytes: -1, modified: 0, limit: limit ?? null }
  const { size, mtimeMs } = await stat(input)
  return { path: resolve(input), bytes: size, modified: mtimeMs, limit: limit ?? null }
}

async function sizeOf(path: string): Promise<number> {
  return (await exists(path)) ? (await stat(path)).size : 0
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}

/** Rows to a pipe: nothing to go on with, nothing to lock. Waits while the reader is slow. */
function standardOutput(): OutputFile {
  return {
    rows: 0,
    stored: async function* () {},
    append: (...rows) =>
      new Promise((done, fail) => {
        const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
        process.stdout.write(text, (error) => (error ? fail(error) : done()))
      }),
    finish: async () => undefined,
  }
}
