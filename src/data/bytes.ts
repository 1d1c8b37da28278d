// A file or standard input as plain bytes: opened, looked at, unpacked when it is gzip. Tells what kind of content it
// holds; reading that content is for lines.ts, elements.ts and parquet.ts.
import { open, stat } from 'node:fs/promises'
import { addAbortSignal, pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { BtError, hasCode, messageOf } from '../errors.js'

/** What the first bytes show. Text that starts with neither brace nor bracket is 'text'. */
export type Content = 'parquet' | 'json-lines' | 'json-array' | 'text'

export interface OpenedFile {
  /** As messages name it: the path, or "stdin". */
  name: string
  content: Content
  /** All bytes, unpacked, without a byte order mark; for Parquet none. Can be read once. */
  bytes: AsyncIterable<Buffer>
}

export interface OpenOptions {
  /** Called with the bytes taken from the file as it is stored: for progress. */
  onBytes?: ((bytes: number) => void) | undefined
  /** Ends a read of stdin, which may never give anything, with an AbortError. */
  signal?: AbortSignal | undefined
}

/** As messages name an input: "-" is stdin. */
export function inputName(path: string): string {
  return path === '-' ? 'stdin' : path
}

/** First bytes of content that is not read, and what to do about it. */
const refused: { magic: number[]; what: string; remedy: string }[] = [
  { magic: [0x28, 0xb5, 0x2f, 0xfd], what: 'is packed with zstd', remedy: 'Unpack it first: zstd -d FILE' },
  { magic: [0x42, 0x5a, 0x68], what: 'is packed with bzip2', remedy: 'Unpack it first: bunzip2 FILE' },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], what: 'is packed with xz', remedy: 'Unpack it first: unxz FILE' },
  { magic: [0x50, 0x4b, 0x03, 0x04], what: 'is a zip archive', remedy: 'Unpack it first: unzip FILE' },
  { magic: [0xff, 0xfe], what: 'is UTF-16, UTF-8 was expected', remedy: toUtf8('UTF-16') },
  { magic: [0xfe, 0xff], what: 'is UTF-16, UTF-8 was expected', remedy: toUtf8('UTF-16') },
]

function toUtf8(encoding: string): string {
  return `Convert it first: iconv -f ${encoding} -t UTF-8 FILE > NEW`
}

/**
 * Opens a file ("-" is stdin), unpacks gzip, and tells from the content what it is.
 * @throws {BtError} BT_DATA_FILE when it is missing, a directory or unreadable, BT_DATA_EMPTY when it holds nothing but
 *   white space, BT_DATA_ENCODING for UTF-16, BT_DATA_FORMAT for other packings and damaged gzip; at the end of `bytes`
 *   BT_INPUT_CHANGED when somebody wrote to the file meanwhile
 */
export async function openFile(path: string, options: OpenOptions = {}): Promise<OpenedFile> {
  const name = inputName(path)
  if (path !== '-') await checkFile(path)
  if (path === '-' && options.signal) addAbortSignal(options.signal, process.stdin)
  const stored = counted(path === '-' ? process.stdin : fileBytes(path), options)
  const opened = [await peek(named(stored, name))]
  try {
    const packed = startsWith(opened[0]!.head, [0x1f, 0x8b])
    if (packed) opened.push(await peek(gunzip(opened[0]!.bytes, name)))
    const { head, bytes } = opened.at(-1)!
    refuse(head, name)
    if (startsWith(head, [...Buffer.from('PAR1')])) {
      if (path === '-' || packed) throw parquetNeedsFile(name)
      await opened[0]!.close()
      return { name, content: 'parquet', bytes: Readable.from([]) }
    }
    const first = head.toString('latin1').trimStart()
    if (first === '') throw new BtError('BT_DATA_EMPTY', `${name}: the file is empty`)
    return { name, content: contentOf(first), bytes }
  } catch (error) {
    for (const one of opened.reverse()) await one.close()
    throw error
  }
}

function refuse(head: Buffer, name: string): void {
  const found = refused.find(({ magic }) => startsWith(head, magic))
  if (!found) return
  const code = found.what.includes('UTF-16') ? 'BT_DATA_ENCODING' : 'BT_DATA_FORMAT'
  throw new BtError(code, `${name}: the file ${found.what}`, { remedy: found.remedy.replace('FILE', name) })
}

function contentOf(first: string): Content {
  if (first.startsWith('{')) return 'json-lines'
  return /^\[\s*($|[[{"\]])/.test(first) ? 'json-array' : 'text'
}

function parquetNeedsFile(name: string): BtError {
  return new BtError('BT_DATA_FORMAT', `${name}: Parquet is read from its end, which needs an unpacked file`, {
    remedy: 'Write it to a file and give its name.',
  })
}

/** @throws {BtError} BT_DATA_FILE when there is no file to read */
export async function checkFile(path: string): Promise<void> {
  try {
    const found = await stat(path)
    if (!found.isDirectory()) return
  } catch (error) {
    throw fileError(error, path)
  }
  throw new BtError('BT_DATA_FILE', `${path}: is a directory, a file was expected`, {
    remedy: `Name its files, for instance ${path.replace(/\/$/, '')}/*.jsonl`,
  })
}

function fileError(error: unknown, name: string): unknown {
  if (error instanceof BtError || hasCode(error, 'ABORT_ERR')) return error
  if (hasCode(error, 'ENOENT')) return new BtError('BT_DATA_FILE', `${name}: no such file`, { cause: error })
  return new BtError('BT_DATA_FILE', `${name}: cannot be read: ${messageOf(error)}`, { cause: error })
}

/** A file from its beginning to its end. One that another takes the place of is read as it was. */
async function* fileBytes(path: string): AsyncGenerator<Buffer> {
  const file = await open(path)
  try {
    const before = await file.stat()
    yield* file.createReadStream({ highWaterMark: 1 << 18, autoClose: false }) as AsyncIterable<Buffer>
    const after = await file.stat()
    if (!before.isFile() || (before.size === after.size && before.mtimeMs === after.mtimeMs)) return
    throw inputChanged(path)
  } finally {
    await file.close()
  }
}

/** For a file to which somebody wrote while it was read. */
export function inputChanged(path: string): BtError {
  return new BtError('BT_INPUT_CHANGED', `${path}: the file changed while it was read`, {
    remedy:
      'Run the same command again when nobody writes to it: what was done for earlier rows is kept where it can be.',
  })
}

async function* named(bytes: AsyncIterable<Buffer>, name: string): AsyncGenerator<Buffer> {
  try {
    yield* bytes
  } catch (error) {
    throw fileError(error, name)
  }
}

async function* counted(bytes: AsyncIterable<Buffer>, options: OpenOptions): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    options.onBytes?.(chunk.length)
    yield chunk
  }
}

async function* gunzip(bytes: AsyncIterable<Buffer>, name: string): AsyncGenerator<Buffer> {
  const unpacked = createGunzip({ chunkSize: 1 << 18 })
  // The callback only keeps the error from being thrown at nobody: the loop below gets it as well.
  pipeline(Readable.from(bytes, { objectMode: false }), unpacked, () => undefined)
  try {
    yield* unpacked
  } catch (error) {
    if (error instanceof BtError) throw error
    throw new BtError('BT_DATA_FORMAT', `${name}: the gzip data is damaged or cut off (${messageOf(error)})`, {
      remedy: 'Fetch or pack the file again; gzip -t tells whether it is whole.',
      cause: error,
    })
  }
}

/** Bytes that tell what a file is: enough for a magic number, and for the first character after white space. */
const headBytes = 4096

interface Peeked {
  /** The first bytes, without a UTF-8 byte order mark. */
  head: Buffer
  /** The same bytes and all that follow. */
  bytes: AsyncIterable<Buffer>
  /** Closes the file when nobody is going to read `bytes`. */
  close(): Promise<unknown>
}

async function peek(bytes: AsyncIterable<Buffer>): Promise<Peeked> {
  const iterator = bytes[Symbol.asyncIterator]()
  let head: Buffer = Buffer.alloc(0)
  let done = false
  while (!done && (head.length < 8 || (head.length < headBytes && head.toString('latin1').trim() === ''))) {
    const next = await iterator.next()
    done = next.done === true
    if (!next.done) head = Buffer.concat([head, next.value])
  }
  if (startsWith(head, [0xef, 0xbb, 0xbf])) head = head.subarray(3)
  const close = async () => iterator.return?.()
  return { head: head.subarray(0, headBytes), bytes: resume(head, iterator), close }
}

async function* resume(head: Buffer, iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    if (head.length > 0) yield head
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
  } finally {
    await iterator.return?.() // closes the file when the reader stops early
  }
}

function startsWith(bytes: Buffer, magic: number[]): boolean {
  return bytes.length >= magic.length && magic.every((byte, index) => bytes[index] === byte)
}
