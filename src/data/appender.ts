// JSONL that grows while work goes on, and can be taken up again after a kill at any moment; and its end form as JSON.
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { BtError, messageOf } from '../errors.js'
import { diskError, writeAtomic } from '../files.js'

export interface JsonlAppender {
  readonly path: string
  /** Complete rows that were there on opening. */
  readonly rows: number
  /** Their keys in order: by default their `id` (undefined for a row without one). */
  readonly ids: readonly unknown[]
  /** Bytes of a half-written last line that were cut off on opening. */
  readonly cutBytes: number
  /**
   * Writes rows with one write, and syncs when the last sync is a second or more ago. After a failure every further
   * append fails with the same error: nothing may follow half a line.
   */
  append(rows: readonly object[]): Promise<void>
  /** Syncs what was appended. */
  sync(): Promise<void>
  /** Syncs and closes. Idempotent. */
  close(): Promise<void>
}

/** Milliseconds between two syncs. */
const syncEvery = 1000

/**
 * Opens a JSONL file for appending, and makes it (and its folder) where there is none. A last line that is not
 * complete is cut off: it is all that a kill can leave. One writer at a time: the caller holds the lock.
 * @param key what to collect of each row in `ids`
 * @throws {BtError} BT_OUTPUT_DAMAGED when another line is not a JSON object (then it is not our file: nothing is cut)
 */
export async function openJsonlAppender(path: string, key: RowKey = ({ id }) => id): Promise<JsonlAppender> {
  await mkdir(dirname(path), { recursive: true })
  const file = await open(path, 'a+')
  try {
    const found = await completeRows(path, key)
    if (found.cutBytes > 0) {
      await file.truncate(found.bytes)
      await file.sync()
    }
    return appenderOf(file, path, found)
  } catch (error) {
    await file.close()
    throw error
  }
}

type RowKey = (row: Record<string, unknown>) => unknown

interface Found {
  ids: unknown[]
  /** Length of the complete lines. */
  bytes: number
  cutBytes: number
}

async function completeRows(path: string, key: RowKey): Promise<Found> {
  const ids: unknown[] = []
  let bytes = 0
  let rest: Buffer[] = []
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const line = Buffer.concat([...rest, chunk.subarray(start, end)])
      ids.push(key(parseRow(line, path, ids.length + 1)))
      bytes += line.length + 1
      rest = []
      start = end + 1
    }
    if (start < chunk.length) rest.push(chunk.subarray(start))
  }
  const cut = Buffer.concat(rest)
  // A row of ours begins with a brace; a power cut may leave NUL bytes. Anything else is somebody's file.
  if (cut.length > 0 && cut[0] !== 0x7b && cut[0] !== 0) parseRow(cut, path, ids.length + 1)
  return { ids, bytes, cutBytes: cut.length }
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

function appenderOf(file: FileHandle, path: string, { ids, cutBytes }: Found): JsonlAppender {
  let syncedAt = performance.now()
  let dirty = false
  let closed = false
  let failure: unknown
  // Appends are chained: two calls at once must not mix their bytes.
  let last: Promise<void> = Promise.resolve()

  const sync = async () => {
    if (!dirty) return
    dirty = false
    await file.datasync()
    syncedAt = performance.now()
  }
  const write = async (text: string) => {
    if (failure) throw failure
    try {
      await file.appendFile(text)
      dirty = true
      if (performance.now() - syncedAt >= syncEvery) await sync()
    } catch (error) {
      failure = diskError(error, path)
      throw failure
    }
  }
  const after = (next: () => Promise<void>) => {
    const result = last.then(next)
    last = result.catch(() => undefined) // whoever asked gets the error; the next call is not to be refused for it
    return result
  }
  return {
    path,
    rows: ids.length,
    ids,
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
        await sync()
        await file.close()
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
