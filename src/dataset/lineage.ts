// The lineage of every pair that was ever written: the files of all stages joined by id into one Parquet file. DuckDB does
// the joins, so that rows are never held in JavaScript and memory is bounded. docs/lineage.md lists the columns.
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hasCode } from '../errors.js'
import { type Columns, copyToParquet, type Database, named, openDatabase, quoted, rowsOf } from './database.js'

/** Scores that a curation gives a pair, by the name of their column, and the lineage's own name of each. */
export const scoreColumns = {
  quality: 'quality',
  likelihood: 'likelihood',
  pmi: 'pmi',
  ifd: 'ifd',
  ending: 'ending',
  backward: 'backward',
  backwardPmi: 'backward_pmi',
  cycle: 'cycle',
  fit: 'fit',
} as const

/** Files of the stages; every list may be empty. */
export interface LineageInputs {
  /** Rows by hand, those that were held back too. */
  seed?: string[]
  /** What `segment` wrote. */
  segments?: string[]
  /** What `generate` wrote for the segments; rows with `messages` are conversations. */
  pairs?: string[]
  /** All rows of a curation with their scores, by the number of the iteration. */
  scored?: { iteration: number; file: string }[]
  /** Rows with rewritten responses; where a row is in several, the last counts. */
  rewritten?: string[]
  /** What each forward model was trained on. */
  training?: { model: string; files: string[] }[]
}

/** What was joined. */
export interface LineageSummary {
  output: string
  rows: number
  /** Rows by origin. */
  origins: Record<string, number>
  /** Rows whose id had come before, in the same kind of file: the first counts. */
  repeated: number
  /** Rows of later stages whose id stands in no file of seed rows or pairs. */
  unmatched: number
}

/** Origin of a row: written by people, by the backward model, polished by the forward one, or of several turns. */
export type Origin = 'seed' | 'augmented' | 'rewritten' | 'conversation'

const text = 'VARCHAR'

/** Where a row came from, as segments have it and pairs carry it along. */
const origin: Columns = {
  source: text,
  document: text,
  place: text,
  span: 'BIGINT[]',
  url: text,
  license: text,
  language: text,
}

const pairColumns: Columns = {
  id: text,
  instruction: text,
  response: text,
  messages: 'JSON',
  ...origin,
  lang: text,
  attempt: 'INTEGER',
  guard: 'VARCHAR[]',
  logProb: 'DOUBLE',
}

const scoredColumns: Columns = {
  id: text,
  ...Object.fromEntries(Object.keys(scoreColumns).map((name) => [name, 'DOUBLE'])),
  length: 'INTEGER',
  copy: 'DOUBLE',
  kept: 'BOOLEAN',
  why: text,
}

const iterationType = `STRUCT(iteration INTEGER, adapter VARCHAR, ${Object.values(scoreColumns)
  .map((name) => `${name} DOUBLE`)
  .join(', ')}, length INTEGER, copy DOUBLE, kept BOOLEAN, why VARCHAR)[]`

/**
 * Writes `output`, a Parquet file sorted by id with a row for each seed row and each pair: where it came from, what wrote it with
 * which options, its scores by iteration, and what it trained. The same files give the same bytes. What made a file is
 * read from the record beside it (FILE.meta.json).
 * @param memory gigabytes that DuckDB may take
 * @throws {BtError} BT_DATA_FILE, BT_DATA_MALFORMED, BT_DATA_FORMAT naming the file; BT_DISK_FULL
 */
export async function buildLineage(
  inputs: LineageInputs,
  output: string,
  { memory = 1 }: { memory?: number } = {},
): Promise<LineageSummary> {
  const database = await openDatabase(dirname(output), memory)
  try {
    const tables = await readStages(database, inputs)
    await copyToParquet(database, lineageQuery(inputs), output)
    const origins = await database.rows<{ origin: string; n: number }>(
      `SELECT origin, count(*) AS n FROM read_parquet(${quoted(output)}) GROUP BY origin ORDER BY origin`,
    )
    return {
      output,
      rows: origins.reduce((sum, { n }) => sum + n, 0),
      origins: Object.fromEntries(origins.map(({ origin, n }) => [origin, n])),
      ...tables,
    }
  } finally {
    await database.close()
  }
}

/** A table of each kind of file, with one row an id. */
async function readStages(database: Database, inputs: LineageInputs): Promise<{ repeated: number; unmatched: number }> {
  const { seed = [], pairs = [], segments = [], scored = [], rewritten = [], training = [] } = inputs
  const madeBy = { origin: text, ...writerTypes }
  const base = [
    ...(await each(seed, async (file) => pairsOf(await rowsOf(database, file, pairColumns), `'seed'`, {}))),
    ...(await each(pairs, async (file) =>
      pairsOf(
        await rowsOf(database, file, pairColumns),
        `if(messages IS NULL, 'augmented', 'conversation')`,
        await writerOf(file),
      ),
    )),
  ]
  let repeated = await table(database, 'base', union(base, { ...pairColumns, ...madeBy }), 'id, origin')
  const segmentColumns = { id: text, ...origin }
  await table(
    database,
    'segments',
    union(await each(segments, rowsWith(database, segmentColumns)), segmentColumns),
    'id',
  )
  const texts = { id: text, instruction: text, response: text }
  await table(database, 'rewritten', union(await each(rewritten, rowsWith(database, texts)), texts), 'id', 'max')
  for (const [at, { file }] of scored.entries()) {
    const { adapter } = (await fingerprintOf(file)) ?? {}
    const made = typeof adapter === 'string' ? quoted(adapter) : 'NULL'
    const rows = `SELECT *, ${made}::VARCHAR AS adapter FROM ${await rowsOf(database, file, scoredColumns)}`
    repeated += await table(database, `scored_${at}`, rows, 'id')
  }
  for (const [at, { files }] of training.entries()) {
    const ids = await each(files, async (file) => `SELECT ${pairId} FROM ${await rowsOf(database, file, texts)}`)
    await table(database, `training_${at}`, union(ids, { id: text }), 'id')
  }
  const later = ['rewritten', ...scored.map((_, at) => `scored_${at}`), ...training.map((_, at) => `training_${at}`)]
  const [{ n = 0 } = {}] = await database.rows<{ n: number }>(
    `SELECT count(DISTINCT id) AS n FROM (${later.map((name) => `SELECT id FROM ${name}`).join(' UNION ALL ')})
      WHERE id NOT IN (SELECT id FROM base)`,
  )
  return { repeated, unmatched: n }
}

function each(files: readonly string[], query: (file: string) => Promise<string>): Promise<string[]> {
  return Promise.all(files.map(query))
}

function rowsWith(database: Database, columns: Columns): (file: string) => Promise<string> {
  return async (file) => `SELECT * FROM ${await rowsOf(database, file, columns)}`
}

function pairsOf(rows: string, kind: string, writer: Writer): string {
  return `SELECT * REPLACE (${pairId}), ${kind} AS origin, ${constants(writer)} FROM ${rows}`
}

function union(queries: readonly string[], columns: Columns): string {
  return queries.length > 0 ? queries.join(' UNION ALL ') : `SELECT ${nulls(columns)} LIMIT 0`
}

/** The id of a pair that came without one, as rowId() makes it of normalised texts. */
const pairId = `coalesce(id, left(sha256(concat(instruction, chr(0), response)), 16)) AS id`

/** Makes a table of a query's rows, the first (or last) of each key. @returns how many rows there were beside those */
async function table(
  database: Database,
  name: string,
  query: string,
  key: string,
  which: 'min' | 'max' = 'min',
): Promise<number> {
  await database.run(`CREATE TEMP TABLE all_${name} AS SELECT *, row_number() OVER () AS n FROM (${query})`)
  // A join with the numbers alone: a window would hold whole texts.
  await database.run(`CREATE TEMP TABLE ${name} AS SELECT * FROM all_${name}
    WHERE n IN (SELECT ${which}(n) FROM all_${name} WHERE id IS NOT NULL GROUP BY ${key})`)
  const [counts] = await database.rows<{ many: number; one: number }>(
    `SELECT (SELECT count(*) FROM all_${name}) AS many, (SELECT count(*) FROM ${name}) AS one`,
  )
  await database.run(`DROP TABLE all_${name}`)
  return counts!.many - counts!.one
}

function nulls(columns: Columns): string {
  return Object.entries(columns)
    .map(([name, type]) => `NULL::${type} AS ${named(name)}`)
    .join(', ')
}

/** What a file of pairs was written with, as its record has it. */
interface Writer {
  backward_model?: string
  backward_adapter?: string
  template?: string
  sampling?: string
  seed?: number
}

const writerTypes: Columns = {
  backward_model: text,
  backward_adapter: text,
  template: text,
  sampling: text,
  seed: 'BIGINT',
}

function constants(writer: Writer): string {
  return Object.entries(writerTypes)
    .map(([name, type]) => {
      const value = writer[name as keyof Writer]
      return `${value === undefined ? 'NULL' : quoted(String(value))}::${type} AS ${name}`
    })
    .join(', ')
}

async function writerOf(file: string): Promise<Writer> {
  const made = await fingerprintOf(file)
  if (!made) return {}
  const { model, adapter, template, column: _, ...sampling } = made
  return {
    ...(typeof model === 'string' ? { backward_model: model } : {}),
    ...(typeof adapter === 'string' ? { backward_adapter: adapter } : {}),
    ...(typeof template === 'string' ? { template } : {}),
    sampling: JSON.stringify(sampling),
    ...(typeof sampling.seed === 'number' ? { seed: sampling.seed } : {}),
  }
}

/** What a file's rows are a function of, by the record of the command that wrote it. */
export async function fingerprintOf(file: string): Promise<Record<string, unknown> | undefined> {
  for (const path of new Set([file, file.replace(/\.scored(\.\w+)+$/, '$1')])) {
    try {
      const meta = JSON.parse(await readFile(`${path}.meta.json`, 'utf8')) as Record<string, unknown>
      const made = meta.fingerprint ?? meta.shaping
      if (typeof made === 'object' && made !== null) return made as Record<string, unknown>
    } catch (error) {
      if (!hasCode(error, 'ENOENT') && !(error instanceof SyntaxError)) throw error
    }
  }
  return undefined
}

/** First turn of a speaker in a row of messages. */
function turn(speaker: string): string {
  return `list_filter(b.messages::JSON[], lambda m: m->>'role' = '${speaker}')[1]->>'content'`
}

function lineageQuery({ scored = [], training = [] }: LineageInputs): string {
  const iterations = scored.map(({ iteration }, at) => {
    const scores = Object.entries(scoreColumns).map(([name, own]) => `${own} := s${at}.${named(name)}`)
    const rest = ['length', 'copy', 'kept', 'why'].map((name) => `${name} := s${at}.${name}`)
    const made = [`iteration := ${iteration}`, `adapter := s${at}.adapter`]
    return `CASE WHEN s${at}.id IS NOT NULL THEN struct_pack(${[...made, ...scores, ...rest].join(', ')}) END`
  })
  const trained = training.map(({ model }, at) => `CASE WHEN t${at}.id IS NOT NULL THEN ${quoted(model)} END`)
  const there = (items: string[], type: string) =>
    items.length === 0 ? `[]::${type}` : `list_filter([${items.join(', ')}], lambda x: x IS NOT NULL)::${type}`
  const given = (name: string) => `coalesce(b.${name}, s.${name}) AS ${name}`
  return `SELECT b.id,
      coalesce(r.instruction, b.instruction, ${turn('user')}) AS instruction,
      coalesce(r.response, b.response, ${turn('assistant')}) AS response,
      if(r.response <> b.response, 'rewritten', b.origin) AS origin,
      ${given('source')}, ${given('document')}, ${given('place')},
      coalesce(b.span, s.span)[1] AS span_from, coalesce(b.span, s.span)[2] AS span_to,
      ${given('url')}, ${given('license')}, coalesce(b.language, b.lang, s.language) AS language,
      b.backward_model, b.backward_adapter, b.template, b.sampling, b.seed,
      if(b.origin = 'seed', NULL, coalesce(b.attempt, 0)) AS attempt, b.guard, b.logProb AS written_log_prob,
      ${there(iterations, iterationType)} AS iterations,
      if(r.response <> b.response, b.response, NULL) AS original_response,
      ${there(trained, 'VARCHAR[]')} AS in_training_of
    FROM (SELECT *, if(origin = 'seed', NULL, id) AS pair FROM base) b
    LEFT JOIN segments s ON s.id = b.pair
    LEFT JOIN rewritten r ON r.id = b.pair
    ${scored.map((_, at) => `LEFT JOIN scored_${at} s${at} ON s${at}.id = b.id`).join('\n    ')}
    ${training.map((_, at) => `LEFT JOIN training_${at} t${at} ON t${at}.id = b.id`).join('\n    ')}
    ORDER BY b.id, b.origin`
}
