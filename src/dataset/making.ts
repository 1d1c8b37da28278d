// How the rows of a data set were made, as far as records tell: what wrote the instructions and what judged the pairs.
import { currentLineage } from './current.js'
import type { Database } from './database.js'
import { quoted } from './database.js'
import { fingerprintOf } from './lineage.js'
import { lineageInputsOf } from './run-files.js'

export interface Making {
  /** What each step was done with: hashes of models and templates, options. */
  steps: { step: string; options: Record<string, unknown> }[]
  /** Rows by origin (seed, augmented, rewritten, conversation); undefined without a lineage. */
  origins?: Record<string, number> | undefined
}

export interface MakingOptions {
  input: string[]
  run?: string | undefined
  lineage?: string | undefined
}

/**
 * @param messages the data set's rows with their ids, as JSONL: for the counts by origin
 * @param scratch folder for a lineage that has to be made
 */
export async function makingOf(
  options: MakingOptions,
  database: Database,
  messages: string,
  scratch: string,
): Promise<Making> {
  const inputs = options.run === undefined ? undefined : await lineageInputsOf(options.run)
  const steps: [string, string][] = [
    ...(inputs?.pairs ?? []).map((file): [string, string] => ['instructions', file]),
    ...(inputs?.scored ?? []).map(({ iteration, file }): [string, string] => [`curation ${iteration}`, file]),
    ...(inputs?.rewritten ?? []).map((file): [string, string] => ['rewriting', file]),
    ...(inputs ? [] : options.input.map((file): [string, string] => [file.replace(/^.*\//, ''), file])),
  ]
  const made = await Promise.all(steps.map(async ([step, file]) => ({ step, options: await fingerprintOf(file) })))
  return {
    steps: made.flatMap(({ step, options }) => (options ? [{ step, options: told(options) }] : [])),
    origins: await originsOf(options, database, messages, scratch),
  }
}

/** What says something to a reader: no place of this machine, nothing that was not set. */
function told(options: Record<string, unknown>): Record<string, unknown> {
  const named = Object.entries(options).filter(([name, value]) => {
    return value !== null && value !== undefined && value !== false && !['input', 'output', 'inputs'].includes(name)
  })
  return Object.fromEntries(named)
}

async function originsOf({ run, lineage }: MakingOptions, database: Database, messages: string, scratch: string) {
  const file = lineage ?? (run === undefined ? undefined : await currentLineage(run, scratch))
  if (file === undefined) return undefined
  const rows = await database.rows<{ origin: string; n: number }>(
    `SELECT coalesce(l.origin, 'not in the lineage') AS origin, count(*) AS n
      FROM read_json(${quoted(messages)}, format = 'newline_delimited', maximum_object_size = 67108864, columns = {id: 'VARCHAR'}) d
      LEFT JOIN (SELECT id, min(origin) AS origin FROM read_parquet(${quoted(file)}) GROUP BY id) l USING (id)
      GROUP BY ALL ORDER BY n DESC, origin`,
  )
  return Object.fromEntries(rows.map(({ origin, n }) => [origin, n]))
}
