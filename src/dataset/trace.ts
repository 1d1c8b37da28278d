// One row's story out of the lineage: found by its id or the beginning of it, with the text of the document that it was cut
// from where that is still there. How it is told is for trace-text.ts.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { Drops } from '../data/drops.js'
import { BtError } from '../errors.js'
import { sha256 } from '../files.js'
import { readDocuments } from '../segment/documents.js'
import { currentLineage } from './current.js'
import { type Database, openDatabase, quoted, rowsOf } from './database.js'
import { fingerprintOf, type Origin } from './lineage.js'
import { lineageInputsOf } from './run-files.js'

/** What an iteration of curation said of a pair; nats and names as in `curate`. */
export interface LineageIteration {
  iteration: number
  adapter: string | null
  quality: number | null
  likelihood: number | null
  pmi: number | null
  ifd: number | null
  ending: number | null
  backward: number | null
  backward_pmi: number | null
  cycle: number | null
  fit: number | null
  length: number | null
  copy: number | null
  kept: boolean | null
  why: string | null
}

/** A row of lineage.parquet. */
export interface LineageRow {
  id: string
  instruction: string | null
  response: string | null
  origin: Origin
  source: string | null
  document: string | null
  place: string | null
  span_from: number | null
  span_to: number | null
  url: string | null
  license: string | null
  language: string | null
  backward_model: string | null
  backward_adapter: string | null
  template: string | null
  /** JSON. */
  sampling: string | null
  seed: number | null
  attempt: number | null
  guard: string[] | null
  written_log_prob: number | null
  iterations: LineageIteration[]
  original_response: string | null
  in_training_of: string[]
}

/** The text of a document that a row was cut from. */
export interface Excerpt {
  /** File that was read. */
  file: string
  /** document.slice(from, to). */
  text: string
  /** The document's hash is that of the row. */
  unchanged: boolean
  /** The text is the row's own, but for white space; else markup was taken out of it, something masked, or it was changed. */
  same: boolean
}

/** The story of a row. */
export interface Trace {
  rows: (LineageRow & { excerpt?: Excerpt /** Why there is no excerpt. */; noExcerpt?: string })[]
  /** File that was asked. */
  lineage: string
}

/** Which row of which run. */
export interface TraceOptions {
  /** The id, or the beginning of it where no other row's begins so. */
  id: string
  /** Folder of a run; its lineage is built where it is not there or older than its stages. */
  run?: string | undefined
  /** A file that buildLineage wrote. */
  lineage?: string | undefined
}

/**
 * Finds a row of a run. More than one where a seed row and a pair, or a pair and a conversation, have the same id.
 * @throws {BtError} BT_ROW_NOT_FOUND with ids that are near, BT_ROW_AMBIGUOUS with ids that begin so; BT_RUN_NOT_FOUND;
 *   BT_DATA_FILE, BT_DATA_FORMAT for a lineage that cannot be read
 */
export async function trace({ id, run = '.', lineage }: TraceOptions): Promise<Trace> {
  const scratch = await mkdtemp(join(tmpdir(), 'bt-trace-'))
  const database = await openDatabase(scratch)
  try {
    const file = lineage ?? (await currentLineage(run, scratch))
    const rows = await find(database, file, id)
    const folder = lineage === undefined ? run : undefined
    return { lineage: file, rows: await Promise.all(rows.map((row) => withExcerpt(row, folder))) }
  } finally {
    await database.close()
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Ids that are shown when one is not enough. */
const shown = 10

async function find(database: Database, file: string, id: string): Promise<LineageRow[]> {
  await rowsOf(database, file, {}) // says whether there is a file
  const from = `FROM read_parquet(${quoted(file)})`
  const exact = await database.rows<LineageRow>(`${from} WHERE id = $id`, { id })
  if (exact.length > 0) return exact
  const begins = await database.rows<{ id: string }>(
    `SELECT DISTINCT id ${from} WHERE starts_with(id, $id) ORDER BY id LIMIT ${shown + 1}`,
    { id },
  )
  if (begins.length === 1) return database.rows<LineageRow>(`${from} WHERE id = $id`, { id: begins[0]!.id })
  if (begins.length > 1) {
    const ids = begins.slice(0, shown).map((row) => row.id)
    throw new BtError('BT_ROW_AMBIGUOUS', `${file}: more than one id begins with ${id}`, {
      remedy: `Say more of it: ${ids.join(', ')}${begins.length > shown ? ', ...' : ''}`,
    })
  }
  const near = await database.rows<{ id: string }>(
    `SELECT DISTINCT id, damerau_levenshtein(left(id, length($id)), $id) AS edits ${from}
      WHERE edits <= greatest(1, length($id) // 4) QUALIFY edits = min(edits) OVER () ORDER BY id LIMIT 3`,
    { id },
  )
  throw new BtError('BT_ROW_NOT_FOUND', `${file}: no row has the id ${id}`, {
    remedy:
      near.length > 0
        ? `Did you mean ${near.map((row) => row.id).join(' or ')}?`
        : `Ids stand in the column id: duckdb -c "SELECT id, instruction FROM '${file}' LIMIT 10"`,
  })
}

async function withExcerpt(row: LineageRow, run: string | undefined): Promise<Trace['rows'][number]> {
  if (row.place === null || row.span_from === null || row.span_to === null) return row
  const found = await excerptOf(row, run)
  return typeof found === 'string' ? { ...row, noExcerpt: found } : { ...row, excerpt: found }
}

/** The excerpt, or why there is none. */
async function excerptOf(row: LineageRow, run: string | undefined): Promise<Excerpt | string> {
  const place = row.place!
  const named = place.replace(/:\d+( \(item \d+\))?$/, '')
  const column = run === undefined ? undefined : await corpusColumn(run)
  for (const file of isAbsolute(named) || run === undefined ? [named] : [named, join(run, named)]) {
    const content = await contentAt(file, place.replace(named, file), column)
    if (content === undefined) continue
    const text = content.slice(row.span_from!, row.span_to!)
    const unchanged = sha256(content).slice(0, 16) === row.document
    return { file, text, unchanged, same: words(text) === words(row.original_response ?? row.response) }
  }
  return `${named} is not there, or has no such document`
}

/** What readDocuments finds at a place; undefined where there is no such file or document. */
async function contentAt(file: string, place: string, column: string | undefined): Promise<string | undefined> {
  try {
    for await (const document of readDocuments(file, { drops: new Drops(), format: 'auto', column })) {
      if (document.place === place) return document.content
    }
  } catch (error) {
    if (!(error instanceof BtError)) throw error
  }
  return undefined
}

function words(text: string | null): string {
  return (text ?? '').trim().split(/\s+/).join(' ')
}

/** The column that the corpus was read from, where one was named. */
async function corpusColumn(run: string): Promise<string | undefined> {
  for (const file of (await lineageInputsOf(run).catch(() => undefined))?.segments ?? []) {
    const { column } = (await fingerprintOf(file)) ?? {}
    if (typeof column === 'string') return column
  }
  return undefined
}
