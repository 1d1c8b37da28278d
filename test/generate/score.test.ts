import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LoraTensor } from '../../binding.js'
import { rowLogProbs } from '../../src/generate/packed-score.js'
import { type ScoreControl, type ScoredRow, score } from '../../src/generate/score.js'
import type { ScoreInput } from '../../src/generate/score-options.js'
import { writeAdapter } from '../../src/models/adapter.js'
import { openModel } from '../../src/models/open.js'
import { openRuntime } from '../../src/native/runtime.js'
import { makeTemplate } from '../../src/text/template.js'
import { openTokenizer } from '../../src/text/tokenizer.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url))
let folder: string
let model: string
let input: string
const pairs = tinyPairs(150)
let outputs = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-score-'))
  model = await writeTinyModel(join(folder, 'model'))
  input = await writeRows(join(folder, 'pairs.jsonl'), pairs)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const newOutput = (ending = 'jsonl') => join(folder, `out-${outputs++}.${ending}`)

async function run(more: Partial<ScoreInput>, control?: ScoreControl) {
  const scored: ScoredRow[] = []
  const rows = score({ model, input, threads: 1, device: 'cpu', precision: 'fp32', ...more }, control)
  let next = await rows.next()
  for (; !next.done; next = await rows.next()) scored.push(next.value)
  return { rows: scored, summary: next.value }
}

describe('texts by themselves', () => {
  test.each(['base', 'adapter'] as const)('have the log-probabilities of transformers and PEFT: %s', async (which) => {
    const expected: { text: string; base: number[]; adapter: number[] }[] = JSON.parse(
      await readFile(join(fixtures, 'score', 'expected.json'), 'utf8'),
    )
    const texts = await writeRows(join(folder, 'texts.jsonl'), expected)
    const parity = join(folder, `parity-${which}`)
    await cp(join(fixtures, 'parity', 'llama'), parity, { recursive: true })
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      await cp(join(fixtures, 'score', name), join(parity, name))
    }
    const adapter = join(parity, 'adapter')
    const { rows, summary } = await run({
      ...(which === 'adapter' ? { adapter } : {}),
      ...{ model: parity, input: texts, template: 'raw', tokenLogProbs: true, maxTokens: 100 },
    })
    expect(rows.map(({ text }) => text)).toEqual(expected.map(({ text }) => text))
    for (const [at, row] of rows.entries()) {
      const wanted = expected[at]![which]
      expect(row.tokens).toBe(wanted.length)
      for (const [token, value] of wanted.entries())
        expect(Math.abs(row.tokenLogProbs![token]! - value)).toBeLessThan(1e-4)
      if (wanted.length === 0) {
        expect(row).toMatchObject({ logLikelihood: null, logProb: null, perplexity: null })
        continue
      }
      const sum = wanted.reduce((total, value) => total + value, 0)
      expect(Math.abs(row.logLikelihood! - sum)).toBeLessThan(1e-4 * wanted.length)
      expect(row.perplexity! / Math.exp(-sum / wanted.length)).toBeCloseTo(1, 3)
    }
    const all = expected.flatMap((row) => row[which])
    expect(summary).toMatchObject({ rows: expected.length, unscored: 1, tokens: all.length })
    expect(summary.perplexity! / Math.exp(-all.reduce((a, b) => a + b, 0) / all.length)).toBeCloseTo(1, 3)
  })
})

describe('pairs', () => {
  test.each(['backward', 'forward'] as const)('are scored on their %s target and its end token', async (template) => {
    const { rows } = await run({ template, limit: 5 })
    const source = await openModel(model)
    const tokenizer = await openTokenizer(source.tokenizer)
    const layout = await makeTemplate(template, tokenizer, source.tokenizer)
    const runtime = await openRuntime({ device: 'cpu', threads: 1 })
    const { config, files, tensors } = source
    const loaded = await runtime.loadModel({ config, files, tensors, dtype: 'float32' })
    for (const [at, pair] of pairs.slice(0, 5).entries()) {
      const encoded = await layout.encodePair(pair, 1024)
      // Alone, as a row must not depend on those beside it.
      const [logProbs] = await rowLogProbs(loaded, [encoded])
      const sum = logProbs!.reduce((total, value) => total + value, 0)
      expect(rows[at]).toMatchObject({ ...pair, tokens: encoded.tokens.length - encoded.targetStart })
      expect(Math.abs(rows[at]!.logLikelihood! - sum)).toBeLessThan(1e-4)
    }
    await runtime.close()
  })

  test('whose target does not fit are there without a score, and counted; what is given is cut', async () => {
    const long = await writeRows(join(folder, 'long.jsonl'), [
      { instruction: 'word '.repeat(300), response: 'short' },
      { instruction: 'short', response: 'word '.repeat(300) },
    ])
    const { rows, summary } = await run({ input: long, maxTokens: 300 })
    expect(rows.map(({ logLikelihood }) => logLikelihood === null)).toEqual([true, false])
    expect(rows[1]!.cut).toBeGreaterThan(1000)
    expect(summary).toMatchObject({ unscored: 1, cut: 1 })
  })

  test('are refused under a task that the adapter was not trained for', async () => {
    const adapter = join(folder, 'adapter')
    const matrix = (name: string, shape: [number, number]): LoraTensor => ({
      name,
      shape,
      data: new Float32Array(shape[0] * shape[1]),
    })
    const tensors = [0, 1].flatMap((layer) => [
      matrix(`layers.${layer}.self_attn.q_proj.lora_A`, [1, 32]),
      matrix(`layers.${layer}.self_attn.q_proj.lora_B`, [32, 1]),
    ])
    await writeAdapter(adapter, { baseModel: model, r: 1, alpha: 1, dropout: 0, targets: ['q_proj'], tensors })
    await expect(run({ adapter, template: 'forward' })).rejects.toMatchObject({ code: 'BT_USAGE' })
    expect((await run({ adapter, limit: 1 })).rows).toHaveLength(1)
  })
})

describe('an output', () => {
  test('that was left in the midst goes on to the same bytes, and its summary is over all rows', async () => {
    const whole = newOutput()
    const { summary } = await run({ output: whole, batchTokens: 700 })
    const output = newOutput()
    const stop = new AbortController()
    const first = await run(
      { output, batchTokens: 700 },
      { signal: stop.signal, onProgress: ({ done }) => done >= 70 && stop.abort() },
    )
    expect(first.summary.interrupted).toBe(true)
    // In the midst of a group of rows that are packed together.
    const kept = (await readFile(output, 'utf8')).split('\n').slice(0, 70).join('\n')
    await rm(output)
    await writeRows(
      output,
      kept.split('\n').map((line) => JSON.parse(line)),
    )
    const rest = await run({ output, batchTokens: 700 })
    expect(rest.summary).toMatchObject({ rows: 150, written: 80, tokens: summary.tokens })
    expect(rest.summary.perplexity).toBeCloseTo(summary.perplexity!, 6)
    expect(await readFile(output, 'utf8')).toBe(await readFile(whole, 'utf8'))
    expect((await run({ output, batchTokens: 700 })).summary.alreadyDone).toBe(true)
  })

  test('refuses another template, and is not taken for what generate wrote', async () => {
    const output = newOutput()
    await run({ output, limit: 3 })
    await expect(run({ output, limit: 3, template: 'forward' })).rejects.toMatchObject({ code: 'BT_OUTPUT_CHANGED' })
  })

  test('may be packed or Parquet', async () => {
    for (const ending of ['jsonl.gz', 'parquet']) {
      const output = newOutput(ending)
      const { rows } = await run({ output, limit: 4 })
      const again = await run({ input: output, columns: 'instruction=instruction,response=response' })
      expect(again.rows.map(({ logLikelihood }) => logLikelihood)).toEqual(
        rows.map(({ logLikelihood }) => logLikelihood),
      )
    }
  })
})
