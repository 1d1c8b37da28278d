// What the tests of this folder share: texts of a wanted length, corpora in new folders, and runs over them.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { SegmentInput } from '../../src/segment/options.js'
import { prepareCorpus, type SegmentControl } from '../../src/segment/run.js'
import type { DroppedRow, Segment, SegmentSummary } from '../../src/segment/types.js'
import { folderWith } from '../data/fixture.js'

const nouns =
  'river stone garden market letter window captain winter orchard lantern bridge harbour pepper valley copper meadow kitchen ladder forest thunder saddle village mirror basket candle engine carpet doctor farmer painter'.split(
    ' ',
  )
const links =
  'of with near under after before which that and while because though behind beside without against toward around between through'.split(
    ' ',
  )
const verbs =
  'kept found carried mended showed followed opened painted watched bought wanted remembered counted built moved washed heard answered brought feared'.split(
    ' ',
  )

/** English words in sentences that no other seed gives, at least `characters` long. */
export function prose(characters: number, seed = 1): string {
  let state = seed * 7919 + 17
  const pick = (list: readonly string[]) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return list[(state >>> 9) % list.length]!
  }
  let text = ''
  while (text.length < characters) {
    const clause = () => `the ${pick(nouns)} ${pick(verbs)} a ${pick(nouns)} ${pick(links)} this ${pick(nouns)}`
    const sentence = `${clause()} ${pick(links)} ${clause()}`
    text += `${text ? ' ' : ''}${sentence[0]!.toUpperCase()}${sentence.slice(1)}.`
  }
  return text
}

export async function parse<T>(path: string): Promise<T[]> {
  const bytes = await readFile(path)
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T)
}

export interface Run {
  folder: string
  output: string
  rows: Segment[]
  dropped: DroppedRow[]
  summary: SegmentSummary
  /** Number of what was left out by reason. */
  counts: Record<string, number>
}

/** Runs over files that are made for it, into a new folder. */
export async function run(
  files: Record<string, string | Uint8Array>,
  options: Partial<SegmentInput> = {},
  control: SegmentControl = {},
): Promise<Run> {
  const corpus = await folderWith(files)
  return runOn([corpus], options, control)
}

export async function runOn(
  input: string[],
  options: Partial<SegmentInput> = {},
  control: SegmentControl = {},
): Promise<Run> {
  const folder = await folderWith()
  const output = options.output ?? join(folder, 'out.jsonl')
  const list = options.dropped ?? join(folder, 'dropped.jsonl')
  const prepared = await prepareCorpus({ input, output, dropped: list, ...options }, control)
  await prepared.close()
  const { summary } = prepared
  const rows = summary.interrupted || !/jsonl/.test(output) ? [] : await parse<Segment>(output)
  const dropped = summary.interrupted ? [] : await parse<DroppedRow>(list)
  const counts = Object.fromEntries(summary.dropped.map(({ reason, count }) => [reason, count]))
  return { folder, output, rows, dropped, summary, counts }
}

export const page = (body: string, head = '') =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>${head}</head><body>${body}</body></html>`
