// Segments from the work database to files: JSONL, packed or not, or Parquet, whole or in partitions; and the list of what
// was left out. Files are written in the work folder and get their names when all of them are whole.
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { RowWriter } from '../data/row-writer.js'
import { BtError, hasCode } from '../errors.js'
import { diskError, syncFolder } from '../files.js'
import type { Store } from './store.js'
import type { DroppedRow, Segment } from './types.js'

export interface OutputPlan {
  /** Files with rows, in order. */
  files: string[]
  /** File that lists what was left out. */
  dropped?: string | undefined
  /** Folder of the work under way, beside the output. */
  work: string
  /** Folder that holds the partitions, where there are any. */
  folder?: string | undefined
}

/** @throws {BtError} BT_USAGE for a name that tells no format */
export function planOutputs(output: string, partitions: number | undefined, dropped: string | undefined): OutputPlan {
  const bare = output.replace(/\/+$/, '')
  if (dropped !== undefined && !/\.jsonl(\.gz)?$/.test(dropped)) {
    throw new BtError('BT_USAGE', `--dropped ${dropped}: the name ends in neither .jsonl nor .jsonl.gz`)
  }
  if (partitions === undefined) {
    if (!/\.(jsonl|jsonl\.gz|parquet)$/.test(output)) {
      throw new BtError('BT_USAGE', `--output ${output}: the name ends in none of .jsonl, .jsonl.gz and .parquet`, {
        remedy: 'For a folder of Parquet files add --partitions 8.',
      })
    }
    return { files: [output], dropped, work: `${bare}.work` }
  }
  if (/\.(jsonl|gz|json|parquet)$/.test(bare)) {
    throw new BtError('BT_USAGE', `--output ${output}: partitions go to a folder, and this is the name of a file`)
  }
  const five = (number: number) => String(number).padStart(5, '0')
  const names = Array.from({ length: partitions }, (_, part) => `part-${five(part)}-of-${five(partitions)}.parquet`)
  return { files: names.map((name) => join(bare, name)), dropped, work: `${bare}.work`, folder: bare }
}

/** Makes the table `kept` (key, place): what is in no output is in `dropped` or `gone`. @returns how many there are */
export async function keepRest(store: Store): Promise<number> {
  await store.connection.run(`
    CREATE OR REPLACE TABLE kept AS
      SELECT key, row_number() OVER (ORDER BY seq) - 1 AS place FROM ordered
      WHERE key NOT IN (SELECT key FROM gone)`)
  return store.number('SELECT count(*) FROM kept')
}

const columns = `s.id, s.text, s.heading, s.title, s.source, s.url, s.language, s.license, s.document, s.place,
  [s.span_from, s.span_to] AS span, s.characters`

function keptRows(from: number, to: number): string {
  return `SELECT ${columns} FROM kept k JOIN segments s USING (key) WHERE k.place >= ${from} AND k.place < ${to} ORDER BY k.place`
}

/** Kept segments in corpus order; memory does not grow with them. */
export async function* keptSegments(store: Store): AsyncGenerator<Segment> {
  const result = await store.connection.stream(keptRows(0, Number.MAX_SAFE_INTEGER))
  for await (const rows of result.yieldRowObjectJs()) {
    for (const row of rows) yield { ...row, span: (row.span as bigint[]).map(Number) } as unknown as Segment
  }
}

/** What was left out: in reading, file by file, and then the repeated ones. */
async function* droppedRows(store: Store): AsyncGenerator<DroppedRow> {
  const result = await store.connection.stream(`
    SELECT d.reason, d.place, d.detail, d.heading, d.span_from, d.span_to, d.text FROM (
      SELECT f.position, d.key, d.reason, d.place, d.detail, d.heading, d.span_from, d.span_to, d.text
        FROM dropped d JOIN files f ON d.file = f.id
      UNION ALL
      SELECT f.position, s.key, g.reason, s.place, 'like ' || e.id || ' of ' || e.place, s.heading, s.span_from,
          s.span_to, left(s.text, 200)
        FROM gone g JOIN segments s USING (key) JOIN segments e ON e.key = g.earlier JOIN files f ON s.file = f.id) d
    ORDER BY d.position, d.key`)
  for await (const rows of result.yieldRowObjectJs()) {
    for (const { span_from, span_to, ...row } of rows) {
      const span = span_from === null ? null : [Number(span_from), Number(span_to)]
      yield { ...row, span } as unknown as DroppedRow
    }
  }
}

/**
 * Writes all outputs.
 * @param beforeReplacing called when all are written and before the first takes its name
 * @param onRows told the rows written so far
 * @throws {BtError} BT_DISK_FULL
 */
export async function writeOutputs(
  store: Store,
  plan: OutputPlan,
  kept: number,
  beforeReplacing: () => Promise<void>,
  onRows: (done: number) => void,
): Promise<void> {
  const folder = join(plan.work, 'new')
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const written: [from: string, to: string][] = []
  try {
    for (const [part, file] of plan.files.entries()) {
      const path = join(folder, String(part))
      const from = Math.floor((part * kept) / plan.files.length)
      const to = Math.floor(((part + 1) * kept) / plan.files.length)
      if (file.endsWith('.parquet')) await copyParquet(store, path, from, to)
      else await writeRows(path, file, keptSegments(store), onRows)
      onRows(to)
      written.push([path, file])
    }
    if (plan.dropped) {
      await writeRows(join(folder, 'dropped'), plan.dropped, droppedRows(store))
      written.push([join(folder, 'dropped'), plan.dropped])
    }
    await beforeReplacing()
    for (const [path, file] of written) await rename(path, file)
  } catch (error) {
    throw diskError(error, plan.files[0]!)
  }
  for (const place of new Set(written.map(([, file]) => dirname(file)))) await syncFolder(place)
}

/** @param name whose ending tells whether the rows are packed */
async function writeRows(path: string, name: string, rows: AsyncIterable<object>, onRows = (_: number) => {}) {
  await synced(path, 'w', async (file) => {
    const writer = new RowWriter(file, name.endsWith('.gz') ? (text) => gzipSync(text) : undefined)
    for await (const row of rows) {
      await writer.write(row)
      if (writer.rows % 1000 === 0) onRows(writer.rows)
    }
    await writer.end()
  })
}

async function copyParquet(store: Store, path: string, from: number, to: number): Promise<void> {
  const quoted = `'${path.replaceAll("'", "''")}'`
  await store.connection.run(`COPY (${keptRows(from, to)}) TO ${quoted} (FORMAT parquet, COMPRESSION zstd)`)
  await synced(path, 'r+', async () => {})
}

async function synced(path: string, flags: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, flags)
  try {
    await write(file)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** The first of the outputs that is there; of a folder for partitions, anything in it. */
export async function firstThere({ files, dropped, folder }: OutputPlan): Promise<string | undefined> {
  for (const path of [...(dropped ? [dropped] : []), ...files]) if (await exists(path)) return path
  if (folder === undefined) return undefined
  try {
    return (await readdir(folder)).length > 0 ? folder : undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Partitions of another number, which would be read beside the new ones. */
export async function removeOtherParts({ folder, files }: OutputPlan): Promise<void> {
  if (folder === undefined) return
  for (const name of await readdir(folder)) {
    const ours = /^part-\d{5}-of-\d{5}\.parquet(\.meta\.json)?$/.test(name)
    if (ours && !files.includes(join(folder, name.replace(/\.meta\.json$/, '')))) await rm(join(folder, name))
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return false
    throw error
  }
}
