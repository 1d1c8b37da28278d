import { describe, expect, test } from 'vitest'
import { epochOrder, type PlanOptions, packBatch, planSteps, scoredCount, scoredSpans } from '../../src/data/packing.js'

const row = (length: number, targetStart: number, first = 0) => ({
  tokens: Int32Array.from({ length }, (_, index) => first + index),
  targetStart,
})

describe('packBatch', () => {
  test('lays rows end to end and scores the targets alone', () => {
    const batch = packBatch([row(4, 2, 10), row(3, 1, 20), row(2, 1, 30)], [7, 5, 9])
    expect([...batch.tokens]).toEqual([10, 11, 12, 13, 20, 21, 22, 30, 31])
    expect([...batch.cuSeqlens]).toEqual([0, 4, 7, 9])
    expect([...batch.scored]).toEqual([2, 3, 5, 6, 8])
    expect([...batch.rows]).toEqual([7, 5, 9])
  })

  test('scores each of several targets of a row, and not what stands between them', () => {
    const talk = { ...row(10, 2, 10), gaps: Int32Array.of(4, 6, 7, 9) }
    expect(scoredSpans(talk)).toEqual([
      [2, 4],
      [6, 7],
      [9, 10],
    ])
    expect(scoredCount(talk)).toBe(4)
    const batch = packBatch([row(3, 1), talk, row(2, 1)], [0, 1, 2])
    expect([...batch.scored]).toEqual([1, 2, 5, 6, 9, 12, 14])
    expect([...batch.cuSeqlens]).toEqual([0, 3, 13, 15])
  })

  test('refuses a row without a target, and one that would score its first token', () => {
    expect(() => packBatch([row(4, 4)], [3])).toThrow(/row 3 has no token to learn from/)
    expect(() => packBatch([row(4, 0)], [3])).toThrow(/row 3 has no token before its target/)
    expect(() => packBatch([row(4, 2)], [])).toThrow(/1 rows, but 0 row ids/)
  })
})

describe('epochOrder', () => {
  test('is a permutation, the same each time, another for each seed and epoch', () => {
    for (const count of [0, 1, 2, 17, 1000]) {
      expect([...epochOrder(count, 3, 1)].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i))
    }
    expect(epochOrder(100, 3, 1)).toEqual(epochOrder(100, 3, 1))
    const orders = [
      epochOrder(100, 3, 1),
      epochOrder(100, 3, 2),
      epochOrder(100, 4, 1),
      epochOrder(100, 3 + 2 ** 40, 1),
    ]
    expect(new Set(orders.map(String)).size).toBe(orders.length)
  })

  test('puts every row in every place about equally often', () => {
    const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0))
    const epochs = 20_000
    for (let epoch = 0; epoch < epochs; epoch++) {
      for (const [place, index] of epochOrder(5, 11, epoch).entries()) counts[place]![index]!++
    }
    const expected = epochs / 5
    const chiSquare = counts.flat().reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    expect(chiSquare).toBeLessThan(39.3) // 16 degrees of freedom, p = 0.001
  })
})

/** Lengths that differ, without a library of random numbers. */
const lengthsOf = (count: number, salt: number) =>
  [...epochOrder(500, salt, 9)].slice(0, count).map((n) => 5 + (n % 90))

describe('planSteps', () => {
  const cases: [string, Omit<PlanOptions, 'lengths' | 'seed' | 'epoch'>][] = [
    ['rows', { batchSize: 4, gradAccumSteps: 4 }],
    ['rows one by one', { batchSize: 1, gradAccumSteps: 16 }],
    ['rows under a token limit', { batchSize: 16, maxTokensPerMicroBatch: 120 }],
    ['tokens', { tokensPerStep: 700 }],
    ['tokens under limits', { tokensPerStep: 700, batchSize: 3, maxTokensPerMicroBatch: 64 }],
  ]

  test.each(cases)('takes every row exactly once an epoch, and micro-batches share out each step: %s', (_, sizes) => {
    for (const count of [0, 1, 15, 16, 17, 211]) {
      for (const salt of [1, 2, 3]) {
        const lengths = lengthsOf(count, salt)
        const steps = planSteps({ lengths, seed: salt, epoch: 2, ...sizes })
        const all = steps.flatMap((step) => [...step.rows])
        expect(all).toEqual([...epochOrder(count, salt, 2)])
        for (const step of steps) {
          const split = step.microBatches.flatMap((batch) => [...batch])
          expect(split.toSorted((a, b) => a - b)).toEqual([...step.rows].sort((a, b) => a - b))
          const splitLengths = split.map((index) => lengths[index]!)
          expect(splitLengths).toEqual(splitLengths.toSorted((a, b) => b - a))
          for (const batch of step.microBatches) {
            const tokens = batch.reduce((sum, index) => sum + lengths[index]!, 0)
            expect(batch.length).toBeGreaterThan(0)
            expect(batch.length).toBeLessThanOrEqual(sizes.batchSize ?? Number.POSITIVE_INFINITY)
            if (batch.length > 1) expect(tokens).toBeLessThanOrEqual(sizes.maxTokensPerMicroBatch ?? tokens)
          }
        }
      }
    }
  })

  test('gives the same steps to 16x1, 4x4 and 1x16, so that they train alike', () => {
    const lengths = lengthsOf(100, 5)
    const rows = [1, 4, 16].map((batchSize) =>
      planSteps({ lengths, batchSize, gradAccumSteps: 16 / batchSize, seed: 1, epoch: 0 }).map((step) => step.rows),
    )
    expect(rows[1]).toEqual(rows[0])
    expect(rows[2]).toEqual(rows[0])
    expect(rows[0]!.map((step) => step.length)).toEqual([16, 16, 16, 16, 16, 16, 4])
  })

  test('fills a step up to its tokens and no further, but for a row that is longer by itself', () => {
    const lengths = [...lengthsOf(60, 8), 2000]
    const steps = planSteps({ lengths, tokensPerStep: 300, seed: 4, epoch: 0 })
    for (const [index, step] of steps.entries()) {
      const tokens = step.rows.reduce((sum, one) => sum + lengths[one]!, 0)
      if (step.rows.length > 1) expect(tokens).toBeLessThanOrEqual(300)
      const next = steps[index + 1]
      if (next) expect(tokens + lengths[next.rows[0]!]!).toBeGreaterThan(300)
    }
  })

  test('refuses sizes that are no positive whole numbers', () => {
    expect(() => planSteps({ lengths: [1], batchSize: 0, seed: 0, epoch: 0 })).toThrow(/batchSize is 0/)
    expect(() => planSteps({ lengths: [1], tokensPerStep: 1.5, seed: 0, epoch: 0 })).toThrow(/tokensPerStep is 1.5/)
  })
})
