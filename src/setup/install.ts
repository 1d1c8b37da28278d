// Folders in the cache that are there whole or not at all: made under a temporary name, described by a manifest,
// renamed into place, checked by size each time and by hash on request.
import { constants, existsSync, statSync } from 'node:fs'
import { access, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { BtError, hasCode, messageOf } from '../errors.js'
import { diskError, sha256File, syncFolder, writeFileAtomic } from '../files.js'
import type { OnProgress } from '../progress.js'
import { type LockOptions, withLock } from './lock.js'
import { run } from './run.js'
import type { UnpackedFile } from './wheel.js'

export const manifestName = 'manifest.json'

export interface Manifest {
  /** Shape of this file. */
  format: 1
  /** What was installed, for people: "torch 2.11.0, nvidia-cuda-runtime 13.0.96". */
  source: string
  /** Version of the main part. */
  version: string
  /** ISO 8601, UTC. */
  created: string
  /** Real path of the local wheel or torch folder that it was made from; undefined when it came from the index. */
  origin?: string
  files: UnpackedFile[]
}

/** What is known of a folder in the cache. */
export type Found = { state: 'missing' } | { state: 'damaged'; why: string } | { state: 'ready'; manifest: Manifest }

/**
 * Looks at `folder`: every file of its manifest must be there with its size, and with `verify` with its hash.
 * 10,000 files take less than 0.1 s without `verify`.
 */
export async function inspect(
  folder: string,
  { verify, onProgress, signal }: Pick<InstallOptions, 'verify' | 'onProgress' | 'signal'> = {},
): Promise<Found> {
  let text: string
  try {
    text = await readFile(join(folder, manifestName), 'utf8')
  } catch (error) {
    if (hasCode(error, 'EACCES')) return { state: 'damaged', why: `${manifestName} may not be read` }
    if (!hasCode(error, 'ENOENT') && !hasCode(error, 'ENOTDIR')) throw error
    return existsSync(folder) ? { state: 'damaged', why: `${manifestName} is missing` } : { state: 'missing' }
  }
  const manifest = parseManifest(text)
  if (!manifest) return { state: 'damaged', why: `${manifestName} cannot be read` }
  const wrong = manifest.files.find((file) => sizeNow(join(folder, file.path)) !== file.size)
  if (wrong) return { state: 'damaged', why: `${wrong.path} is missing or has another size` }
  if (verify) {
    const changed = await firstChanged(folder, manifest, onProgress, signal)
    if (changed) return { state: 'damaged', why: `${changed} has changed` }
  }
  return { state: 'ready', manifest }
}

function parseManifest(text: string): Manifest | undefined {
  try {
    const value = JSON.parse(text) as Manifest
    return value.format === 1 && Array.isArray(value.files) ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

async function firstChanged(
  folder: string,
  manifest: Manifest,
  onProgress?: OnProgress,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const total = manifest.files.reduce((sum, file) => sum + file.size, 0)
  let done = 0
  for (const file of manifest.files) {
    signal?.throwIfAborted()
    if ((await sha256File(join(folder, file.path))) !== file.sha256) return file.path
    done += file.size
    onProgress?.({ label: `verifying ${basename(folder)}`, done, total, unit: 'bytes' })
  }
  return undefined
}

/** Synchronous: ten thousand promises take ten times as long as the calls themselves. */
function sizeNow(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size
  } catch (error) {
    if (hasCode(error, 'ENOTDIR')) return undefined
    throw error
  }
}

export interface InstallOptions extends LockOptions {
  /** Hash every file of what is already there. */
  verify?: boolean
  onProgress?: OnProgress
  /** false when what is there was made from something else than is wanted now, and is to be replaced. */
  accept?: (manifest: Manifest) => boolean
  /** Fills the empty temporary folder and describes it. */
  build: (temporary: string) => Promise<Omit<Manifest, 'format' | 'created'>>
  /** Called when the folder is in place, still under the lock. */
  done?: () => Promise<void>
}

/**
 * Makes sure that `folder` is there and whole; builds it when it is missing or damaged. One process at a time;
 * a kill at any moment leaves the old folder, the new one, or a temporary one that the next run removes.
 */
export async function install(
  folder: string,
  options: InstallOptions,
): Promise<{ created: boolean; manifest: Manifest }> {
  const accept = options.accept ?? (() => true)
  const before = await inspect(folder, options)
  if (before.state === 'ready' && accept(before.manifest)) return { created: false, manifest: before.manifest }
  await makeCache(dirname(folder))
  return withLock(`${folder}.lock`, options, async () => {
    const meanwhile = await inspect(folder, options) // another process may have made it while this one waited
    if (meanwhile.state === 'ready' && accept(meanwhile.manifest))
      return { created: false, manifest: meanwhile.manifest }
    const manifest = await replace(folder, options)
    await options.done?.()
    return { created: true, manifest }
  })
}

/** Makes a folder in the cache. @throws {BtError} BT_IO where it cannot be made or written to */
export async function makeCache(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true })
    await access(folder, constants.W_OK)
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST'].some((code) => hasCode(error, code))) throw error
    throw new BtError('BT_IO', `${folder}: is no folder that can be written to: ${messageOf(error)}`, {
      remedy: 'Set BT_NATIVE_CACHE to a folder that you may write.',
      cause: error,
    })
  }
}

async function replace(folder: string, { build, signal }: InstallOptions): Promise<Manifest> {
  await removeLeftovers(folder)
  const temporary = `${folder}.${process.pid}.tmp`
  try {
    await mkdir(temporary, { recursive: true })
    const manifest: Manifest = { format: 1, created: new Date().toISOString(), ...(await build(temporary)) }
    await syncFiles(temporary, signal)
    await writeFileAtomic(join(temporary, manifestName), `${JSON.stringify(manifest)}\n`)
    await rm(folder, { recursive: true, force: true })
    await rename(temporary, folder)
    await syncFolder(dirname(folder))
    return manifest
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    throw diskError(error, folder)
  }
}

/** Temporary folders of killed runs; the lock is held, so nobody else is writing them. */
async function removeLeftovers(folder: string): Promise<void> {
  const name = basename(folder)
  for (const entry of await readdir(dirname(folder))) {
    if (entry.startsWith(`${name}.`) && entry.endsWith('.tmp')) {
      await rm(join(dirname(folder), entry), { recursive: true, force: true })
    }
  }
}

/** One syncfs for thousands of headers: an fsync each takes minutes on some disks. */
async function syncFiles(folder: string, signal: AbortSignal | undefined): Promise<void> {
  const { code, output } = await run('sync', ['-f', folder], { signal })
  if (code !== 0) throw new BtError('BT_IO', `${folder}: could not be written out: ${output.trim()}`)
}
