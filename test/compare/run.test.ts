// The comparison of tiny models end to end: files, controls, judge, resuming.
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CompareInput } from '../../src/compare/options.js'
import { type CompareControl, compare } from '../../src/compare/run.js'
import { renderComparison } from '../../src/compare/tables.js'
import { score } from '../../src/generate/score.js'
import type { ScoreInput } from '../../src/generate/score-options.js'
import { train } from '../../src/train/run.js'
import { runCli } from '../cli/run-cli.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'
import { shown, startJudge } from './server.js'

let folder: string
let model: string
let adapter: string
let backward: string
let data: string
let outputs = 0
const heldOut = tinyPairs(40).slice(30)
const small = { threads: 1, device: 'cpu', precision: 'fp32' } as const

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-compare-'))
  model = await writeTinyModel(join(folder, 'model'))
  data = await writeRows(join(folder, 'held-out.jsonl'), heldOut)
  const rows = await writeRows(join(folder, 'rows.jsonl'), tinyPairs(30))
  adapter = join(folder, 'trained')
  backward = join(folder, 'backward')
  const training = { model, data: rows, learningRate: 0.01, validation: 0, ...small }
  for await (const _ of train({ ...training, task: 'forward', output: adapter, epochs: 6 }));
  for await (const _ of train({ ...training, output: backward, maxSteps: 1 }));
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const newOutput = () => join(folder, `compared-${outputs++}`)

function run(more: Partial<CompareInput> = {}, control?: CompareControl) {
  const room = { maxNewTokens: 16, maxTokens: 256, bootstrap: 200 }
  return compare({ models: [`m0=${adapter}`], data, output: newOutput(), ...room, ...small, ...more }, control)
}

const rowsOf = async (path: string) =>
  (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('a comparison', () => {
  test('holds the log-likelihood of score, base model and shuffled responses beside it, and what was written', async () => {
    const output = newOutput()
    const { comparison, ...summary } = await run({ output })
    expect(summary).toMatchObject({ interrupted: false, alreadyDone: false })
    const { models, likelihood, writing, rows, scored, baselines } = comparison!
    expect([rows, scored, baselines]).toEqual([10, 10, ['m0']])
    expect(models.map(({ name, control }) => [name, control])).toEqual([
      ['m0', false],
      ['base', true],
    ])
    const scores = score({ adapter, input: data, template: 'forward', ...small })
    let next = await scores.next()
    while (!next.done) next = await scores.next()
    expect(models[0]!.likelihood.logProb!.value).toBeCloseTo(next.value.logLikelihood / next.value.tokens, 5)
    expect(models[0]!.likelihood.tokens).toBe(next.value.tokens)
    // It learned what responses look like, and the base model did not.
    expect(likelihood[0]).toMatchObject({ model: 'base', baseline: 'm0', losses: 10 })
    expect(likelihood[0]!.difference.interval![1]).toBeLessThan(0)
    const written = await rowsOf(join(output, 'm0.written.jsonl'))
    expect(written.map(({ instruction }) => instruction)).toEqual(heldOut.map(({ instruction }) => instruction))
    expect(written.map(({ reference }) => reference)).toEqual(heldOut.map(({ response }) => response))
    expect(writing!.systems.map(({ name }) => name)).toEqual(['m0', 'base'])
    expect(Object.keys(writing!.systems[0]!.metrics.rougeL!.controls!)).toEqual(['shuffled', 'constant', 'firstWords'])
    const shuffled = await rowsOf(join(output, 'shuffled.jsonl'))
    expect(shuffled.every(({ response }, at) => response !== heldOut[at]!.response)).toBe(true)
    expect(JSON.parse(await readFile(join(output, 'compare.json'), 'utf8'))).toEqual(comparison)
    const markdown = await readFile(join(output, 'compare.md'), 'utf8')
    expect(markdown).toContain('## Log-likelihood of the held-out responses')
    expect(markdown).toContain('| base (control) |')
    expect(markdown).toContain('# What the models write')
    expect(renderComparison(comparison!, { width: 100 })).toMatch(/^base against m0 +-\d\.\d{3} /m)
  })

  test('of a model with itself finds nothing, with p = 1', async () => {
    const { comparison } = await run({ models: [`one=${model}`, `two=${model}`] })
    expect(comparison!.models.map(({ name }) => name)).toEqual(['one', 'two'])
    expect(comparison!.likelihood[0]!.difference).toEqual({ value: 0, interval: [0, 0], p: 1 })
    expect(comparison!.writing!.differences[0]).toMatchObject({ wins: 0, ties: 10, losses: 0 })
  })

  test('against several models tests every two of them once', async () => {
    const models = [`m0=${adapter}`, `plain=${model}`, `again=${model}`]
    const { comparison } = await run({ models, baseline: ['m0', 'plain'] })
    const pairs = [
      ['plain', 'm0'],
      ['again', 'm0'],
      ['again', 'plain'],
    ]
    expect(comparison!.likelihood.map((one) => [one.model, one.baseline])).toEqual(pairs)
    expect(comparison!.writing!.differences.map((one) => [one.system, one.baseline])).toEqual(pairs)
    expect(comparison!.likelihood[2]!.difference).toEqual({ value: 0, interval: [0, 0], p: 1 })
  })

  test('has responses written for the first pairs alone, or for none', async () => {
    const output = newOutput()
    const none = await run({ output, writeRows: 0 })
    expect(none.comparison!.scored).toBe(10)
    expect(none.comparison!.writing).toBeUndefined()
    expect(await readdir(output)).not.toContain('m0.written.jsonl')
    expect(await readFile(join(output, 'compare.md'), 'utf8')).not.toContain('What the models write')
    const some = await run({ output, writeRows: 4 })
    expect(some.comparison!.writing).toMatchObject({ rows: 4, referenced: 4 })
    expect(some.comparison!.likelihood).toEqual(none.comparison!.likelihood)
    expect(await rowsOf(join(output, 'm0.written.jsonl'))).toHaveLength(4)
    await run({ output, writeRows: 6 })
    const fewer = await run({ output, writeRows: 4 })
    expect(fewer.comparison!.writing).toEqual(some.comparison!.writing)
  })

  test('on one pair alone has no response of another row to show', async () => {
    const judge = await startJudge(() => ({ text: 'A' }))
    try {
      const { comparison } = await run({ limit: 1, judge: judge.url, judgeModel: 'tester' })
      const [m0] = comparison!.models
      expect(m0).toMatchObject({ shuffled: { logProb: null }, gain: null })
      expect(m0!.likelihood.tokens).toBeGreaterThan(0)
      expect(comparison!.judgement!.preferences.map(({ model }) => model)).toEqual(['base'])
    } finally {
      await judge.close()
    }
  })

  test('tells each model the system texts of its training rows, or all of them the one that is given', async () => {
    const told = join(folder, 'told')
    const rows = tinyPairs(30).map((row) => ({ ...row, system: 'Answer briefly.' }))
    const training = { model, data: await writeRows(join(folder, 'told.jsonl'), rows), validation: 0, ...small }
    for await (const _ of train({ ...training, task: 'forward', output: told, maxSteps: 2 }));
    const likelihoodOf = async (more: Partial<CompareInput>) => {
      const { comparison } = await run({ models: [`told=${told}`], writeRows: 0, ...more })
      return comparison!.models.map(({ likelihood }) => likelihood.logProb!.value)
    }
    const scoreOf = async (named: Pick<ScoreInput, 'adapter' | 'model' | 'system'>) => {
      const scores = score({ ...named, input: data, template: 'forward', ...small })
      let next = await scores.next()
      while (!next.done) next = await scores.next()
      return next.value.logLikelihood / next.value.tokens
    }
    const [own, base] = await likelihoodOf({})
    expect(own).toBeCloseTo(await scoreOf({ adapter: told, system: 'Answer briefly.' }), 5)
    expect(base).toBeCloseTo(await scoreOf({ model }), 5)
    const [silent] = await likelihoodOf({ system: '' })
    expect(silent).toBeCloseTo(await scoreOf({ adapter: told, system: '' }), 5)
    expect(silent).not.toBeCloseTo(own!, 5)
    const [, given] = await likelihoodOf({ system: 'Be kind.' })
    expect(given).toBeCloseTo(await scoreOf({ model, system: 'Be kind.' }), 5)
    expect(given).not.toBeCloseTo(base!, 5)
  })

  test('refuses backward adapters, two models of one name, and a baseline that is none of them', async () => {
    for (const [more, words] of [
      [{ models: [backward] }, 'was trained for the backward task'],
      [{ models: [adapter, adapter] }, 'two of them are called trained'],
      [{ baseline: ['m9'] }, 'models: m0, base'],
      [{ judge: 'http://127.0.0.1:1/v1' }, '--judge without --judge-model'],
      [{ maxNewTokens: 250 }, 'no room'],
      [{ judge: 'http://127.0.0.1:1/v1', judgeModel: 'j', writeRows: 0 }, 'nothing to judge'],
    ] as const) {
      await expect(run({ ...more } as Partial<CompareInput>)).rejects.toMatchObject({
        code: 'BT_USAGE',
        message: expect.stringContaining(words),
      })
    }
  })
})

describe('done again', () => {
  test('does nothing; another model adds its own work alone', async () => {
    const output = newOutput()
    const first = await run({ output })
    const again = await run({ output }, { onStart: () => expect.unreachable() })
    expect(again).toMatchObject({ alreadyDone: true, comparison: first.comparison })
    const before = (await stat(join(output, 'm0.scored.jsonl'))).mtimeMs
    const worked = new Set<string>()
    const more = await run(
      { output, models: [`m0=${adapter}`, `plain=${model}`], baseline: ['plain'] },
      { onModel: (name) => worked.add(name) },
    )
    expect([...worked]).toEqual(['plain'])
    expect(more.comparison!.models.map(({ name }) => name)).toEqual(['m0', 'plain'])
    expect(more.comparison!.likelihood[0]).toMatchObject({ model: 'm0', baseline: 'plain', wins: 10 })
    expect((await stat(join(output, 'm0.scored.jsonl'))).mtimeMs).toBe(before)
  })
  test('goes on after an interruption, to the same numbers', async () => {
    const whole = (await run()).comparison!
    const output = newOutput()
    const stop = new AbortController()
    const cut = await run(
      { output, batchSize: 1 },
      {
        signal: stop.signal,
        onProgress: ({ label, done }) => label === 'm0: writing' && done === 4 && stop.abort(),
      },
    )
    expect(cut).toMatchObject({ interrupted: true })
    expect(cut.comparison).toBeUndefined()
    expect((await run({ output, batchSize: 1 })).comparison).toEqual(whole)
  })
  test('with other pairs is refused, and starts over with force', async () => {
    const output = newOutput()
    await run({ output })
    await expect(run({ output, limit: 5 })).rejects.toMatchObject({ code: 'BT_OUTPUT_CHANGED' })
    expect((await run({ output, limit: 5, force: true })).comparison).toMatchObject({ rows: 5 })
  })
})

test('a judge chooses between what was written, its control among the matches', async () => {
  const judge = await startJudge((body) => {
    const [a, b] = shown(body)
    return { text: a < b ? 'A' : 'B' } // whatever it likes, the order is not it
  })
  const output = newOutput()
  const options = { output, judge: judge.url, judgeModel: 'tester' }
  try {
    const { comparison } = await run(options, { env: { BT_JUDGE_KEY: 'k' } })
    const { preferences, endpoint, model, byProbability } = comparison!.judgement!
    expect([endpoint, model, byProbability]).toEqual([`${judge.url}/chat/completions`, 'tester', false])
    expect(preferences.map(({ model, control }) => [model, control])).toEqual([
      ['base', true],
      ['m0 of other rows', true],
    ])
    for (const { wins, ties, losses, same, first } of preferences) {
      expect(wins + ties + losses).toBe(10)
      expect(ties).toBe(same)
      expect(first ?? 0.5).toBe(0.5)
    }
    expect(new Set(judge.keys)).toEqual(new Set(['Bearer k']))
    const count = judge.asked.length
    expect((await run(options)).alreadyDone).toBe(true)
    // Other resamples: all is known but the numbers.
    expect((await run({ ...options, bootstrap: 50 })).alreadyDone).toBe(false)
    expect(judge.asked).toHaveLength(count)
    expect(await readFile(join(output, 'compare.md'), 'utf8')).toContain('## The judge')
  } finally {
    await judge.close()
  }
})

test('the command prints tables, JSON events on request, and says when there is nothing to do', async () => {
  const output = newOutput()
  const args = ['compare', '--models', `m0=${adapter}`, '--data', data, '--output', output, '--limit', '4']
  args.push(
    '--max-new-tokens',
    '8',
    '--max-tokens',
    '256',
    '--bootstrap',
    '50',
    '--threads',
    '1',
    '--precision',
    'fp32',
  )
  const { code, stdout, stderr } = await runCli([...args])
  expect([code, stderr]).toEqual([0, expect.stringContaining('base: model (control)')])
  expect(stdout).toContain('2 models on 4 held-out pairs')
  expect(stdout).toMatch(/^m0 +-\d\.\d{3} /m)
  const again = await runCli([...args, '--json'])
  const events = again.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(events.at(-1)).toMatchObject({ event: 'finished', alreadyDone: true, comparison: { rows: 4 } })
})
