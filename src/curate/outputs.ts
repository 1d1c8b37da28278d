// Where curation writes: names of its files, the rows of the work log read back, and the two outputs made from them.
import { rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Drops } from '../data/drops.js'
import { type ParquetColumns, writeParquetFromJsonl } from '../data/parquet-write.js'
import { readRecords } from '../data/records.js'
import { RowWriter } from '../data/row-writer.js'
import { writeAtomic } from '../files.js'
import { jsonlColumns } from './expression.js'
import { type ScoredPair, scoreNames } from './types.js'

export interface CuratePaths {
  /** The kept rows. */
  output: string
  /** All rows. */
  scored: string
  /** What was curated with what, and what came of it. */
  record: string
  calibration: string
  /** Folder of what goes on where it was: scores of the input, of planted pairs, hidden states. */
  work: string
  scores: string
}

/** "curated.jsonl" -> "curated.scored.jsonl", "curated.work/", ... in the same folder. */
export function pathsOf(output: string): CuratePaths {
  const ending = /\.[^.]+$/.exec(basename(output))![0]
  const stem = join(dirname(output), basename(output, ending))
  const work = `${stem}.work`
  return {
    output,
    scored: `${stem}.scored${ending}`,
    record: `${output}.meta.json`,
    calibration: `${stem}.calibration.json`,
    work,
    scores: join(work, 'scores.jsonl'),
  }
}

/** Rows of a work log, in order. */
export async function* logRows(log: string, rows: number): AsyncGenerator<Record<string, unknown>> {
  if (rows === 0) return
  for await (const { value } of readRecords(log, { drops: new Drops() })) yield value
}

/** Writes all rows and the kept ones, each file whole or not at all. */
export async function writeOutputs(paths: CuratePaths, rows: () => AsyncIterable<ScoredPair>): Promise<void> {
  await writeRows(paths.scored, paths.work, rows())
  await writeRows(paths.output, paths.work, keptRows(rows()))
}

async function* keptRows(rows: AsyncIterable<ScoredPair>): AsyncGenerator<ScoredPair> {
  for await (const row of rows) if (row.kept) yield row
}

async function writeRows(path: string, work: string, rows: AsyncIterable<ScoredPair>): Promise<void> {
  const isParquet = path.endsWith('.parquet')
  const jsonl = isParquet ? join(work, `${basename(path)}.jsonl`) : path
  await writeAtomic(jsonl, async (file) => {
    const writer = new RowWriter(file)
    for await (const row of rows) await writer.write(row)
    await writer.end()
  })
  if (!isParquet) return
  await writeParquetFromJsonl(jsonl, path, await parquetColumns(jsonl))
  await rm(jsonl)
}

/** The input's own columns have the types that DuckDB finds. */
async function parquetColumns(jsonl: string): Promise<ParquetColumns> {
  const own = Object.fromEntries(scoreNames.map((name) => [name, 'DOUBLE']))
  const found = await jsonlColumns(jsonl)
  const types = { id: 'VARCHAR', instruction: 'VARCHAR', response: 'VARCHAR', kept: 'BOOLEAN', why: 'VARCHAR', ...own }
  if (found.length === 0) return types
  return Object.fromEntries(found.map(({ name, type }) => [name, (types as Record<string, string>)[name] ?? type]))
}
