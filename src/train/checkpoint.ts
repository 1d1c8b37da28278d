// Where a run stands on disk: numbered checkpoint folders, each complete or absent. What is in them is state.ts's affair.
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../errors.js'
import { diskError, syncFolder } from '../files.js'

export interface Checkpoint {
  /** Optimizer steps done when it was written. */
  step: number
  folder: string
}

/** Complete checkpoints under `run`, newest first. Half-written ones have another name and are not seen. */
export async function listCheckpoints(run: string): Promise<Checkpoint[]> {
  return (await entries(run))
    .map((name) => ({ name, match: /^checkpoint-(\d+)$/.exec(name) }))
    .filter(({ match }) => match !== null)
    .map(({ name, match }) => ({ step: Number(match![1]), folder: join(run, name) }))
    .toSorted((a, b) => b.step - a.step)
}

/** The newest complete checkpoint under `run`, or undefined. */
export async function latestCheckpoint(run: string): Promise<Checkpoint | undefined> {
  return (await listCheckpoints(run))[0]
}

/**
 * Writes a checkpoint so that a kill at any moment leaves it whole or not at all: `fill` writes its files into
 * `checkpoint-N.tmp`, which is synced and then renamed.
 * @throws {BtError} BT_DISK_FULL; checkpoints written before stay
 */
export async function writeCheckpoint(
  run: string,
  step: number,
  fill: (folder: string) => Promise<void>,
): Promise<Checkpoint> {
  const folder = join(run, `checkpoint-${step}`)
  const temporary = `${folder}.tmp`
  try {
    await rm(temporary, { recursive: true, force: true })
    await mkdir(temporary, { recursive: true })
    await fill(temporary)
    for (const name of await readdir(temporary)) await syncFile(join(temporary, name))
    await syncFolder(temporary)
    await rm(folder, { recursive: true, force: true })
    await rename(temporary, folder)
    await syncFolder(run)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    throw diskError(error, folder)
  }
  return { step, folder }
}

/** Removes all but the newest `keep` checkpoints and what a killed writer left behind. */
export async function pruneCheckpoints(run: string, keep: number): Promise<void> {
  for (const { folder } of (await listCheckpoints(run)).slice(keep)) {
    // Renamed first: a kill in the midst of the removal must not leave a checkpoint with files missing.
    await rename(folder, `${folder}.tmp`)
  }
  for (const name of await entries(run)) {
    if (/^checkpoint-\d+\.tmp$/.test(name)) await rm(join(run, name), { recursive: true, force: true })
  }
}

async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
