// Reading wheels: metadata, and chosen members unpacked and held against the wheel's own RECORD of hashes.
import { createHash } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { openPromise, type ZipFile } from 'yauzl'
import { BtError, messageOf } from '../errors.js'
import { diskError } from '../files.js'

/** One file that was unpacked. */
export interface UnpackedFile {
  /** Relative to the target folder. */
  path: string
  size: number
  /** Hex. */
  sha256: string
}

export interface UnpackOptions {
  /** Target folder. */
  folder: string
  /** Where a member goes, relative to the folder; undefined leaves it out. */
  place: (member: string) => string | undefined
  /** Bytes written since the last call. */
  onBytes?: (bytes: number) => void
  signal?: AbortSignal
}

async function openWheel(path: string): Promise<ZipFile> {
  try {
    return await openPromise(path, { autoClose: false })
  } catch (error) {
    throw broken(path, messageOf(error), error)
  }
}

function broken(path: string, why: string, cause?: unknown): BtError {
  return new BtError('BT_WHEEL_BROKEN', `${basename(path)}: ${why}`, {
    remedy: `Delete ${path} and run the same command again.`,
    cause,
  })
}

/**
 * Text of the wheel's METADATA.
 * @throws {BtError} BT_WHEEL_BROKEN when the file is no wheel
 */
export async function readMetadata(path: string): Promise<string> {
  const zip = await openWheel(path)
  try {
    for await (const entry of zip.eachEntry()) {
      if (!/^[^/]+\.dist-info\/METADATA$/.test(entry.fileName)) continue
      return (await readAll(await zip.openReadStreamPromise(entry))).toString('utf8')
    }
  } catch (error) {
    throw broken(path, messageOf(error), error)
  } finally {
    zip.close()
  }
  throw broken(path, 'has no METADATA: not a wheel')
}

/**
 * Bytes that unpacking the chosen members writes, by the archive's directory.
 * @throws {BtError} BT_WHEEL_BROKEN when the file is no archive
 */
export async function unpackedSize(path: string, place: UnpackOptions['place']): Promise<number> {
  const zip = await openWheel(path)
  try {
    let size = 0
    for await (const entry of zip.eachEntry()) if (place(entry.fileName)) size += entry.uncompressedSize
    return size
  } catch (error) {
    throw broken(path, messageOf(error), error)
  } finally {
    zip.close()
  }
}

async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/**
 * Unpacks the chosen members, and compares size and SHA-256 of each with the wheel's RECORD while writing.
 * Nothing is synced: that is for whoever puts the folder in place.
 * @returns the files in the order of the archive
 * @throws {BtError} BT_WHEEL_BROKEN naming the member, BT_DISK_FULL
 */
export async function unpackWheel(path: string, options: UnpackOptions): Promise<UnpackedFile[]> {
  const zip = await openWheel(path)
  try {
    const members = []
    let record: Map<string, Recorded> | undefined
    try {
      for await (const entry of zip.eachEntry()) {
        if (/^[^/]+\.dist-info\/RECORD$/.test(entry.fileName)) {
          record = parseRecord((await readAll(await zip.openReadStreamPromise(entry))).toString('utf8'))
        }
        const place = entry.fileName.endsWith('/') ? undefined : options.place(entry.fileName)
        if (place) members.push({ entry, place })
      }
    } catch (error) {
      throw broken(path, messageOf(error), error)
    }
    if (!record) throw broken(path, 'has no RECORD: its content cannot be verified')
    const files: UnpackedFile[] = []
    for (const { entry, place } of members) {
      options.signal?.throwIfAborted()
      const recorded = record.get(entry.fileName)
      if (!recorded) throw broken(path, `${entry.fileName} is not in RECORD`)
      const target = join(options.folder, place)
      await mkdir(dirname(target), { recursive: true })
      const source = () => zip.openReadStreamPromise(entry)
      const { size, sha256 } = await writeMember(path, entry.fileName, source, target, options)
      if (size !== recorded.size || sha256 !== recorded.sha256) {
        throw broken(path, `${entry.fileName} differs from its hash in RECORD`)
      }
      files.push({ path: place, size, sha256 })
    }
    return files
  } finally {
    zip.close()
  }
}

/** Streams one member to `target`. Errors of the archive and of the disk are told apart. */
async function writeMember(
  wheel: string,
  member: string,
  source: () => Promise<Readable>,
  target: string,
  options: Pick<UnpackOptions, 'onBytes' | 'signal'>,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256')
  let size = 0
  const file = await open(target, 'w').catch((error: unknown) => {
    throw diskError(error, target)
  })
  try {
    const chunks = (
      await source().catch((error: unknown) => {
        throw broken(wheel, `${member}: ${messageOf(error)}`, error)
      })
    )[Symbol.asyncIterator]()
    for (;;) {
      options.signal?.throwIfAborted()
      const next = await chunks.next().catch((error: unknown) => {
        throw broken(wheel, `${member}: ${messageOf(error)}`, error)
      })
      if (next.done) break
      const chunk = next.value as Buffer
      hash.update(chunk)
      size += chunk.byteLength
      await file.writeFile(chunk).catch((error: unknown) => {
        throw diskError(error, target)
      })
      options.onBytes?.(chunk.byteLength)
    }
  } finally {
    await file.close()
  }
  return { size, sha256: hash.digest('hex') }
}

interface Recorded {
  sha256: string
  size: number
}

/** RECORD is CSV: path, "sha256=" with URL-safe base64 without padding, size. Files without a hash are left out. */
export function parseRecord(text: string): Map<string, Recorded> {
  const files = new Map<string, Recorded>()
  for (const line of text.split(/\r?\n/)) {
    const match = /^(?:"((?:[^"]|"")*)"|([^,]*)),sha256=([\w-]+),(\d+)$/.exec(line)
    if (!match) continue
    const path = match[1]?.replaceAll('""', '"') ?? match[2]!
    files.set(path, { sha256: Buffer.from(match[3]!, 'base64url').toString('hex'), size: Number(match[4]) })
  }
  return files
}
