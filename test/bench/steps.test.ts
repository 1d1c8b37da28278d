// The steps that all contestants take: the same rows, laid out to each one's liking.
import { describe, expect, test } from 'vitest'
import { contestants } from '../../bench/contestants.mjs'
import { evenSteps, randomised, shortSteps, stepsOf, tokensOf } from '../../bench/rows.mjs'
import type { EncodedRow } from '../../src/text/types.js'

const lengths = Array.from({ length: 70 }, (_, i) => 10 + ((i * 37) % 50))
const rows = lengths.map((length) => ({ tokens: new Int32Array(length).fill(length), targetStart: length - 3 }))
const idsOf = (microBatches: { id: number }[][]) => microBatches.flat().map(({ id }) => id)
const sorted = (ids: number[]) => ids.toSorted((a, b) => a - b)

describe('steps', () => {
  const steps = stepsOf(rows, 9, { batchSize: 4, gradAccumSteps: 4 })

  test('are 16 rows each, into further epochs, without the short last step of one', () => {
    expect(steps.map((step) => step.rows.length)).toEqual(Array(9).fill(16))
  })

  test('give every contestant the same rows', () => {
    for (const step of steps) {
      for (const name of ['fused', 'documented', 'careful', 'compiled'] as const) {
        const micro = contestants[name].layOut(step, { rows: 8 })
        expect(sorted(idsOf(micro))).toEqual(sorted(step.rows.map(({ id }: { id: number }) => id)))
      }
    }
  })

  test('are sorted by length for the careful loop, and left in their order for the documented one', () => {
    const step = steps[0]!
    const length = ({ tokens }: { tokens: Int32Array }) => tokens.length
    const careful = contestants.careful.layOut(step, { rows: 8 })
    expect(careful.map((micro: unknown[]) => micro.length)).toEqual([8, 8])
    expect(careful.flat().map(length)).toEqual(step.rows.map(length).toSorted((a: number, b: number) => b - a))
    expect(contestants.documented.layOut(step, { rows: 4 }).flat()).toEqual(step.rows)
  })

  test('fill a token budget', () => {
    for (const step of stepsOf(rows, 3, { batchSize: 4, tokensPerStep: 200 })) {
      expect(tokensOf(step.rows)).toBeLessThanOrEqual(200)
      expect(tokensOf(step.rows)).toBeGreaterThan(200 - 60)
    }
  })

  test('for comparing losses hold four of the shortest rows', () => {
    const short = shortSteps(rows, 5)
    const longest = lengths.toSorted((a, b) => a - b)[19]!
    expect(short).toHaveLength(5)
    for (const step of short) {
      expect(step.rows).toHaveLength(4)
      for (const { tokens } of step.rows) expect(tokens.length).toBeLessThanOrEqual(longest)
    }
  })
})

test('rows of one length fill the step, or make one of their own', () => {
  const short = evenSteps({ length: 128, count: 2, tokensPerStep: 1024, vocabulary: 100 })
  expect(short.map((step) => step.rows.length)).toEqual([8, 8])
  const long = evenSteps({ length: 2048, count: 1, tokensPerStep: 1024, vocabulary: 100 })
  expect(long[0]!.rows.map(({ tokens }: EncodedRow) => tokens.length)).toEqual([2048])
})

test('random ids keep lengths and targets, stay in the vocabulary and do not change from run to run', () => {
  const random = randomised(rows, 100) as EncodedRow[]
  expect(random.map(({ tokens }) => tokens.length)).toEqual(lengths)
  expect(random.map(({ targetStart }) => targetStart)).toEqual(rows.map(({ targetStart }) => targetStart))
  const ids = random.flatMap(({ tokens }) => [...tokens])
  expect(Math.min(...ids)).toBeGreaterThanOrEqual(3)
  expect(Math.max(...ids)).toBeLessThan(100)
  expect(randomised(rows, 100)).toEqual(random)
})
