// One writer an output: flock(2) on the output file or folder itself, so that a killed process leaves no stale lock.
import { open } from 'node:fs/promises'
import { BtError } from '../errors.js'
import { lockFile } from '../native/runtime.js'

export interface Lock {
  release(): Promise<void>
}

/**
 * Locks a file (made when absent) or a folder until release() or the end of the process.
 * @throws {BtError} BT_LOCKED when another process holds it
 */
export async function lockPath(path: string, kind: 'file' | 'folder'): Promise<Lock> {
  const file = await open(path, kind === 'file' ? 'a' : 'r')
  let locked = false
  try {
    locked = lockFile(file.fd)
  } finally {
    if (!locked) await file.close()
  }
  if (locked) return { release: () => file.close() }
  throw new BtError('BT_LOCKED', `${path} is being written by another process`, {
    remedy: 'Wait until it ends, or choose another --output.',
  })
}
