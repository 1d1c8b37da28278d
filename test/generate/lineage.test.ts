import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Drops } from '../../src/data/drops.js'
import { lineageOf } from '../../src/data/lineage.js'
import { readRecords } from '../../src/data/records.js'
import { mergeShards } from '../../src/generate/merge.js'
import { generate } from '../../src/generate/run.js'
import { score } from '../../src/generate/score.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'

const small = { threads: 1, device: 'cpu', precision: 'fp32' } as const
let folder: string
let model: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-lineage-'))
  model = await writeTinyModel(join(folder, 'model'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const origins = [
  {
    document: '0123456789abcdef',
    place: 'docs.jsonl:1',
    span: [10, 90] as [number, number],
    url: 'https://example.org/a',
    license: 'CC-BY-4.0',
    title: 'A page',
    heading: 'Its first part',
    language: 'en',
  },
  { document: 'fedcba9876543210', place: 'docs.jsonl:2', span: [0, 40] as [number, number] },
  {},
]
/** As `segment` writes them: null where nothing is known. */
const segments = origins.map((origin, at) => ({
  ...Object.fromEntries(['url', 'license', 'title', 'heading', 'language'].map((name) => [name, null])),
  ...{ id: `s${at}`, text: tinyPairs(3)[at]!.response, source: 'docs', ...origin },
}))

async function drained<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const row of rows) all.push(row)
  return all
}

const written = (path: string) => drained(readRecords(path, { drops: new Drops() }))

describe('the columns that tell where a text comes from', () => {
  test.each(['jsonl', 'parquet'])('travel from segments to pairs to scores: %s', async (ending) => {
    const input = await writeRows(join(folder, `segments-${ending}.jsonl`), segments)
    const pairs = join(folder, `pairs.${ending}`)
    const rows = await drained(generate({ model, input, output: pairs, maxNewTokens: 4, ...small }))
    expect(rows.map((row) => lineageOf({ ...row }))).toEqual(origins)
    expect((await written(pairs)).map(({ value }) => lineageOf(value))).toEqual(origins)
    const scored = join(folder, `scored.${ending}`)
    // An answer that is nothing but blank would give no row to score.
    const full = rows.map((row) => ({ ...row, instruction: `${row.instruction} ?` }))
    await drained(score({ model, input: await writeRows(join(folder, 'full.jsonl'), full), output: scored, ...small }))
    expect((await written(scored)).map(({ value }) => lineageOf(value))).toEqual(origins)
  })

  test('travel through a stop and through shards', async () => {
    const input = await writeRows(join(folder, 'segments.jsonl'), segments)
    const options = { model, input, maxNewTokens: 4, ...small }
    const whole = join(folder, 'whole.jsonl')
    await drained(generate({ ...options, output: whole }))
    const stopped = join(folder, 'stopped.jsonl')
    for await (const _ of generate({ ...options, output: stopped })) break
    await drained(generate({ ...options, output: stopped }))
    const merged = join(folder, 'merged.jsonl')
    for (const shard of ['1/2', '2/2']) await drained(generate({ ...options, output: merged, shard }))
    await mergeShards({ output: merged })
    expect((await written(whole)).map(({ value }) => lineageOf(value))).toEqual(origins)
    expect(await readFile(stopped, 'utf8')).toBe(await readFile(whole, 'utf8'))
    expect(await readFile(merged, 'utf8')).toBe(await readFile(whole, 'utf8'))
  })

  test('are left out where another data set means something else by their names', () => {
    expect(lineageOf({ title: { en: 'x' }, span: 'one', url: '', language: 7, place: 'a:1' })).toEqual({ place: 'a:1' })
    expect(lineageOf({ span: [1, 2, 3] })).toEqual({})
  })
})
