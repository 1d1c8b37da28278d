// One file from the Hub to a path: in ranges, so that a broken transfer goes on where it was, and checked by its hash.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { BtError, hasCode, messageOf } from '../errors.js'
import { diskError } from '../files.js'

/** A file as the Hub lists it. */
export interface HubFile {
  name: string
  size: number
  /** SHA-256 of the content for LFS files, else git's SHA-1 of the blob; also the name in the cache. */
  hash: string
}

export interface Transfer {
  /** Sends the token, follows redirects. `headers` are added. */
  request: (headers: Record<string, string>, signal: AbortSignal) => Promise<Response>
  /** Called with the bytes on disk. */
  onBytes: (bytes: number) => void
  signal?: AbortSignal
  /** Milliseconds before the first retry; doubled each time. */
  retryDelay: number
}

/** Attempts in a row that brought no byte. */
const maxAttempts = 5
/** Without a byte for this long, a transfer counts as broken. */
const stallMilliseconds = 60_000

/**
 * Makes `path` the file's content. What arrives is kept in `path.incomplete`, also after a failure. Two processes that
 * fetch the same file write the same bytes to the same places.
 * @throws {BtError} BT_HUB_CHECKSUM when the content does not have its hash, BT_HUB_NETWORK when retries do not help,
 * BT_DISK_FULL, and what `request` throws
 */
export async function fetchFile(path: string, file: HubFile, transfer: Transfer): Promise<void> {
  const partial = `${path}.incomplete`
  const resumed = await sizeOf(partial)
  for (const fromStart of resumed > 0 ? [false, true] : [true]) {
    if (fromStart || resumed > file.size) await rm(partial, { force: true })
    await fill(partial, file, transfer)
    if ((await contentHash(partial, file)) === file.hash) return publish(partial, path)
    await rm(partial, { force: true }) // what was there before may have been of another version: once more from nothing
  }
  throw new BtError('BT_HUB_CHECKSUM', `${file.name}: the content that arrived does not have the hash ${file.hash}`, {
    remedy: 'Run the same command again; if it stays, something on the way (a proxy, a mirror) changes files.',
  })
}

/** Another process may have been faster: its file is as good. */
async function publish(partial: string, path: string): Promise<void> {
  await rename(partial, path).catch(async (error: unknown) => {
    if (!hasCode(error, 'ENOENT') || (await sizeOf(path)) === 0) throw error
  })
}

async function fill(partial: string, file: HubFile, transfer: Transfer): Promise<void> {
  let failures = 0
  for (;;) {
    const before = await sizeOf(partial)
    transfer.onBytes(before)
    if (before >= file.size && (await exists(partial))) return
    try {
      await receive(partial, before, file, transfer)
    } catch (error) {
      transfer.signal?.throwIfAborted()
      if (error instanceof BtError) throw error
      const disk = diskError(error, partial)
      if (disk !== error) throw disk
      failures = (await sizeOf(partial)) > before ? 0 : failures + 1
      if (failures >= maxAttempts) {
        throw new BtError('BT_HUB_NETWORK', `${file.name}: the transfer broke off: ${messageOf(causeOf(error))}`, {
          remedy: 'Run the same command again: it goes on where it was.',
          cause: error,
        })
      }
      await sleep(transfer.retryDelay * 2 ** failures, undefined, { signal: transfer.signal })
    }
  }
}

/** One request, from byte `start` to the end, written at its place as it arrives. */
async function receive(partial: string, start: number, file: HubFile, transfer: Transfer): Promise<void> {
  const stall = new AbortController()
  const watch = setTimeout(() => stall.abort(new Error('no data for a minute')), stallMilliseconds)
  const signal = transfer.signal ? AbortSignal.any([transfer.signal, stall.signal]) : stall.signal
  const handle = await open(partial, start === 0 ? 'w' : 'r+')
  try {
    const response = await transfer.request(start > 0 ? { Range: `bytes=${start}-` } : {}, signal)
    let at = startOf(response, start)
    if (at !== start) await handle.truncate(at)
    for await (const chunk of response.body ?? []) {
      const bytes = chunk as Uint8Array
      const { bytesWritten } = await handle.write(bytes, 0, bytes.length, at)
      if (bytesWritten < bytes.length) throw new Error('a write came out short')
      at += bytesWritten
      watch.refresh()
      transfer.onBytes(at)
    }
    if (at < file.size) throw new Error(`${at} of ${file.size} bytes arrived`)
    await handle.truncate(at)
    await handle.sync()
  } finally {
    clearTimeout(watch)
    await handle.close()
  }
}

/** Where the body belongs: a server that knows no ranges sends the whole file. */
function startOf(response: Response, asked: number): number {
  if (response.status !== 206) return 0
  const found = Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1])
  if (found !== asked) throw new Error(`the server answered with bytes from ${found}, not ${asked}`)
  return asked
}

async function contentHash(path: string, { hash, size }: HubFile): Promise<string> {
  const digest = createHash(hash.length === 64 ? 'sha256' : 'sha1')
  if (hash.length !== 64) digest.update(`blob ${size}\0`) // git hashes a blob with this before it
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) digest.update(chunk as Buffer)
  return digest.digest('hex')
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** fetch hides the reason ("ECONNREFUSED") in `cause`. */
export function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error
}
