// The file that generated rows go to: goes on where it was, refuses other options, is written by one process at a time.
// A .json output is made from a JSONL work log at the end. Knows nothing of models.
import { mkdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { dirname, extname, resolve } from 'node:path'
import { type JsonlAppender, openJsonlAppender, writeJsonFromJsonl } from '../data/appender.js'
import { lockPath } from '../data/lock.js'
import { BtError, hasCode } from '../errors.js'
import { sha256, writeFileAtomic } from '../files.js'
import type { GeneratedRow } from './types.js'

/**
 * Everything that the rows are a function of, but the input: name and value, as a person reads them. A value that is
 * not known yet is undefined, and agrees with any.
 */
export type Fingerprint = Record<string, string | number | boolean | null | undefined>

/** Content of OUTPUT.meta.json. */
interface Meta {
  version: string
  fingerprint: Fingerprint
  /** What was read: same path, size and time mean the same rows. */
  input: InputStamp
  finished: boolean
  rows?: number
}

type InputStamp = { path: string; bytes: number; modified: number; limit: number | null }

export interface OutputOptions {
  fingerprint: Fingerprint
  version: string
  input: string
  limit?: number
  force: boolean
  /** Column that holds the text that was given. */
  given: 'instruction' | 'response'
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

export interface OutputFile {
  /** rowKey() of the rows that are there, in order. */
  readonly keys: readonly unknown[]
  append(row: GeneratedRow): Promise<void>
  /** Marks the output as complete; makes the .json. */
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
 * Locks an output and looks whether it can be written: "-" for stdout, .jsonl, or .json with its work log beside it.
 * @throws {BtError} BT_LOCKED, BT_OUTPUT_CHANGED when its rows were made with other options or, for a finished .json,
 * another input; BT_OUTPUT_EXISTS when it is not ours; BT_USAGE for another ending
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
      await writeMeta(path, { version: options.version, fingerprint, input, finished: false })
      opened = await openJsonlAppender(log, (row) => rowKey(row.id, row[options.given]))
      return outputFile(path, log, opened, { version: options.version, fingerprint, input })
    },
    release,
  }
}

/** The JSONL file that rows are appended to. */
function logOf(path: string): string {
  const kind = extname(path)
  if (kind === '.jsonl') return path
  if (kind === '.json') return `${path}.partial.jsonl`
  throw new BtError('BT_USAGE', `--output ${path}: the name ends in neither .jsonl nor .json`)
}

/** Rows that are there must be ours and made as those to come will be. */
async function refuseUnfit(path: string, log: string, fingerprint: Fingerprint): Promise<void> {
  const meta = await readMeta(path)
  if (meta) refuseOther(path, meta.fingerprint, fingerprint)
  else if ((await sizeOf(path)) > 0 || (await sizeOf(log)) > 0) throw foreign(path)
  if (meta?.finished && path !== log) throw await otherInput(path, log)
}

function outputFile(path: string, log: string, appender: JsonlAppender, meta: Omit<Meta, 'finished'>): OutputFile {
  let rows = appender.rows
  return {
    keys: appender.ids,
    append(row) {
      rows++
      return appender.append([row])
    },
    async finish() {
      await appender.sync()
      if (path !== log) await writeJsonFromJsonl(log, path)
      await writeMeta(path, { ...meta, finished: true, rows })
      if (path !== log) await rm(log)
    },
  }
}

/** The files are emptied, not replaced, where the lock stands on them. */
async function empty(path: string, log: string): Promise<void> {
  await truncate(log, 0)
  await rm(metaOf(path), { force: true })
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
  return new BtError('BT_OUTPUT_EXISTS', `${path} exists and was not made by bt-native generate`, {
    remedy: 'Choose another --output, or --force to replace it.',
  })
}

/** A finished .json has no work log to add to; one that a kill left holds nothing more. */
async function otherInput(path: string, log: string): Promise<BtError> {
  await rm(log, { force: true })
  return new BtError('BT_OUTPUT_CHANGED', `${path} is finished, and was made from another input or --limit`, {
    remedy: 'Choose another --output, or --force to start over. A .jsonl output can be added to.',
  })
}

function metaOf(path: string): string {
  return `${path}.meta.json`
}

/** Undefined where there is none of generate: a record of that name may be another command's. */
async function readMeta(path: string): Promise<Meta | undefined> {
  try {
    const meta = JSON.parse(await readFile(metaOf(path), 'utf8')) as Meta
    return meta.fingerprint ? meta : undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

async function writeMeta(path: string, meta: Meta): Promise<void> {
  await writeFileAtomic(metaOf(path), `${JSON.stringify(meta, null, 2)}\n`)
}

/** bytes is -1 for a pipe, which is never known to be the same. */
async function stampOf({ input, limit }: OutputOptions): Promise<InputStamp> {
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
    keys: [],
    append: (row) =>
      new Promise((done, fail) => {
        process.stdout.write(`${JSON.stringify(row)}\n`, (error) => (error ? fail(error) : done()))
      }),
    finish: async () => undefined,
  }
}
