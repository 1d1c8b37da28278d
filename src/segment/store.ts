// The work under way on disk: a DuckDB database beside the output that holds the segments found so far, what was left
// out, and how far each file was read. Every commit is whole or absent, so a killed run goes on after its last one.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DuckDBAppender, DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import type { CorpusFile } from './corpus.js'
import type { SiftedSegment } from './sift.js'
import type { DroppedRow } from './types.js'

/** How far a file was read. */
export interface FileProgress {
  id: number
  /** Documents that were taken apart. */
  documents: number
  complete: boolean
}

/** What came of some documents, and how far their files were read by then. */
export interface Batch {
  segments: { segment: SiftedSegment; file: number }[]
  dropped: { row: DroppedRow; file: number }[]
  progress: FileProgress[]
}

const schema = `
  CREATE TABLE IF NOT EXISTS run (name VARCHAR PRIMARY KEY, value VARCHAR);
  CREATE TABLE IF NOT EXISTS files (
    id INTEGER, path VARCHAR, bytes BIGINT, modified DOUBLE, position INTEGER, documents BIGINT, complete BOOLEAN);
  CREATE TABLE IF NOT EXISTS segments (
    key BIGINT, file INTEGER, id VARCHAR, text VARCHAR, heading VARCHAR, title VARCHAR, source VARCHAR, url VARCHAR,
    language VARCHAR, license VARCHAR, document VARCHAR, place VARCHAR, span_from BIGINT, span_to BIGINT,
    characters INTEGER, signature BLOB, masked VARCHAR);
  CREATE TABLE IF NOT EXISTS dropped (
    key BIGINT, file INTEGER, reason VARCHAR, place VARCHAR, detail VARCHAR, heading VARCHAR, span_from BIGINT,
    span_to BIGINT, text VARCHAR);`

const databaseName = 'segments.duckdb'

export class Store {
  /** Of the next segment or dropped row: keys grow in the order in which a file is read. */
  private nextKey = 0

  private constructor(
    private readonly instance: DuckDBInstance,
    readonly connection: DuckDBConnection,
  ) {}

  /**
   * Opens or makes the database in `folder`.
   * @param memory gigabytes that DuckDB may take; the rest goes to the same folder
   */
  static async open(folder: string, memory: number): Promise<Store> {
    const { DuckDBInstance } = await import('@duckdb/node-api')
    const instance = await DuckDBInstance.create(join(folder, databaseName), {
      memory_limit: `${Math.round(memory * 1000)}MB`,
      temp_directory: join(folder, 'spill'),
      preserve_insertion_order: 'false', // every query that needs an order says so
    })
    const store = new Store(instance, await instance.connect())
    await store.connection.run(schema)
    store.nextKey = await store.number(
      'SELECT coalesce(max(key), -1) + 1 FROM (SELECT key FROM segments UNION ALL SELECT key FROM dropped)',
    )
    return store
  }

  /** Removes what an earlier run left in `folder`. */
  static async remove(folder: string): Promise<void> {
    for (const name of [databaseName, `${databaseName}.wal`, 'spill']) {
      await rm(join(folder, name), { recursive: true, force: true })
    }
  }

  close(): void {
    this.connection.closeSync()
    this.instance.closeSync()
  }

  /** One more connection, to be closed by the caller. */
  another(): Promise<DuckDBConnection> {
    return this.instance.connect()
  }

  /** A value kept with the work, as JSON. */
  async remembered<T>(name: string): Promise<T | undefined> {
    const [row] = await this.rows('SELECT value FROM run WHERE name = $name', { name })
    return row === undefined ? undefined : (JSON.parse(row[0] as string) as T)
  }

  async remember(name: string, value: unknown): Promise<void> {
    await this.connection.run('INSERT OR REPLACE INTO run VALUES ($name, $value)', {
      name,
      value: JSON.stringify(value),
    })
  }

  /**
   * Brings the list of files up to date: what came of files that are gone or were changed is dropped.
   * @returns how far each file was read, in the order of `files`
   */
  async takeUp(files: readonly CorpusFile[]): Promise<FileProgress[]> {
    const known = new Map<string, { progress: FileProgress; stamp: string }>()
    for (const [id, path, bytes, modified, documents, complete] of await this.rows(
      'SELECT id, path, bytes, modified, documents, complete FROM files',
    )) {
      const progress = { id: Number(id), documents: Number(documents), complete: complete === true }
      known.set(String(path), { progress, stamp: stampText(Number(bytes), Number(modified)) })
    }
    let nextId = [...known.values()].reduce((most, { progress }) => Math.max(most, progress.id + 1), 0)
    const taken = files.map(({ path, bytes, modified }) => {
      const old = known.get(path)
      if (old && bytes >= 0 && old.stamp === stampText(bytes, modified)) return old.progress
      return { id: nextId++, documents: 0, complete: false }
    })
    await this.whole(async () => {
      await this.connection.run('DELETE FROM files')
      await appendRows(this.connection, 'files', files, (row, { path, bytes, modified }, position) => {
        const { id, documents, complete } = taken[position]!
        row.appendInteger(id)
        row.appendVarchar(path)
        row.appendBigInt(BigInt(bytes))
        row.appendDouble(modified)
        row.appendInteger(position)
        row.appendBigInt(BigInt(documents))
        row.appendBoolean(complete)
      })
      for (const table of ['segments', 'dropped']) {
        await this.connection.run(`DELETE FROM ${table} WHERE file NOT IN (SELECT id FROM files)`)
      }
    })
    return taken
  }

  /** Adds what came of some documents, and how far their files were read by then. */
  async commit({ segments, dropped, progress }: Batch): Promise<void> {
    await this.whole(async () => {
      await appendRows(this.connection, 'segments', segments, (row, { segment, file }) =>
        this.appendSegment(row, segment, file),
      )
      await appendRows(this.connection, 'dropped', dropped, (row, one) => this.appendDropped(row, one.row, one.file))
      const update = await this.connection.prepare(
        'UPDATE files SET documents = $documents, complete = $complete WHERE id = $id',
      )
      for (const { id, documents, complete } of progress) {
        update.bind({ id, documents, complete })
        await update.run()
      }
    })
  }

  private appendSegment(row: DuckDBAppender, segment: SiftedSegment, file: number): void {
    const { signature, masked } = segment
    row.appendBigInt(BigInt(this.nextKey++))
    row.appendInteger(file)
    for (const name of [
      'id',
      'text',
      'heading',
      'title',
      'source',
      'url',
      'language',
      'license',
      'document',
      'place',
    ] as const) {
      appendText(row, segment[name])
    }
    for (const place of segment.span) row.appendBigInt(BigInt(place))
    row.appendInteger(segment.characters)
    if (signature) row.appendBlob(new Uint8Array(signature.buffer, signature.byteOffset, signature.byteLength))
    else row.appendNull()
    appendText(row, masked ? JSON.stringify(masked) : null)
  }

  private appendDropped(row: DuckDBAppender, one: DroppedRow, file: number): void {
    row.appendBigInt(BigInt(this.nextKey++))
    row.appendInteger(file)
    for (const text of [one.reason, one.place, one.detail, one.heading]) appendText(row, text)
    for (const place of one.span ?? [null, null]) {
      if (place === null) row.appendNull()
      else row.appendBigInt(BigInt(place))
    }
    appendText(row, one.text)
  }

  /** All of `work` in one transaction. */
  async whole(work: () => Promise<void>): Promise<void> {
    await this.connection.run('BEGIN')
    try {
      await work()
      await this.connection.run('COMMIT')
    } catch (error) {
      await this.connection.run('ROLLBACK')
      throw error
    }
  }

  /** All rows of a small answer. */
  async rows(sql: string, values?: Record<string, string | number>): Promise<unknown[][]> {
    return (await this.connection.runAndReadAll(sql, values)).getRowsJS()
  }

  /** The one number of an answer. */
  async number(sql: string): Promise<number> {
    return Number((await this.rows(sql))[0]?.[0] ?? 0)
  }
}

function stampText(bytes: number, modified: number): string {
  return `${bytes} ${modified}`
}

function appendText(row: DuckDBAppender, text: string | null): void {
  if (text === null) row.appendNull()
  else row.appendVarchar(text)
}

/** Rows through an appender; `write` appends the columns of one. */
export async function appendRows<T>(
  connection: DuckDBConnection,
  table: string,
  values: readonly T[],
  write: (row: DuckDBAppender, value: T, index: number) => void,
): Promise<void> {
  if (values.length === 0) return
  const appender = await connection.createAppender(table)
  try {
    for (const [index, value] of values.entries()) {
      write(appender, value, index)
      appender.endRow()
    }
    appender.flushSync()
  } finally {
    appender.closeSync()
  }
}
