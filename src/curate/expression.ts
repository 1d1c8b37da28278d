// The keep expression: SQL over the columns of the scored rows, evaluated by DuckDB. Anything but an expression is refused,
// and what is evaluated can reach neither files nor settings.
import { stat } from 'node:fs/promises'
import type { DuckDBConnection } from '@duckdb/node-api'
import { BtError, messageOf } from '../errors.js'
import { scoreNames } from './types.js'

/** A name that no column has. */
const rowColumn = 'bt-native row'

/**
 * Parses an expression without its columns.
 * @throws {BtError} BT_USAGE when it is none, or holds a query
 */
export async function checkExpression(expression: string): Promise<void> {
  await withDatabase(async (connection) => refuseOther(connection, expression))
}

/**
 * Evaluates an expression for each row of a JSONL file.
 * @param more columns that the file has not: [rows] each, NaN for NULL
 * @returns [rows] 1 where it is true, 0 where it is false, -1 where it is NULL
 * @throws {BtError} BT_USAGE when it does not fit the columns
 */
export async function evaluateExpression(
  expression: string,
  jsonlPath: string,
  more: Record<string, Float64Array> = {},
): Promise<Int8Array> {
  return withDatabase(async (connection) => {
    await refuseOther(connection, expression)
    await loadRows(connection, jsonlPath, more)
    // From here on nothing outside of the database can be read or written.
    await connection.run('SET enable_external_access = false')
    await connection.run('SET lock_configuration = true')
    return valuesOf(connection, expression)
  })
}

async function withDatabase<T>(use: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  // One thread and order kept: rows come in file order.
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', preserve_insertion_order: 'true' })
  const connection = await instance.connect()
  try {
    return await use(connection)
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

/** The part of DuckDB's syntax tree that tells an expression from more than that. */
interface ParsedSql {
  error: boolean
  error_message?: string
  statements?: {
    node: { type: string; select_list?: unknown[]; from_table?: { type?: string } } & Record<string, unknown>
  }[]
}

/** The tree of "SELECT (expression) FROM pairs" must be that of "SELECT (true) FROM pairs" but for the expression itself. */
async function refuseOther(connection: DuckDBConnection, expression: string): Promise<void> {
  const [tree, plain] = [await parsed(connection, expression), await parsed(connection, 'true')]
  if (tree.error) throw refused(expression, tree.error_message ?? 'it is no SQL')
  const shapeOf = (sql: ParsedSql) =>
    JSON.stringify(
      sql.statements!.map(({ node }) => ({ ...node, select_list: node.select_list?.length })),
      withoutPlaces,
    )
  if (shapeOf(tree) !== shapeOf(plain)) throw refused(expression, 'it is more than one expression')
  if (JSON.stringify(tree.statements![0]!.node.select_list).includes('"class":"SUBQUERY"')) {
    throw refused(expression, 'it holds a query of its own')
  }
}

function withoutPlaces(name: string, value: unknown): unknown {
  return name === 'query_location' ? undefined : value
}

async function parsed(connection: DuckDBConnection, expression: string): Promise<ParsedSql> {
  // A line break ends a comment that the expression may end with.
  const sql = `SELECT (${expression}\n) FROM pairs`
  const reader = await connection.runAndReadAll('SELECT json_serialize_sql($sql::VARCHAR)', { sql })
  return JSON.parse(String(reader.getRows()[0]![0])) as ParsedSql
}

async function loadRows(
  connection: DuckDBConnection,
  jsonlPath: string,
  more: Record<string, Float64Array>,
): Promise<void> {
  const read = readJsonl(jsonlPath)
  const names = (await columnsOf(connection, read)).map(({ name }) => name)
  // A score that no row has is of no type that compares.
  const scores = scoreNames
    .filter((name) => names.includes(name))
    .map((name) => `TRY_CAST("${name}" AS DOUBLE) AS "${name}"`)
  const replaced = scores.length > 0 ? ` REPLACE (${scores.join(', ')})` : ''
  await connection.run(
    `CREATE TABLE scored AS SELECT *${replaced}, row_number() OVER () - 1 AS "${rowColumn}" FROM ${read}`,
  )
  const added = Object.keys(more)
  await connection.run(
    `CREATE TABLE added (${[`"${rowColumn}" BIGINT`, ...added.map((name) => `"${name}" DOUBLE`)].join(', ')})`,
  )
  if (added.length > 0) await append(connection, more)
  const join = added.length > 0 ? `JOIN added USING ("${rowColumn}")` : ''
  await connection.run(`CREATE VIEW pairs AS SELECT * FROM scored ${join}`)
}

function readJsonl(path: string): string {
  const limits = `sample_size = -1, maximum_object_size = ${1 << 26}`
  return `read_json_auto('${path.replaceAll("'", "''")}', format = 'newline_delimited', ${limits})`
}

async function columnsOf(connection: DuckDBConnection, table: string): Promise<{ name: string; type: string }[]> {
  const reader = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${table}`)
  return reader.getRows().map(([name, type]) => ({ name: String(name), type: String(type) }))
}

/** Columns of a JSONL file with DuckDB's types; none of an empty one. */
export async function jsonlColumns(path: string): Promise<{ name: string; type: string }[]> {
  if ((await stat(path)).size === 0) return []
  return withDatabase((connection) => columnsOf(connection, readJsonl(path)))
}

async function append(connection: DuckDBConnection, columns: Record<string, Float64Array>): Promise<void> {
  const appender = await connection.createAppender('added')
  const lists = Object.values(columns)
  for (let row = 0; row < lists[0]!.length; row++) {
    appender.appendBigInt(BigInt(row))
    for (const list of lists) {
      if (Number.isNaN(list[row])) appender.appendNull()
      else appender.appendDouble(list[row]!)
    }
    appender.endRow()
  }
  appender.closeSync()
}

async function valuesOf(connection: DuckDBConnection, expression: string): Promise<Int8Array> {
  try {
    const reader = await connection.runAndReadAll(
      `SELECT CAST((${expression}\n) AS BOOLEAN) FROM pairs ORDER BY "${rowColumn}"`,
    )
    return Int8Array.from(reader.getRows(), ([value]) => (value === null ? -1 : Number(value)))
  } catch (error) {
    const names = (await columnsOf(connection, 'pairs')).map(({ name }) => name)
    throw refused(
      expression,
      messageOf(error).split('\n', 1)[0]!,
      names.filter((name) => name !== rowColumn),
    )
  }
}

function refused(expression: string, why: string, columns?: string[]): BtError {
  return new BtError('BT_USAGE', `--keep ${JSON.stringify(expression)}: ${why}`, {
    remedy: columns
      ? `Columns here: ${columns.join(', ')}.`
      : "Write an SQL expression that is true for what is to be kept: 'quality >= 4 and pmi > 0.2'.",
  })
}
