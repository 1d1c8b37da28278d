// Results that can be made again, kept in a folder of the user's cache by the hash of what they were made from. An entry
// is read whole or not at all, written by rename, and never needed: a cache that cannot be used costs time alone.
import { createHash } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BtError, hasCode } from './errors.js'
import { sha256, writeAtomic } from './files.js'
import { cacheFolder } from './paths.js'
import { packageVersion } from './version.js'

export interface Cache {
  /** Folder under the user's cache folder. */
  name: string
  /** Limits on all entries together; those that were not used for longest go first. */
  maxBytes: number
  maxEntries: number
}

/** Bytes of the SHA-256 that every entry begins with, over all that follows. */
const digestBytes = 32

/** Name of an entry that depends on all of this and nothing else. Objects must list their keys in a fixed order. */
export function cacheKey(parts: unknown): string {
  return sha256(JSON.stringify(parts)).slice(0, 32)
}

/**
 * The code that makes entries, as a part of their key: version of the package, and size and time of each file of these
 * folders beside this one. So no entry outlives a change of what made it.
 */
export function codeStamp(...folders: string[]): string {
  const here = fileURLToPath(new URL('.', import.meta.url))
  const stamps = folders.flatMap((folder) => {
    try {
      return readdirSync(join(here, folder)).map((name) => {
        const { size, mtimeMs } = statSync(join(here, folder, name))
        return [name, size, mtimeMs]
      })
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return [] // bundled into one file: the version tells
      throw error
    }
  })
  return cacheKey([packageVersion(), stamps])
}

/**
 * The entry's bytes, or undefined where there is none or it is damaged. They start on eight bytes of their ArrayBuffer,
 * so that typed arrays can be laid over them.
 */
export async function readEntry({ name }: Cache, key: string): Promise<Buffer | undefined> {
  const path = pathOf(name, key)
  const bytes = await readFile(path).catch((error: unknown) => {
    if (!isSystemError(error)) throw error
  })
  if (!bytes || bytes.length < digestBytes) return undefined
  const content = bytes.subarray(digestBytes)
  if (!createHash('sha256').update(content).digest().equals(bytes.subarray(0, digestBytes))) return undefined
  const now = new Date()
  await utimes(path, now, now).catch(() => undefined) // a read-only cache: its entries go by age
  return content.byteOffset % 8 === 0 ? content : Buffer.from(Uint8Array.from(content).buffer)
}

/**
 * Keeps an entry, then removes the longest unused ones past the limits. One of more than a quarter of `maxBytes` is not
 * kept.
 */
export async function writeEntry(cache: Cache, key: string, parts: readonly Uint8Array[]): Promise<void> {
  const bytes = parts.reduce((sum, part) => sum + part.byteLength, digestBytes)
  if (bytes > cache.maxBytes / 4) return
  try {
    await mkdir(folderOf(cache.name), { recursive: true })
    await writeAtomic(pathOf(cache.name, key), async (file) => {
      const hash = createHash('sha256')
      for (const part of parts) hash.update(part)
      await file.writeFile(hash.digest())
      for (const part of parts) await file.writeFile(part)
    })
    await evict(cache, key)
  } catch (error) {
    // A read-only home or a full disk: it is made again next time.
    if (!isSystemError(error)) throw error
  }
}

/** Whether the system refused something, rather than the program being wrong. */
function isSystemError(error: unknown): boolean {
  return error instanceof BtError || (error instanceof Error && 'syscall' in error)
}

/** A temporary file of this age (milliseconds) was left by a kill. */
const staleAfter = 3_600_000

async function evict({ name, maxBytes, maxEntries }: Cache, justWritten: string): Promise<void> {
  const folder = folderOf(name)
  const listed = await Promise.all((await readdir(folder)).map((file) => inspect(join(folder, file))))
  const files = listed.filter((file) => file !== undefined)
  const stale = files.filter(({ path, used }) => path.endsWith('.tmp') && used < Date.now() - staleAfter)
  const entries = files.filter(({ path }) => !path.endsWith('.tmp')).toSorted((a, b) => b.used - a.used)
  let bytesLeft = maxBytes
  const past = entries.filter(({ path, bytes }, index) => {
    bytesLeft -= bytes
    return (bytesLeft < 0 || index >= maxEntries) && path !== pathOf(name, justWritten)
  })
  for (const { path } of [...stale, ...past]) await rm(path, { force: true })
}

/** Undefined for what another process has removed since it was listed. */
async function inspect(path: string): Promise<{ path: string; bytes: number; used: number } | undefined> {
  try {
    const { size, mtimeMs } = await stat(path)
    return { path, bytes: size, used: mtimeMs }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

function folderOf(name: string): string {
  return join(cacheFolder(), name)
}

function pathOf(name: string, key: string): string {
  return join(folderOf(name), key)
}
