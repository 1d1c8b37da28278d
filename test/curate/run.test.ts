import { mkdtemp, readFile, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CurateInput } from '../../src/curate/options.js'
import { type CurateControl, curate } from '../../src/curate/run.js'
import { openScorer, type Scorer } from '../../src/curate/scorer.js'
import type { Separation } from '../../src/curate/separation.js'
import type { ScoredPair } from '../../src/curate/types.js'
import { score } from '../../src/generate/score.js'
import { openModel } from '../../src/models/open.js'
import { openRuntime } from '../../src/native/runtime.js'
import { makeTemplate } from '../../src/text/template.js'
import { openTokenizer } from '../../src/text/tokenizer.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'

let folder: string
let model: string
let input: string
const pairs = tinyPairs(40)
let outputs = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-curate-'))
  model = await writeTinyModel(join(folder, 'model'))
  input = await writeRows(join(folder, 'pairs.jsonl'), pairs)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const machine = { threads: 1, device: 'cpu', precision: 'fp32' } as const
// A byte is a token here.
const room = { maxTokens: 900 }
const newOutput = (ending = 'jsonl') => join(folder, `out-${outputs++}.${ending}`)
const linesOf = async (path: string) =>
  (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ScoredPair)

async function run(more: Partial<CurateInput>, control?: CurateControl) {
  const found: ScoredPair[] = []
  const rows = curate({ model, input, ...machine, ...room, output: newOutput(), ...more }, control)
  let next = await rows.next()
  for (; !next.done; next = await rows.next()) found.push(next.value)
  return { rows: found, summary: next.value }
}

describe('scores', () => {
  let scorer: Scorer
  beforeAll(async () => {
    scorer = await openScorer({ model, backwardModel: model, cycleTokens: 8, ...machine, ...room })
  })
  afterAll(() => scorer.close())

  test('of the response are those of the score command, with the end token apart', async () => {
    const scored = await scorer.score(pairs.slice(0, 3).map((pair, at) => ({ id: `${at}`, ...pair })))
    let at = 0
    for await (const row of score({ model, input, limit: 3, template: 'forward', tokenLogProbs: true, ...machine })) {
      const one = scored[at++]!
      const response = row.tokenLogProbs!.slice(0, -1)
      expect(one.likelihood).toBeCloseTo(response.reduce((a, b) => a + b) / response.length, 4)
      expect(one.ending).toBeCloseTo(row.tokenLogProbs!.at(-1)!, 4)
      expect(one).toMatchObject({ length: pairs[at - 1]!.response.length, unread: 0 })
    }
  })

  test('without the instruction are taken after the blank prompt', async () => {
    const tokenizer = await openTokenizer((await openModel(model)).tokenizer)
    const { config, files, tensors, tokenizer: source } = await openModel(model)
    const template = await makeTemplate('forward', tokenizer, source)
    const blank = await template.blankPrompt()
    const response = await tokenizer.encodeText(pairs[0]!.response, 'text')
    const tokens = Int32Array.from([...blank, ...response])
    const runtime = await openRuntime({ device: 'cpu', threads: 1 })
    const loaded = await runtime.loadModel({ config, files, tensors, dtype: 'float32' })
    const scoredTokens = Int32Array.from(response, (_, at) => blank.length + at)
    const logProbs = await loaded.logProbs({
      tokens,
      cuSeqlens: Int32Array.of(0, tokens.length),
      scored: scoredTokens,
      rows: Int32Array.of(0),
    })
    await runtime.close()
    const alone = logProbs.reduce((a, b) => a + b) / response.length
    const [one] = await scorer.score([{ id: '0', ...pairs[0]! }])
    expect(one!.pmi).toBeCloseTo(one!.likelihood! - alone, 4)
    expect(one!.ifd).toBeCloseTo(one!.likelihood! / alone, 4)
  })

  test('of the instruction are those of the score command under the backward task', async () => {
    const [one] = await scorer.score([{ id: '0', ...pairs[0]! }])
    const rows = score({ model, input, limit: 1, template: 'backward', ...machine })
    const { value } = await rows.next()
    await rows.return(undefined as never)
    expect(one!.backward).toBeCloseTo((value as { logProb: number }).logProb, 4)
    expect(Number.isFinite(one!.backwardPmi)).toBe(true)
  })

  test('do not depend on the pairs beside them, and an empty text has none', async () => {
    const given = pairs.slice(0, 5).map((pair, at) => ({ id: `${at}`, ...pair }))
    const together = await scorer.score([...given, { id: 'x', instruction: 'Say it.', response: ' ' }])
    const alone = [await scorer.score(given.slice(0, 1)), await scorer.score(given.slice(4))].flat()
    expect([together[0], together[4]]).toEqual(alone)
    expect(together[5]).toMatchObject({ quality: null, likelihood: null, pmi: null, cycle: null, length: 1 })
    for (const { quality, cycle } of together.slice(0, 5)) {
      expect(quality).toBeGreaterThan(1)
      expect(quality).toBeLessThan(5)
      expect(cycle).toBeGreaterThanOrEqual(0)
    }
  })

  test('of a response beyond maxTokens are of what fits, and of its end after its last words', async () => {
    const [one] = await scorer.score([{ id: '0', instruction: 'Speak.', response: `${'word '.repeat(300)}the end.` }])
    expect(one!.unread).toBeGreaterThan(500)
    for (const name of ['quality', 'likelihood', 'pmi', 'ifd', 'ending', 'backward'] as const) {
      expect(Number.isFinite(one![name])).toBe(true)
    }
  })
})

test('the quality after reasoning is another number, and a number', async () => {
  const quality = async (reasoning: number) => {
    const scorer = await openScorer({ model, reasoning, ...machine, ...room })
    const scores = await scorer.score(pairs.slice(0, 2).map((pair, at) => ({ id: `${at}`, ...pair })))
    await scorer.close()
    return scores.map((one) => one.quality!)
  }
  const [plain, reasoned] = [await quality(0), await quality(12)]
  expect(reasoned.every((one) => one > 1 && one < 5)).toBe(true)
  expect(reasoned).not.toEqual(plain)
})

describe('a curation', () => {
  test('tells the forward model what it is told to tell it', async () => {
    const plain = await run({ limit: 2, top: 1 })
    const told = await run({ limit: 2, top: 1, system: 'Answer with knowledge from web search.' })
    expect(told.rows.map(({ likelihood }) => likelihood)).not.toEqual(plain.rows.map(({ likelihood }) => likelihood))
    expect(told.rows.map(({ length }) => length)).toEqual(plain.rows.map(({ length }) => length))
  })

  test('writes the kept rows, and all of them with scores and why', async () => {
    const output = newOutput()
    const { rows, summary } = await run({ output, top: 0.25, by: 'pmi' })
    const all = await linesOf(output.replace('.jsonl', '.scored.jsonl'))
    const kept = await linesOf(output)
    expect(all).toEqual(rows)
    expect(kept).toEqual(all.filter((row) => row.kept))
    expect(all.map(({ instruction, response }) => ({ instruction, response }))).toEqual(pairs)
    const best = all.toSorted((a, b) => b.pmi! - a.pmi!).slice(0, 10)
    expect(new Set(kept.map(({ id }) => id))).toEqual(new Set(best.map(({ id }) => id)))
    expect(summary).toMatchObject({ rows: 40, written: 40, kept: 10, rejected: { top: 30 }, chosenBy: ['pmi'] })
    expect(summary.histograms.map(({ score: name }) => name)).toEqual([
      ...['quality', 'likelihood', 'pmi', 'ifd', 'ending', 'length', 'copy'],
    ])
    for (const { all: counts, kept: ours } of summary.histograms) {
      expect(counts.reduce((a, b) => a + b)).toBe(40)
      expect(ours.reduce((a, b) => a + b)).toBe(10)
    }
  })

  test('chooses again by other rules without a model, and does nothing a second time', async () => {
    const output = newOutput()
    await run({ output, top: 0.5 })
    expect((await run({ output, top: 0.5 })).summary).toMatchObject({ alreadyDone: true, kept: 20, rows: 40 })
    let started = false
    const again = await run({ output, keep: 'length < 20 and pmi is not null' }, { onStart: () => (started = true) })
    expect(started).toBe(false)
    expect(again.summary).toMatchObject({ alreadyDone: false, written: 0 })
    expect(again.rows.every(({ kept, length }) => kept === length < 20)).toBe(true)
    expect(await linesOf(output)).toEqual(again.rows.filter(({ kept }) => kept))
  })

  test('that was stopped goes on to the same bytes', async () => {
    const whole = newOutput()
    await run({ output: whole })
    const output = newOutput()
    const stop = new AbortController()
    const first = await run({ output }, { signal: stop.signal, onProgress: () => stop.abort() })
    expect(first.summary).toMatchObject({ interrupted: true, rows: 16 })
    await expect(stat(output)).rejects.toMatchObject({ code: 'ENOENT' })
    // In the midst of a line, as a kill leaves it.
    const log = join(output.replace('.jsonl', '.work'), 'scores.jsonl')
    await truncate(log, (await stat(log)).size - 30)
    expect((await run({ output })).summary).toMatchObject({ written: 25, rows: 40 })
    expect(await readFile(output, 'utf8')).toBe(await readFile(whole, 'utf8'))
    const scored = (path: string) => readFile(path.replace('.jsonl', '.scored.jsonl'), 'utf8')
    expect(await scored(output)).toBe(await scored(whole))
  })

  test('reads what generate writes: columns travel along, guarded rows are left out', async () => {
    const written = await writeRows(join(folder, 'written.jsonl'), [
      { id: 'a', ...pairs[0], source: 'web', document: 'd1', guard: ['copy'], quality: 9 },
      { id: 'b', ...pairs[1], source: 'web', document: 'd2', fit: 0.3, kept: false, why: 'old' },
      { id: 'c', instruction: '', response: 'x', finish: 'empty' },
    ])
    const { rows } = await run({ input: written, min: { quality: 1 } })
    expect(rows.map(({ id, kept, why }) => [id, kept, why])).toEqual([
      ['a', false, 'guard: copy'],
      ['b', true, expect.stringMatching(/^quality [\d.]+ is at least 1$/)],
      ['c', false, 'no scores: a text is empty'],
    ])
    expect(rows[1]).toMatchObject({ source: 'web', document: 'd2' })
    expect(rows[1]).not.toHaveProperty('fit')
    expect(rows[0]!.quality).toBeLessThan(5)
  })

  test('may be Parquet, and is read again as one', async () => {
    const output = newOutput('parquet')
    const { rows } = await run({ output, budget: 5 })
    const again = await run({ input: output })
    expect(again.rows.map(({ id, pmi }) => [id, pmi])).toEqual(
      rows.filter(({ kept }) => kept).map(({ id, pmi }) => [id, pmi]),
    )
  })

  test('with calibration measures each score on planted pairs, and gives every row its fit', async () => {
    const output = newOutput()
    const { rows, summary } = await run({ output, calibrate: 12, budget: 7 })
    expect(summary).toMatchObject({ rows: 40, written: 40, plantedWritten: 48, kept: 7, chosenBy: ['fit'] })
    const calibration = JSON.parse(await readFile(output.replace('.jsonl', '.calibration.json'), 'utf8'))
    expect(calibration).toEqual(summary.calibration)
    expect(calibration).toMatchObject({ good: 12, planted: { shuffled: 12, cut: 12, language: 12 } })
    for (const { all, kinds } of calibration.scores) {
      for (const { auc, interval } of [all, ...Object.values(kinds)] as Separation[]) {
        expect(auc).toBeGreaterThanOrEqual(interval[0])
        expect(auc).toBeLessThanOrEqual(interval[1])
      }
    }
    expect(rows.every(({ fit }) => fit! > 0 && fit! < 1)).toBe(true)
    const least = Math.min(...rows.filter(({ kept }) => kept).map(({ fit }) => fit!))
    expect(rows.filter(({ fit }) => fit! > least).every(({ kept }) => kept)).toBe(true)
    expect((await run({ output, calibrate: 12, budget: 7 })).summary).toMatchObject({ alreadyDone: true, kept: 7 })
    const keep = 'fit is not null and fit < 2'
    expect((await run({ output, calibrate: 12, keep })).summary).toMatchObject({ plantedWritten: 0, kept: 40 })
  })

  test('keeps the rows that differ most, with vectors that are computed once', async () => {
    const output = newOutput()
    const { rows, summary } = await run({ output, min: { quality: 1 }, diverse: 6 })
    expect(summary).toMatchObject({ kept: 6, rejected: { diverse: 34 } })
    const things = new Set(rows.filter(({ kept }) => kept).map(({ response }) => response.split(' ')[0]))
    expect(things.size).toBeGreaterThan(3)
    const started: string[] = []
    const again = await run({ output, diverse: 9 }, { onStart: ({ work }) => started.push(work) })
    expect(started).toEqual([])
    const kept = (all: ScoredPair[]) => all.filter((row) => row.kept).map(({ id }) => id)
    expect(kept(again.rows)).toEqual(expect.arrayContaining(kept(rows)))
    expect(again.rows.find((row) => !row.kept)!.why).toBe('others that are kept are near to it')
  })

  test('refuses before it scores: another task, a missing score, an expression that is none, a file of somebody', async () => {
    const usage = { code: 'BT_USAGE' }
    await expect(run({ min: { backward: -1 } })).rejects.toMatchObject(usage)
    await expect(run({ by: 'fit' })).rejects.toMatchObject(usage)
    await expect(run({ keep: 'quality >' })).rejects.toMatchObject(usage)
    const output = await writeRows(newOutput(), [{ theirs: true }])
    await expect(run({ output })).rejects.toMatchObject({ code: 'BT_OUTPUT_EXISTS' })
    const changed = newOutput()
    await run({ output: changed, limit: 2 })
    await expect(run({ output: changed, limit: 2, reasoning: 4 })).rejects.toMatchObject({ code: 'BT_OUTPUT_CHANGED' })
  })
})
