// JSONL that grows while work goes on, and can be taken up again after a kill at any moment; and its end form as JSON. A name
// in .gz is packed, in blocks that can be cut off.
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { BtError, messageOf } from '../errors.js'
import { diskError, writeAtomic } from '../files.js'
import { blockBytes, packBlocks, readBlocks } from './blocks.js'

export interface JsonlAppender {
  readonly path: string
  /** Complete rows that were there on opening. */
  readonly rows: number
  /** Bytes of a half-written end that were cut off on opening. */
  readonly cutBytes: number
  /**
   * Writes rows with one write (packed ones when a block is full), and syncs when the last sync is a second or more ago.
   * After a failure every further append fails with the same error: nothing may follow half a line.
   */
  append(rows: readonly object[]): Promise<void>
  /** Writes and syncs what was appended. */
  sync(): Promise<void>
  /** Syncs and closes. Idempotent. */
  close(): Promise<void>
}

/** Milliseconds between two syncs. */
const syncEvery = 1000

/**
 * Opens a JSONL file for appending, and makes it (and its folder) where there is none. What is not complete at its end is
 * cut off: it is all that a kill can leave. One writer at a time: the caller holds the lock.
 * @throws {BtError} BT_OUTPUT_DAMAGED when another line is not a JSON object (then it is not our file: nothing is cut)
 */
export async function openJsonlAppender(path: string): Promise<JsonlAppender> {
  await mkdir(dirname(path), { recursive: true })
  const file = await open(path, 'a+')
  try {
    const packed = path.endsWith('.gz')
    const found = packed ? await completePackedRows(file, path) : await completeRows(path)
    if (found.cutBytes > 0) {
      await file.truncate(found.bytes)
      await file.sync()
    }
    return appenderOf(file, path, found, packed ? new PackedForm() : plainForm)
  } catch (error) {
    await file.close()
    throw error
  }
}

interface Found {
  rows: number
  /** Length of the complete part. */
  bytes: number
  cutBytes: number
}

async function completeRows(path: string): Promise<Found> {
  const lines = new LineCounter(path)
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>) {
    lines.take(chunk)
  }
  const { rows, bytes, rest } = lines
  // A row of ours begins with a brace; a power cut may leave NUL bytes. Anything else is somebody's file.
  if (rest.length > 0 && rest[0] !== 0x7b && rest[0] !== 0) parseRow(rest, path, rows + 1)
  return { rows, bytes, cutBytes: rest.length }
}

/** Up to the last whole block that ends with a line. */
async function completePackedRows(file: FileHandle, path: string): Promise<Found> {
  const lines = new LineCounter(path)
  const { size } = await file.stat()
  let found: Found = { rows: 0, bytes: 0, cutBytes: size }
  for await (const { bytes, end } of readBlocks(file)) {
    lines.take(bytes)
    if (lines.rest.length === 0) found = { rows: lines.rows, bytes: end, cutBytes: size - end }
  }
  if (found.cutBytes === 0) return found
  const start = Buffer.alloc(4)
  const { bytesRead } = await file.read(start, 0, 4, found.bytes)
  const isOurs = [0x1f, 0x8b, 8, 4].slice(0, bytesRead).every((byte, at) => start[at] === byte)
  // A power cut may leave NUL bytes. More than a write is no kill's doing.
  if (found.cutBytes <= longestWrite && (isOurs || start.every((byte) => byte === 0))) return found
  throw new BtError('BT_OUTPUT_DAMAGED', `${path}: from byte ${found.bytes} on this was not written by bt-native`, {
    remedy: 'Choose another --output, or move the file away.',
  })
}

/** Bytes: a row of the longest text that is read, twice over, and the block before it. */
const longestWrite = 1 << 25

/** Counts the lines of chunks, each of which must be a JSON object. */
class LineCounter {
  rows = 0
  /** Of complete lines. */
  bytes = 0
  private parts: Buffer[] = []

  constructor(private readonly path: string) {}

  take(chunk: Buffer): void {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const line = Buffer.concat([...this.parts, chunk.subarray(start, end)])
      parseRow(line, this.path, ++this.rows)
      this.bytes += line.length + 1
      this.parts = []
      start = end + 1
    }
    if (start < chunk.length) this.parts.push(chunk.subarray(start))
  }

  /** What follows the last complete line. */
  get rest(): Buffer {
    return Buffer.concat(this.parts)
  }
}

/** How text becomes bytes: at once, or gathered until it fills a block. */
interface Form {
  /** Bytes to be written now. */
  add(text: string): Buffer | string
  /** Bytes that were held back. */
  flush(): Buffer | string
}

const plainForm: Form = { add: (text) => text, flush: () => '' }

class PackedForm implements Form {
  private parts: Buffer[] = []
  private length = 0

  add(text: string): Buffer | string {
    const part = Buffer.from(text)
    this.parts.push(part)
    this.length += part.length
    return this.length >= blockBytes ? this.flush() : ''
  }

  flush(): Buffer {
    const packed = packBlocks(Buffer.concat(this.parts))
    this.parts = []
    this.length = 0
    return packed
  }
}

function parseRow(line: Buffer, path: string, number: number): Record<string, unknown> {
  let why = 'an object was expected'
  try {
    const value: unknown = JSON.parse(line.toString('utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (error) {
    why = messageOf(error)
  }
  throw new BtError('BT_OUTPUT_DAMAGED', `${path}:${number}: this line was not written by bt-native: ${why}`, {
    remedy: 'Choose another --output, or move the file away.',
  })
}

function appenderOf(file: FileHandle, path: string, { rows, cutBytes }: Found, form: Form): JsonlAppender {
  let syncedAt = performance.now()
  let dirty = false
  let closed = false
  let failure: unknown
  // Appends are chained: two calls at once must not mix their bytes.
  let last: Promise<void> = Promise.resolve()

  const guarded = async (write: () => Promise<void>) => {
    if (failure) throw failure
    try {
      await write()
    } catch (error) {
      failure = diskError(error, path)
      throw failure
    }
  }
  const put = async (bytes: Buffer | string) => {
    if (bytes.length > 0) await file.appendFile(bytes)
  }
  const sync = async () => {
    if (!dirty) return
    dirty = false
    await guarded(async () => {
      await put(form.flush())
      await file.datasync()
    })
    syncedAt = performance.now()
  }
  const write = async (text: string) => {
    dirty = true
    await guarded(() => put(form.add(text)))
    if (performance.now() - syncedAt >= syncEvery) await sync()
  }
  const after = (next: () => Promise<void>) => {
    const result = last.then(next)
    last = result.catch(() => undefined) // whoever asked gets the error; the next call is not to be refused for it
    return result
  }
  return {
    path,
    rows,
    cutBytes,
    append: (rows) => {
      if (closed) return Promise.reject(new BtError('BT_CLOSED', `${path}: was closed`))
      if (rows.length === 0) return last
      const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
      return after(() => write(text))
    },
    sync: () => after(sync),
    close: () => {
      if (closed) return last
      closed = true
      return after(async () => {
        try {
          // After a failure there is nothing to save, and whoever appended has been told.
          if (!failure) await sync()
        } finally {
          await file.close()
        }
      })
    },
  }
}

/**
 * Writes the rows of a JSONL work log as one JSON array, a row a line, atomically; memory does not grow with the file.
 * @throws {BtError} BT_OUTPUT_DAMAGED when a line is not a JSON object
 */
export async function writeJsonFromJsonl(jsonlPath: string, jsonPath: string): Promise<void> {
  await writeAtomic(jsonPath, async (file) => {
    let number = 0
    let rest: Buffer[] = []
    const rowText = (line: Buffer) => {
      parseRow(line, jsonlPath, ++number)
      return `${number === 1 ? '[\n' : ',\n'}${line.toString('utf8')}`
    }
    for await (const chunk of createReadStream(jsonlPath, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>) {
      const texts: string[] = []
      let start = 0
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
        texts.push(rowText(Buffer.concat([...rest, chunk.subarray(start, end)])))
        rest = []
        start = end + 1
      }
      if (start < chunk.length) rest.push(chunk.subarray(start))
      if (texts.length > 0) await file.appendFile(texts.join(''))
    }
    const last = Buffer.concat(rest)
    if (last.length > 0) await file.appendFile(rowText(last))
    await file.appendFile(number === 0 ? '[]\n' : '\n]\n')
  })
}
