// Rows of a Parquet file as plain objects, streamed through DuckDB. Column meanings are for formats.ts.
import { tmpdir } from 'node:os'
import { BtError, messageOf } from '../errors.js'

/** One thread and order kept: rows come in file order. The limit bounds what DuckDB buffers, not what it returns. */
const settings = {
  threads: '1',
  memory_limit: '1GB',
  temp_directory: tmpdir(),
  preserve_insertion_order: 'true',
}

/** Rows of a Parquet file, from its footer. Throws what DuckDB says of a damaged one. */
export async function countParquet(path: string): Promise<number> {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const instance = await DuckDBInstance.create(':memory:', settings)
  const connection = await instance.connect()
  try {
    const result = await connection.runAndReadAll('SELECT count(*)::DOUBLE AS rows FROM read_parquet($path)', { path })
    return result.getRowObjects()[0]!.rows as number
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

/**
 * Streams a Parquet file's rows in file order; lists and structs become arrays and objects, times become text, and
 * integers become numbers where they are exact.
 * @throws {BtError} BT_DATA_FORMAT when the file is damaged
 */
export async function* readParquet(path: string): AsyncGenerator<Record<string, unknown>> {
  const { DuckDBInstance, JsonDuckDBValueConverter } = await import('@duckdb/node-api')
  const convert: typeof JsonDuckDBValueConverter = (value, type, converter) =>
    typeof value === 'bigint' && BigInt(Number(value)) === value
      ? Number(value)
      : JsonDuckDBValueConverter(value, type, converter)
  const instance = await DuckDBInstance.create(':memory:', settings)
  const connection = await instance.connect()
  try {
    const result = await connection.stream('SELECT * FROM read_parquet($path)', { path })
    const names = result.deduplicatedColumnNames()
    for await (const rows of result.yieldConvertedRows(convert)) {
      for (const row of rows) yield Object.fromEntries(names.map((name, column) => [name, row[column] ?? null]))
    }
  } catch (error) {
    if (error instanceof BtError) throw error
    throw new BtError('BT_DATA_FORMAT', `${path}: the Parquet file cannot be read: ${firstLine(messageOf(error))}`, {
      remedy: 'Fetch or write the file again.',
      cause: error,
    })
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!
}
