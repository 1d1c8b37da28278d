// A JSONL work log as a Parquet file, by DuckDB. The columns and their types are the caller's.
import { randomBytes } from 'node:crypto'
import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { BtError, messageOf } from '../errors.js'
import { diskError, syncFolder } from '../files.js'

/** Name and DuckDB's type of each column, in order: { id: 'VARCHAR', logProbs: 'FLOAT[]' }. */
export type ParquetColumns = Record<string, string>

/**
 * Writes the rows of a JSONL file as Parquet (zstd), in their order, atomically; a column that a row has not is NULL. The same
 * rows give the same bytes.
 * @throws {BtError} BT_DISK_FULL; BT_OUTPUT_DAMAGED when the rows are not of these types
 */
export async function writeParquetFromJsonl(jsonlPath: string, path: string, columns: ParquetColumns): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`
  try {
    await copy(jsonlPath, temporary, columns)
    const file = await open(temporary, 'r+')
    await file.sync().finally(() => file.close())
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw diskError(error, path)
  }
  await syncFolder(dirname(path))
}

async function copy(jsonlPath: string, path: string, columns: ParquetColumns): Promise<void> {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  // One thread and order kept: rows stay in file order.
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: '1GB',
    temp_directory: dirname(path),
    preserve_insertion_order: 'true',
  })
  const connection = await instance.connect()
  const types = Object.entries(columns).map(([name, type]) => `${quoted(name)}: ${quoted(type)}`)
  const empty = (await stat(jsonlPath)).size === 0
  const rows = empty
    ? `(SELECT ${Object.entries(columns).map(([name, type]) => `NULL::${type} AS "${name}"`)} LIMIT 0)`
    : `(FROM read_json(${quoted(jsonlPath)}, format = 'newline_delimited', compression = 'uncompressed', ` +
      `maximum_object_size = ${1 << 26}, columns = {${types.join(', ')}}))`
  try {
    await connection.run(`COPY ${rows} TO ${quoted(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)`)
  } catch (error) {
    if (/no space left/i.test(messageOf(error))) throw Object.assign(error as Error, { code: 'ENOSPC' })
    throw new BtError('BT_OUTPUT_DAMAGED', `${jsonlPath}: ${messageOf(error).split('\n', 1)[0]}`, {
      remedy: 'Choose another --output, or --force to start over.',
      cause: error,
    })
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
