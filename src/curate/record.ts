// What was curated with which rules, and what came of it: the record beside the outputs.
import { readFile, stat } from 'node:fs/promises'
import { BtError, hasCode } from '../errors.js'
import type { CuratePaths } from './outputs.js'
import type { CurateSummary } from './types.js'

export interface CurateRecord {
  /** Rules and calibration. */
  key: object
  summary: CurateSummary
}

export async function readRecord({ record }: CuratePaths): Promise<CurateRecord | undefined> {
  try {
    const { key, summary } = JSON.parse(await readFile(record, 'utf8')) as Partial<CurateRecord>
    return key && summary ? { key, summary } : undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

export async function areThere({ output, scored }: CuratePaths): Promise<boolean> {
  return (await exists(output)) && (await exists(scored))
}

/** @throws {BtError} BT_OUTPUT_EXISTS for a file that curation did not write */
export async function refuseForeign(paths: CuratePaths, force: boolean): Promise<void> {
  if (force) return
  if (!(await exists(paths.output)) && !(await exists(paths.scored))) return
  // A kill between the outputs and their record leaves the scores.
  if ((await readRecord(paths)) || (await exists(paths.scores))) return
  throw new BtError('BT_OUTPUT_EXISTS', `${paths.output} or ${paths.scored} exists and was not made by this command`, {
    remedy: 'Choose another --output, or --force to replace it.',
  })
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}
