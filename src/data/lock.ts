// One writer an output: flock(2) on a file, so that a killed process leaves no stale lock.
import { open } from 'node:fs/promises'
import { BtError } from '../errors.js'
import { lockFile } from '../native/runtime.js'

export interface Lock {
  release(): Promise<void>
}

/**
 * Locks a file (made when absent) until release() or the end of the process. It is opened for writing: network file
 * systems lock nothing else, folders least of all.
 * @param output what it stands for, for the message
 * @throws {BtError} BT_LOCKED when another process holds it
 */
export async function lockPath(path: string, output: string): Promise<Lock> {
  const file = await open(path, 'a')
  let locked = false
  try {
    locked = lockFile(file.fd)
  } finally {
    if (!locked) await file.close()
  }
  if (locked) return { release: () => file.close() }
  throw new BtError('BT_LOCKED', `${output} is being written by another process`, {
    remedy: 'Wait until it ends, or choose another --output.',
  })
}
