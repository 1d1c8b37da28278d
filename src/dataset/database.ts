// DuckDB for files of rows: opening it within a bound of memory, SQL that reads a file whatever holds its rows, Parquet
// that appears whole or not at all. What the queries are is for others.
import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { checkFile } from '../data/bytes.js'
import { BtError, messageOf } from '../errors.js'
import { diskError, syncFolder } from '../files.js'

/** A DuckDB of this process, in memory until that is full and then in a folder. */
export interface Database {
  /** Runs a statement. @throws {BtError} BT_DATA_MALFORMED, BT_DATA_FORMAT for a file that cannot be read */
  run(sql: string, values?: Values): Promise<void>
  /** All rows of a small answer, as JSON would hold them. */
  rows<Row = Record<string, unknown>>(sql: string, values?: Values): Promise<Row[]>
  /** Rows of any answer, one at a time. */
  stream<Row = Record<string, unknown>>(sql: string): AsyncGenerator<Row>
  close(): Promise<void>
}

export type Values = Record<string, string | number>

/** DuckDB's type of each wanted column: { id: 'VARCHAR', span: 'BIGINT[]' }. */
export type Columns = Record<string, string>

/** Longest row that is read: a line of JSON, an element of an array. */
const longestRow = 1 << 26

/**
 * @param spill folder beside which DuckDB puts what memory does not hold; removed by close()
 * @param memory gigabytes
 */
export async function openDatabase(spill: string, memory = 1): Promise<Database> {
  const { DuckDBInstance, JsonDuckDBValueConverter } = await import('@duckdb/node-api')
  const convert: typeof JsonDuckDBValueConverter = (value, type, converter) =>
    typeof value === 'bigint' && BigInt(Number(value)) === value
      ? Number(value)
      : JsonDuckDBValueConverter(value, type, converter)
  const folder = join(spill, `.duckdb-${randomBytes(4).toString('hex')}`)
  const instance = await DuckDBInstance.create(':memory:', {
    memory_limit: `${Math.round(memory * 1000)}MB`,
    temp_directory: folder,
    preserve_insertion_order: 'true',
  })
  const connection = await instance.connect()
  const told = <T>(work: Promise<T>) => work.catch((error: unknown) => Promise.reject(readError(error)))
  return {
    async run(sql, values) {
      await told(connection.run(sql, values))
    },
    async rows<Row>(sql: string, values?: Values) {
      const result = await told(connection.runAndReadAll(sql, values))
      const names = result.deduplicatedColumnNames()
      return result.convertRows(convert).map((row) => objectOf<Row>(names, row))
    },
    async *stream<Row>(sql: string) {
      const result = await told(connection.stream(sql))
      const names = result.deduplicatedColumnNames()
      try {
        for await (const rows of result.yieldConvertedRows(convert)) {
          for (const row of rows) yield objectOf<Row>(names, row)
        }
      } catch (error) {
        throw readError(error)
      }
    },
    async close() {
      connection.closeSync()
      instance.closeSync()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function objectOf<Row>(names: readonly string[], row: readonly unknown[]): Row {
  return Object.fromEntries(names.map((name, at) => [name, row[at] ?? null])) as Row
}

/** A text as SQL writes it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** A name as SQL writes it. */
export function named(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/**
 * A query for the wanted columns of a file: JSONL (.gz too), a JSON array (.json) or Parquet; columns that it has not are NULL.
 * @throws {BtError} BT_DATA_FILE when it is missing or a directory
 */
export async function rowsOf(database: Database, path: string, columns: Columns): Promise<string> {
  await checkFile(path)
  if (path.endsWith('.parquet')) return parquetRows(database, path, columns)
  if ((await stat(path)).size === 0) return `(SELECT ${emptyOf(columns).join(', ')} LIMIT 0)`
  const types = Object.entries(columns).map(([name, type]) => `${quoted(name)}: ${quoted(type)}`)
  const format = /\.json(\.gz)?$/.test(path) ? 'array' : 'newline_delimited'
  return (
    `(FROM read_json(${quoted(path)}, format = ${quoted(format)}, maximum_object_size = ${longestRow}, ` +
    `columns = {${types.join(', ')}}))`
  )
}

async function parquetRows(database: Database, path: string, columns: Columns): Promise<string> {
  const here = await database.rows<{ column_name: string }>(`DESCRIBE SELECT * FROM read_parquet(${quoted(path)})`)
  const has = new Set(here.map(({ column_name }) => column_name))
  const wanted = Object.entries(columns).map(([name, type]) => {
    if (!has.has(name)) return `NULL::${type} AS ${named(name)}`
    return `${type === 'JSON' ? `to_json(${named(name)})` : `${named(name)}::${type}`} AS ${named(name)}`
  })
  return `(SELECT ${wanted.join(', ')} FROM read_parquet(${quoted(path)}))`
}

function emptyOf(columns: Columns): string[] {
  return Object.entries(columns).map(([name, type]) => `NULL::${type} AS ${named(name)}`)
}

/**
 * The rows of a query as a Parquet file (zstd), in their order; the file appears when it is whole.
 * @throws {BtError} BT_DISK_FULL; as Database.run
 */
export async function copyToParquet(database: Database, query: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`
  try {
    await database.run(
      `COPY (${query}) TO ${quoted(temporary)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)`,
    )
    const file = await open(temporary, 'r+')
    await file.sync().finally(() => file.close())
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw diskError(error, path)
  }
  await syncFolder(dirname(path))
}

/** What DuckDB says of a file that it cannot read, as an error with a code; a full disk as Node names it. */
function readError(error: unknown): unknown {
  const [first = ''] = messageOf(error).split('\n', 1)
  if (/no space left/i.test(first)) return Object.assign(new Error(first, { cause: error }), { code: 'ENOSPC' })
  if (/out of memory/i.test(first)) {
    return new BtError('BT_OUT_OF_MEMORY', `DuckDB: ${first}`, { remedy: 'Give it more with --memory.', cause: error })
  }
  if (/JSON|UTF-?8|unicode|Conversion Error/i.test(first)) {
    return new BtError('BT_DATA_MALFORMED', placed(first.replace(/^(Invalid Input|Conversion) Error: /, '')), {
      remedy: 'bt-native preprocess names the lines that cannot be read, and leaves them out.',
      cause: error,
    })
  }
  if (/parquet/i.test(first)) {
    return new BtError('BT_DATA_FORMAT', first.replace(/^\w+( \w+)? Error: /, ''), {
      remedy: 'Fetch or write the file again.',
      cause: error,
    })
  }
  return error
}

/** "FILE:LINE: what" of DuckDB's words, which name the line after a malformed one. */
function placed(words: string): string {
  const [, file, line, what] =
    /^Malformed JSON in file "(.*)", at byte \d+ in line (\d+): (.*?)\.?\s*$/.exec(words) ?? []
  return file === undefined ? words : `${file}:${Math.max(1, Number(line) - 1)}: malformed JSON: ${what}`
}
