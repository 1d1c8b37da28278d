// The lineage of a run as its files are now.
import { join } from 'node:path'
import { buildLineage } from './lineage.js'
import { allFiles, isNewest, lineageFile, lineageInputsOf } from './run-files.js'

/**
 * The run's own lineage.parquet, where no stage wrote anything after it; else one that is made in `scratch`.
 * @returns its path
 * @throws {BtError} as lineageInputsOf and buildLineage
 */
export async function currentLineage(run: string, scratch: string): Promise<string> {
  const own = join(run, lineageFile)
  const inputs = await lineageInputsOf(run).catch((error: unknown) => error as Error)
  if (inputs instanceof Error) {
    if (await isNewest(own, [])) return own
    throw inputs
  }
  if (await isNewest(own, allFiles(inputs))) return own
  return (await buildLineage(inputs, join(scratch, lineageFile))).output
}
