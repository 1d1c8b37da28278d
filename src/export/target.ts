// Where an export goes: refused where something else lies, and given its name only when it is whole.
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { BtError, hasCode } from '../errors.js'
import { diskError, syncFolder } from '../files.js'
import { readJsonIfThere } from '../models/json-file.js'

/** Marks a folder that an export wrote; what it says stands under "export". */
export const recordFile = 'bt_native.json'

/**
 * @throws {BtError} BT_OUTPUT_EXISTS when something is there that may not be replaced: anything without `force`; a folder
 * that no export wrote, or the other kind of thing, even with it
 */
export async function checkTarget(path: string, to: 'safetensors' | 'gguf', force: boolean): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  })
  if (found === undefined) return
  const refuse = (what: string, remedy: string): never => {
    throw new BtError('BT_OUTPUT_EXISTS', `${path} ${what}`, { remedy })
  }
  if (to === 'gguf' ? !found.isFile() : !found.isDirectory()) {
    refuse(`is ${found.isDirectory() ? 'a folder' : 'no folder'}`, 'Choose another --output.')
  }
  if (to === 'safetensors') {
    if ((await readdir(path)).length === 0) return
    const record = await readJsonIfThere(join(path, recordFile), z.looseObject({})).catch(() => undefined)
    if (record?.export === undefined) refuse('holds something that no export wrote', 'Choose another --output.')
  }
  if (!force) refuse('is there already', 'Choose another --output, or --force to replace it.')
}

/** @throws {BtError} BT_DISK_FULL when the disk has less room than `bytes` */
export async function checkRoom(path: string, bytes: number): Promise<void> {
  const folder = dirname(resolve(path))
  await mkdir(folder, { recursive: true })
  const { bavail, bsize } = await statfs(folder)
  if (bytes <= bavail * bsize) return
  const megabytes = (count: number) => `${Math.ceil(count / 1e6)} MB`
  throw new BtError(
    'BT_DISK_FULL',
    `${folder}: ${megabytes(bytes)} are needed, ${megabytes(bavail * bsize)} are free`,
    {
      remedy: 'Free some space or choose another --output.',
    },
  )
}

/**
 * Has `write` fill a folder beside `path`, which then takes its place: a kill leaves the old content or the new one, and
 * at worst the old one under a name that begins with a dot.
 */
export async function replaceFolder<T>(path: string, write: (folder: string) => Promise<T>): Promise<T> {
  const beside = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString('hex')}`)
  const [fresh, old] = [`${beside}.tmp`, `${beside}.old`]
  try {
    await mkdir(fresh)
    const result = await write(fresh)
    await syncFolder(fresh)
    await putInPlace(fresh, path, old)
    await syncFolder(dirname(path))
    await rm(old, { recursive: true, force: true })
    return result
  } catch (error) {
    await rm(fresh, { recursive: true, force: true })
    throw diskError(error, path)
  }
}

/** A folder cannot be renamed over one that holds something. */
async function putInPlace(fresh: string, path: string, old: string): Promise<void> {
  try {
    await rename(fresh, path)
  } catch (error) {
    if (!hasCode(error, 'ENOTEMPTY') && !hasCode(error, 'EEXIST')) throw error
    await rename(path, old)
    await rename(fresh, path).catch(async (failure: unknown) => {
      await rename(old, path)
      throw failure
    })
  }
}
