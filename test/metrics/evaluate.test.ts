// The evaluation of toy sets whose right answers are known without computing.
import { describe, expect, test } from 'vitest'
import { defaultShuffles, derangement } from '../../src/metrics/controls.js'
import { evaluate } from '../../src/metrics/evaluate.js'
import type { EvaluationRow, Measurement } from '../../src/metrics/types.js'

const topics = 'rivers bread taxes violins glaciers magnets chess bees volcanoes maps grammar tea'.split(' ')
const forms = [
  (topic: string) => `How do ${topic} work?`,
  (topic: string) => `Write a short story about ${topic} for children of six.`,
  (topic: string) => `Give me ten facts on ${topic} that few people know, as a list.`,
  (topic: string) => `Compare ${topic} of today with ${topic} a hundred years ago.`,
]
const perfect: EvaluationRow[] = forms.flatMap((form, kind) =>
  topics.map((topic) => ({
    prediction: form(topic),
    reference: form(topic),
    response: `Here is what there is to say of ${topic}, in some words that answer the question well enough: ${topic} are fine.`,
    source: `kind ${kind % 2}`,
    finish: 'stop',
  })),
)

function all(metrics: Record<string, Measurement>): Measurement[] {
  return Object.values(metrics).flatMap((found) => [found, ...Object.values(found.controls ?? {})])
}

describe('true texts as predictions', () => {
  const { metrics, rows, referenced, notes } = evaluate(perfect)

  test('score 100 in every comparing metric', () => {
    for (const name of ['rouge1', 'rouge2', 'rougeL', 'bleu', 'chrf', 'rougeLPrecision', 'rougeLRecall'] as const) {
      expect(metrics[name]!.value, name).toBeCloseTo(100, 9)
      for (const bound of metrics[name]!.interval!) expect(bound, name).toBeCloseTo(100, 9)
    }
    expect([rows, referenced]).toEqual([48, 48])
  })

  test('lie far above shuffled, constant and first-words controls', () => {
    const { shuffled, constant, firstWords } = metrics.rougeL!.controls!
    for (const control of [shuffled, constant, firstWords]) {
      expect(control!.value).toBeGreaterThan(0)
      expect(control!.interval![1]).toBeLessThan(60)
    }
    expect(notes).toContain('ROUGE-L lies above every control, intervals and all.')
  })

  test('show the same of outputs and true texts where a metric needs no truth', () => {
    for (const name of ['leaks', 'loops', 'distinct1', 'distinct2', 'meanWords', 'meanCharacters'] as const) {
      expect(metrics[name]!.references!.value, name).toBe(metrics[name]!.value)
    }
    expect(metrics.missingEnd).toMatchObject({ value: 0 })
  })
})

const worse = perfect.map((row, index) => ({
  ...row,
  prediction: index % 3 === 0 ? row.prediction : `${row.prediction.split(' ').slice(0, 4).join(' ')} and so on`,
  finish: index % 4 === 0 ? 'length' : 'stop',
}))

test('every interval contains its value and is no wider than the values', () => {
  for (const found of all(evaluate(worse).metrics)) {
    if (!found.interval) continue
    const [low, high] = found.interval
    expect(low).toBeLessThanOrEqual(found.value + 1e-9)
    expect(high).toBeGreaterThanOrEqual(found.value - 1e-9)
  }
  const [low, high] = evaluate(worse).metrics.rougeL!.interval!
  expect(high - low).toBeGreaterThan(1)
})

test('the interval of a rate is that of the binomial distribution', () => {
  const rows = Array.from({ length: 400 }, (_, index) => ({ prediction: 'x', finish: index < 100 ? 'length' : 'stop' }))
  const [low, high] = evaluate(rows, { bootstrap: 2000 }).metrics.missingEnd!.interval!
  const half = 1.96 * Math.sqrt((25 * 75) / 400)
  expect(low).toBeGreaterThan(25 - half - 0.6)
  expect(low).toBeLessThan(25 - half + 0.6)
  expect(high).toBeGreaterThan(25 + half - 0.6)
  expect(high).toBeLessThan(25 + half + 0.6)
})

test('equal rows and seed give equal numbers; another seed, another interval but the same value', () => {
  const one = evaluate(worse, { seed: 3 })
  expect(evaluate(worse, { seed: 3 })).toEqual(one)
  const other = evaluate(worse, { seed: 4 })
  expect(other.metrics.rougeL!.value).toBe(one.metrics.rougeL!.value)
  expect(other.metrics.rougeL!.interval).not.toEqual(one.metrics.rougeL!.interval)
})

test('rates count what they are named after', () => {
  const given = 'one two three four five six seven eight nine ten'
  const { metrics } = evaluate([
    { prediction: given, response: given, finish: 'stop' },
    { prediction: 'user\nWhat?', response: given, finish: 'length' },
    { prediction: 'round and round we go round and round we go round and round we go', response: given },
    { prediction: '  ', response: given, finish: 'empty' },
  ])
  const values = Object.fromEntries(Object.entries(metrics).map(([name, { value }]) => [name, value]))
  expect(values).toMatchObject({ copies: 25, copyRate: 25, leaks: 25, loops: 25, empty: 25, missingEnd: 50 })
  expect(values.meanWords).toBe((10 + 2 + 15 + 0) / 4)
})

test('distinct-n is the share of different n-grams in all outputs', () => {
  const { metrics } = evaluate([{ prediction: 'a b a b' }, { prediction: 'A, b!' }])
  expect(metrics.distinct1!.value).toBeCloseTo(100 * (2 / 6))
  expect(metrics.distinct2!.value).toBeCloseTo(100 * (2 / 4))
  expect(metrics.distinct1!.interval).toBeUndefined()
})

describe('sources', () => {
  test('each has the numbers of its own rows', () => {
    const { sources } = evaluate(worse)
    expect(sources.map(({ source, rows }) => [source, rows])).toEqual([
      ['kind 0', 24],
      ['kind 1', 24],
    ])
    const alone = evaluate(worse.filter((row) => row.source === 'kind 1'))
    expect(sources[1]!.metrics.rougeL!.value).toBeCloseTo(alone.metrics.rougeL!.value, 9)
    expect(sources[1]!.metrics.rougeL!.interval).toEqual(alone.metrics.rougeL!.interval)
    expect(sources[1]!.metrics.bleu!.value).toBeCloseTo(alone.metrics.bleu!.value, 9)
  })
  test('are left out where there is only one', () => {
    expect(evaluate(worse.filter((row) => row.source === 'kind 1')).sources).toEqual([])
  })
})

describe('rows without a true text', () => {
  test('get what needs none, and the report says so', () => {
    const { metrics, referenced, notes } = evaluate(perfect.map(({ reference: _, ...row }) => row))
    expect(referenced).toBe(0)
    expect(metrics.rougeL).toBeUndefined()
    expect(metrics.bleu).toBeUndefined()
    expect(metrics.meanWords!.references).toBeUndefined()
    expect(metrics.loops!.value).toBe(0)
    expect(notes[0]).toContain('No row has a true text')
  })
  test('do not dilute the comparison of the others', () => {
    const half = perfect.map((row, index) => (index % 2 ? row : { ...row, reference: undefined }))
    const { metrics, referenced, notes } = evaluate(half)
    expect(referenced).toBe(24)
    expect(metrics.rougeL!.value).toBeCloseTo(100, 9)
    expect(metrics.rougeL!.controls!.shuffled!.value).toBeLessThan(60)
    expect(notes[0]).toContain('24 of 48 rows have no true text')
  })
  test('no row at all gives no metric', () => {
    expect(evaluate([]).metrics).toEqual({})
  })
  test('one row alone has no shuffled control', () => {
    const controls = evaluate(perfect.slice(0, 1)).metrics.rougeL!.controls!
    expect(Object.keys(controls)).toEqual(['constant', 'firstWords'])
  })
})

test('a prediction that copies nothing of its row is not clearly above the controls', () => {
  const { notes } = evaluate(
    perfect.map((row, index) => ({ ...row, prediction: perfect[(index + 7) % 48]!.prediction })),
  )
  expect(notes.join(' ')).toContain('not clearly above outputs of other rows')
})

test('true texts in other scripts are pointed out', () => {
  const { notes } = evaluate([
    { prediction: '你好', reference: '天气很好' },
    { prediction: '你好', reference: '写一封信' },
  ])
  expect(notes.join(' ')).toContain('ROUGE sees Latin letters and digits alone; 2 true texts have none')
})

test('a derangement moves every element and is a permutation', () => {
  for (const count of [2, 3, 10, 101]) {
    const taken = derangement(count, 5, count)
    expect([...taken].sort((a, b) => a - b)).toEqual([...Array(count).keys()])
    expect(taken.every((from, to) => from !== to)).toBe(true)
  }
  expect(defaultShuffles(186)).toBe(20)
  expect(defaultShuffles(10_000)).toBe(2)
})

test('ten thousand pairs take seconds', () => {
  const many = Array.from({ length: 10_000 }, (_, index) => ({
    ...worse[index % worse.length]!,
    prediction: `${worse[index % worse.length]!.prediction} number ${index}`,
  }))
  const before = process.cpuUsage()
  evaluate(many, { bootstrap: 20 })
  const { user, system } = process.cpuUsage(before) // not the clock: other work on the machine must not count
  expect((user + system) / 1e6).toBeLessThan(15)
})
