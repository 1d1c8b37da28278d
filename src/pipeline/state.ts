// state.json of a run: what each stage was made from and what came out. Written by rename after every change.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BtError, hasCode } from '../errors.js'
import { writeFileAtomic } from '../files.js'
import type { StageResult } from './stage.js'

/** A file as it was when it was last read whole. Times are milliseconds since 1970. */
export interface FileStamp {
  path: string
  bytes: number
  modified: number
  /** Hex SHA-256. */
  hash: string
}

/** What is known of a stage that was begun. */
export interface StageRecord extends Partial<StageResult> {
  name: string
  /** Of everything that the stage is a function of. */
  key: string
  /** The same in words: what differs is told when a stage runs again. */
  inputs: Record<string, string>
  /** stale: its files are being removed, because something it depends on has changed. */
  status: 'running' | 'done' | 'failed' | 'stale'
  /** When it was begun, ISO 8601. */
  started: string
  /** Of work, all sittings together. */
  seconds: number
  error?: string
  outputs: FileStamp[]
}

export interface RunState {
  format: 1
  version: string
  name: string
  /** Files outside the run as they were when they were last read whole. */
  files: FileStamp[]
  stages: StageRecord[]
}

export const stateFile = 'state.json'

/** @throws {BtError} BT_RUN_RECORD for a damaged file */
export async function readState(folder: string): Promise<RunState | undefined> {
  const path = join(folder, stateFile)
  try {
    const state = JSON.parse(await readFile(path, 'utf8')) as RunState
    if (state.format === 1 && Array.isArray(state.stages)) return state
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    if (!(error instanceof SyntaxError)) throw error
  }
  throw new BtError('BT_RUN_RECORD', `${path} is no record of a run`, {
    remedy: 'Remove the file: what the stages have finished is found again by each of them.',
  })
}

export async function writeState(folder: string, state: RunState): Promise<void> {
  await writeFileAtomic(join(folder, stateFile), `${JSON.stringify(state, null, 2)}\n`)
}
