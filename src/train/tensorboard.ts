// A run's curves as TensorBoard's event files: one a sitting in OUTPUT/tensorboard. The records are report/tensorboard.ts's.
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../errors.js'
import { diskError } from '../files.js'
import { restartRecord, type Scalar, scalarRecord, versionRecord } from '../report/tensorboard.js'
import type { TrainEvent } from './events.js'

/** In the output folder. */
export const eventFolder = 'tensorboard'

/** Ends with a name of ours, so that nobody else's files are taken for a run's. */
const ownFile = /^events\.out\.tfevents\.(\d{10})\.bt-native$/

export interface EventFile {
  /** Appends the curves' points of a step or a validation; other events have none. */
  write(event: TrainEvent): Promise<void>
  close(): Promise<void>
}

/**
 * Begins the file of a sitting. TensorBoard reads a folder's files in the order of their names; the new one begins with the
 * word that steps after `lastStep` start over, so that what a killed sitting did in vain is not shown.
 * @param lastStep step of the checkpoint that the run goes on from; -1 for a run from the beginning
 */
export async function openEventFile(output: string, lastStep: number): Promise<EventFile> {
  const folder = join(output, eventFolder)
  await mkdir(folder, { recursive: true })
  const path = join(folder, await nextName(folder))
  const file = await open(path, 'wx')
  await append(file, path, versionRecord(now()))
  await append(file, path, restartRecord({ wallTime: now(), step: lastStep + 1 }))
  return {
    async write(event) {
      const scalars = scalarsOf(event)
      if (scalars) await append(file, path, scalarRecord({ wallTime: now(), step: scalars.step }, scalars.values))
    },
    close: () => file.close(),
  }
}

/** Removes the event files that runs made, and the folder if nothing else is in it. */
export async function removeEventFiles(folder: string): Promise<void> {
  const names = await namesIn(folder)
  const own = names.filter((name) => ownFile.test(name))
  if (own.length === 0) return
  for (const name of own) await rm(join(folder, name), { force: true })
  if (own.length === names.length) await rm(folder, { recursive: true })
}

/** Named by the second, but always after the files that are there: two sittings may share one, and clocks are set back. */
async function nextName(folder: string): Promise<string> {
  const taken = (await namesIn(folder)).flatMap((name) => Number(ownFile.exec(name)?.[1] ?? []))
  const seconds = Math.max(Math.floor(now()), ...taken.map((one) => one + 1))
  return `events.out.tfevents.${String(seconds).padStart(10, '0')}.bt-native`
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

function scalarsOf(event: TrainEvent): { step: number; values: Scalar[] } | undefined {
  if (event.type === 'validation') return { step: event.step, values: [{ tag: 'loss/validation', value: event.loss }] }
  if (event.type !== 'step') return undefined
  const values = [
    { tag: 'loss/train', value: event.loss },
    { tag: 'loss/smoothed', value: event.smoothedLoss },
    { tag: 'gradient_norm', value: event.gradNorm },
    { tag: 'learning_rate', value: event.learningRate },
    { tag: 'tokens_per_second', value: event.tokensPerSecond },
  ]
  return { step: event.step, values }
}

async function append(file: FileHandle, path: string, record: Uint8Array): Promise<void> {
  try {
    await file.appendFile(record)
  } catch (error) {
    throw diskError(error, path)
  }
}

function now(): number {
  return Date.now() / 1000
}
