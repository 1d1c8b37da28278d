// Rewriting on a tiny model: what stands, what is told of the rest, and a run that is stopped.
import { mkdtemp, readFile, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { curate } from '../../src/curate/run.js'
import { openScorer } from '../../src/curate/scorer.js'
import { BtError } from '../../src/errors.js'
import type { RewriteInput } from '../../src/rewrite/options.js'
import { rewritePrompt } from '../../src/rewrite/prompt.js'
import { type RewriteControl, rewrite } from '../../src/rewrite/run.js'
import type { RewrittenRow } from '../../src/rewrite/types.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'

let folder: string
let model: string
let input: string
let outputs = 0
const machine = { threads: 1, device: 'cpu', precision: 'fp32' } as const
// A byte is a token here; what an untrained model writes does not end.
const room = { maxTokens: 760, maxNewTokens: 24, minShare: 0, temperature: 1, topK: 0, topP: 1 }
const newOutput = () => join(folder, `out-${outputs++}.jsonl`)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-rewrite-'))
  model = await writeTinyModel(join(folder, 'model'))
  const rows = tinyPairs(70).map((pair, at) => ({ id: `row ${at}`, ...pair, url: `https://example.org/${at}` }))
  rows[3]!.response = 'x'.repeat(2000)
  input = await writeRows(join(folder, 'pairs.jsonl'), rows)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function go(more: Partial<RewriteInput> = {}, control: RewriteControl = {}) {
  const found: RewrittenRow[] = []
  const rows = rewrite({ model, input, ...machine, ...room, output: newOutput(), ...more }, control)
  let next = await rows.next()
  for (; !next.done; next = await rows.next()) found.push(next.value)
  return { rows: found, summary: next.value }
}

const linesOf = async (path: string) =>
  (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as RewrittenRow)

describe('rewriting', () => {
  test('gives all rows in order, those with a new response with its scores and the old one', async () => {
    const { rows, summary } = await go()
    expect(rows.length).toBe(70)
    expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 70 }, (_, at) => `row ${at}`))
    expect(await linesOf(summary.output)).toEqual(rows)
    const given = await linesOf(input)
    const counts: Record<string, number> = {}
    for (const [at, row] of rows.entries()) {
      counts[row.rewriting] = (counts[row.rewriting] ?? 0) + 1
      expect(row.url).toBe(given[at]!.url)
      if (row.rewriting === 'kept') {
        expect(row.originalResponse).toBe(given[at]!.response)
        expect(row.response).not.toBe(given[at]!.response)
        expect(row.scoreAfter).toBeGreaterThanOrEqual(row.scoreBefore!)
        expect(row.pmi).toBe(row.scoreAfter)
      } else {
        expect(row.response).toBe(given[at]!.response)
        expect(row).not.toHaveProperty('originalResponse')
      }
      if (row.rewriting === 'worse') expect(row.scoreAfter).toBeLessThan(row.scoreBefore!)
    }
    expect(counts).toEqual(summary.outcomes)
    expect(Object.keys(counts)).toEqual(expect.arrayContaining(['kept', 'worse', 'end', 'too long']))
    expect(rows[3]!.rewriting).toBe('too long')
    expect(rows[3]).not.toHaveProperty('refused')
  }, 60_000)

  test('judges by the scores of curate', async () => {
    const { rows } = await go({ maxNewTokens: 200, guardRetries: 8, by: 'ifd' })
    const compared = rows.filter((row) => typeof row.scoreAfter === 'number')
    expect(compared.length).toBeGreaterThan(0)
    const scorer = await openScorer({ model, ...machine, maxTokens: room.maxTokens })
    for (const row of compared.slice(0, 4)) {
      const { id, instruction } = row
      const written = row.rewriting === 'kept' ? row.response : row.refused!
      const before = row.originalResponse ?? row.response
      const scores = await scorer.score([
        { id, instruction, response: before },
        { id, instruction, response: written },
      ])
      expect(scores.map(({ ifd }) => ifd)).toEqual([row.scoreBefore, row.scoreAfter])
    }
    await scorer.close()
  }, 60_000)

  test('that was stopped, or cut off within a line, goes on to the same bytes', async () => {
    const whole = await go()
    const output = newOutput()
    const stop = new AbortController()
    const first = await go({ output }, { signal: stop.signal, onProgress: () => stop.abort() })
    expect(first.summary).toMatchObject({ interrupted: true, rows: 32 })
    await truncate(output, (await readFile(output)).length - 7)
    const second = await go({ output })
    expect(second.summary).toMatchObject({ rows: 70, written: 39, outcomes: whole.summary.outcomes })
    expect(await readFile(output)).toEqual(await readFile(whole.summary.output))
    expect(await go({ output })).toMatchObject({ rows: [], summary: { alreadyDone: true, rows: 70 } })
    await expect(go({ output, seed: 1 })).rejects.toMatchObject({ code: 'BT_OUTPUT_CHANGED' })
  }, 60_000)

  test('takes the fit of a calibration for the score, and asks for what it rests on', async () => {
    const curated = join(folder, 'curated.jsonl')
    const options = { model, backwardModel: model, input, output: curated, limit: 30, maxTokens: 900, ...machine }
    const curation = curate({ ...options, calibrate: 10 })
    while (!(await curation.next()).done);
    const calibration = join(folder, 'curated.calibration.json')
    await expect(go({ calibration })).rejects.toMatchObject({ code: 'BT_USAGE' })
    const { rows, summary } = await go({
      calibration,
      backwardModel: model,
      limit: 8,
      maxNewTokens: 300,
      guardRetries: 8,
    })
    expect(summary.by).toBe('fit')
    for (const row of rows.filter(({ rewriting }) => rewriting === 'kept')) {
      expect(row.fit).toBe(row.scoreAfter)
      expect(row.backwardPmi).toEqual(expect.any(Number))
    }
    await expect(go({ by: 'cycle' })).rejects.toThrow(BtError)
  }, 90_000)

  test('asks for both texts, the draft last', () => {
    const prompt = rewritePrompt(' What is wet? ', 'Water.\n')
    expect(prompt).toMatch(/Request:\nWhat is wet\?\n\nDraft:\nWater\.$/)
  })
})
