// The held-out pairs, as one file that all models read: as they are, and with the responses of other rows.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Drops } from '../data/drops.js'
import { parseColumns } from '../data/formats.js'
import { readRows } from '../data/rows.js'
import type { DropCount } from '../data/types.js'
import { BtError, hasCode } from '../errors.js'
import { sha256, writeFileAtomic } from '../files.js'
import { derangement } from '../metrics/controls.js'
import type { CompareOptions } from './options.js'

export interface HeldOutPair {
  id: string
  instruction: string
  response: string
  source?: string
}

export interface HeldOut {
  pairs: HeldOutPair[]
  dropped: DropCount[]
  hash: string
}

export const pairFiles = (output: string) => ({
  pairs: join(output, 'pairs.jsonl'),
  shuffled: join(output, 'shuffled.jsonl'),
})

/** @throws {BtError} what readRows throws; BT_USAGE for no row */
export async function readHeldOut({ data, columns, limit }: CompareOptions): Promise<HeldOut> {
  const drops = new Drops()
  const pairs: HeldOutPair[] = []
  for await (const { row } of readRows(data, {
    drops,
    columns: columns === undefined ? undefined : parseColumns(columns),
  })) {
    const { instruction, response, source, extra } = row
    const given = extra?.source_id
    const id = typeof given === 'string' && given !== '' ? given : row.id
    pairs.push({ id, instruction, response, ...(source === undefined ? {} : { source }) })
    if (pairs.length === limit) break
  }
  if (pairs.length === 0) throw new BtError('BT_USAGE', `${data}: no pair to compare on`)
  return { pairs, dropped: drops.counts(), hash: sha256(linesOf(pairs)) }
}

/**
 * Writes both files; what is there already and the same stays untouched.
 * @throws {BtError} BT_OUTPUT_CHANGED when the folder was begun with other pairs
 */
export async function writePairs(output: string, { pairs }: HeldOut, { seed, force }: CompareOptions): Promise<void> {
  const files = pairFiles(output)
  const taken = derangement(pairs.length, seed, 0)
  const shuffled = Array.from(taken, (other, at) => ({ ...pairs[at]!, response: pairs[other]!.response }))
  for (const [path, rows] of [
    [files.pairs, pairs],
    [files.shuffled, shuffled],
  ] as const) {
    const content = linesOf(rows)
    const before = await contentOf(path)
    if (before === content) continue
    if (before !== undefined && !force) {
      throw new BtError(
        'BT_OUTPUT_CHANGED',
        `${path} holds other pairs: ${output} was begun with other data or another seed`,
        {
          remedy: 'Give the old --data, --limit and --seed to go on, another --output, or --force to start over.',
        },
      )
    }
    await writeFileAtomic(path, content)
  }
}

function linesOf(rows: readonly HeldOutPair[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}

async function contentOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
