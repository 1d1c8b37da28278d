// Writing files so that a kill at any moment leaves the old content or the new, never half of either.
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { BtError, hasCode } from './errors.js'

/**
 * Writes `content` to a temporary name beside `path`, syncs and renames it.
 * @throws {BtError} BT_DISK_FULL when the disk is full; the old file stays.
 */
export async function writeFileAtomic(path: string, content: string | Uint8Array): Promise<void> {
  await writeAtomic(path, (file) => file.writeFile(content))
}

/** As writeFileAtomic, with `write` filling the open temporary file. */
export async function writeAtomic(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`
  try {
    const file = await open(temporary, 'wx')
    try {
      await write(file)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw diskError(error, path)
  }
  await syncFolder(dirname(path))
}

/** Makes a rename in `folder` durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Names a full disk; other errors pass through. */
export function diskError(error: unknown, path: string): unknown {
  if (!hasCode(error, 'ENOSPC') && !hasCode(error, 'EDQUOT')) return error
  return new BtError('BT_DISK_FULL', `${path}: no space left on the disk`, {
    remedy: 'Free some space or choose another --output, then run the same command again.',
    cause: error,
  })
}

/** Hex SHA-256 of a file, streamed. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** Hex SHA-256 of text or bytes. */
export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}
