// What the tests of this folder share: paths, temporary folders, and reading a file to the end.
import { existsSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Drops } from '../../src/data/drops.js'
import { type InputSummary, type ReadOptions, type ReadRow, readRows } from '../../src/data/rows.js'

export const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/data/${name}`, import.meta.url))

/** A file of the shared data, or undefined (and a line that says so) where the folder is not at hand. */
export function shared(name: string): string | undefined {
  const path = fileURLToPath(new URL(`../../../shared/data/${name}`, import.meta.url))
  if (existsSync(path)) return path
  console.log(`skipped: ${path} is not there`)
  return undefined
}

/** A new folder with these files in it. */
export async function folderWith(files: Record<string, string | Uint8Array> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bt-data-'))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return folder
}

export async function fileWith(name: string, content: string | Uint8Array): Promise<string> {
  return join(await folderWith({ [name]: content }), name)
}

export const jsonl = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

export async function readAll(path: string, options: Omit<ReadOptions, 'drops'> & { strict?: boolean } = {}) {
  const drops = new Drops({ strict: options.strict === true })
  const summary: InputSummary = { path, format: '', records: 0 }
  const rows: ReadRow[] = []
  for await (const row of readRows(path, { ...options, drops, summary })) rows.push(row)
  return { rows, drops, summary, counts: Object.fromEntries(drops.counts().map((drop) => [drop.reason, drop.count])) }
}

/** The pairs alone. */
export const pairs = (rows: readonly ReadRow[]) => rows.map(({ row }) => [row.instruction, row.response])

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
