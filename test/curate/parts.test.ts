import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { copyShare } from '../../src/curate/copy.js'
import { checkExpression, evaluateExpression } from '../../src/curate/expression.js'
import { expectedRating, ratingLead, ratingPrompt, ratingRows } from '../../src/curate/rating.js'
import { evaluate } from '../../src/metrics/evaluate.js'
import { chrfOf } from '../../src/metrics/score.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-curate-parts-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('a rating', () => {
  test('is the expectation over the digits, whatever mass other words have', () => {
    const logs = (shares: number[]) => shares.map((share) => Math.log(share))
    expect(expectedRating(logs([0.2, 0.2, 0.2, 0.2, 0.2]))).toBeCloseTo(3, 12)
    expect(expectedRating(logs([1e-9, 1e-9, 1e-9, 1e-4, 3e-4]))).toBeCloseTo(4.75, 4)
    expect(expectedRating([-900, -1000, -1000, -1000, -1000])).toBeCloseTo(1, 12)
  })

  test('scores what the five answers do not share, however many tokens a digit has', () => {
    const prompt = Int32Array.of(7, 8)
    const rows = ratingRows(prompt, [
      [1, 2, 30],
      [1, 2, 31],
      [1, 2, 32, 5],
      [1, 2, 33],
      [1, 2, 32, 6],
    ])
    expect(rows.map(({ targetStart }) => targetStart)).toEqual([4, 4, 4, 4, 4])
    expect(Array.from(rows[2]!.tokens)).toEqual([7, 8, 1, 2, 32, 5])
  })

  test('is asked after the reasoning, without a rating that stands in it', () => {
    expect(ratingLead('')).toBe('Score: ')
    expect(ratingLead(' It answers. \n')).toBe('It answers.\nScore: ')
    expect(ratingLead('It answers.\n**Score:** 4\nBecause')).toBe('It answers.\nScore: ')
    expect(ratingLead('Score: 2')).toBe('Score: ')
  })

  test('reads both texts after the criteria', () => {
    const prompt = ratingPrompt('Name a fruit.', 'Apple.', false)
    expect(prompt.indexOf('5:')).toBeLessThan(prompt.indexOf('Name a fruit.'))
    expect(prompt.indexOf('Name a fruit.')).toBeLessThan(prompt.indexOf('Apple.'))
  })
})

test('the copied share is the longest common run of words over those of the instruction', () => {
  expect(copyShare('What is the capital of France?', 'The capital of France is Paris.')).toBeCloseTo(4 / 6)
  expect(copyShare('a b c', 'a x b x c')).toBeCloseTo(1 / 3)
  expect(copyShare('!', 'a')).toBe(0)
})

test('chrF of one pair is that of an evaluation of it alone', () => {
  const [prediction, reference] = ['the cat sat', 'the cat is sat on']
  const { metrics } = evaluate([{ prediction, reference }], { bootstrap: 0 })
  expect(chrfOf(prediction, reference)).toBeCloseTo(metrics.chrf!.value, 9)
  expect(chrfOf('', 'x')).toBe(0)
  expect(chrfOf('same', 'same')).toBeCloseTo(100, 9)
})

describe('a keep expression', () => {
  const rows = [
    { id: 'a', instruction: "it's", quality: 4.5, pmi: 0.1, guard: ['copy'] },
    { id: 'b', instruction: 'b', quality: 3.5, pmi: null, source: 'x' },
    { id: 'c', instruction: 'c', quality: 4.9, pmi: 0.4, source: 'x' },
  ]
  let log: string
  beforeAll(async () => {
    log = join(folder, "rows of 'x'.jsonl")
    await writeFile(log, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  })

  test.each([
    ['quality >= 4', [1, 0, 1]],
    ['quality >= 4 and pmi > 0.2', [0, 0, 1]],
    ['pmi > 0.2', [0, -1, 1]],
    ["source = 'x' -- and a comment", [-1, 1, 1]],
    ["len(instruction) > 1 or list_contains(guard, 'copy')", [1, -1, -1]],
    ['quality > avg(quality) over ()', [1, 0, 1]],
    ['fit > 0.5', [0, -1, 1]],
  ])('%s', async (expression, expected) => {
    const more = { fit: Float64Array.of(0.1, Number.NaN, 0.9) }
    expect(Array.from(await evaluateExpression(expression, log, more))).toEqual(expected)
  })

  test('with a score that no row has is unknown for all', async () => {
    const path = join(folder, 'nulls.jsonl')
    await writeFile(path, '{"id":"a","quality":null}\n{"id":"b","quality":null}\n')
    expect(Array.from(await evaluateExpression('quality >= 4', path))).toEqual([-1, -1])
  })

  test.each([
    '1; DROP TABLE pairs',
    'true) FROM pairs WHERE (true',
    'true), (false',
    'quality > (SELECT 1)',
    "exists (SELECT * FROM read_text('/etc/passwd'))",
    'quality >=',
    'true) ORDER BY (1',
    '',
  ])('is refused where it is more or less than that: %s', async (expression) => {
    await expect(checkExpression(expression)).rejects.toMatchObject({ code: 'BT_USAGE' })
  })

  test.each(['qualty > 4', 'avg(quality) > 4', "'word'", "read_blob('/etc/passwd') = 'x'"])(
    'that does not fit the columns is refused, and these are named: %s',
    async (expression) => {
      await expect(evaluateExpression(expression, log)).rejects.toMatchObject({
        code: 'BT_USAGE',
        remedy: expect.stringContaining('Columns here: id, instruction, quality, pmi, guard, source.'),
      })
    },
  )
})
