import { describe, expect, test } from 'vitest'
import { learningRateAt, type Schedule, warmupSteps } from '../../src/train/schedule.js'

const base: Schedule = { schedule: 'linear', learningRate: 1, warmup: 20, totalSteps: 100 }

describe('learning rate', () => {
  test('rises in equal steps to its peak at the last step of the warm-up', () => {
    expect(learningRateAt(base, 1)).toBeCloseTo(0.05, 12)
    expect(learningRateAt(base, 10)).toBeCloseTo(0.5, 12)
    expect(learningRateAt(base, 20)).toBe(1)
  })

  test('falls linearly so that the step after the last would have zero', () => {
    expect(learningRateAt(base, 21)).toBe(1)
    expect(learningRateAt(base, 61)).toBeCloseTo(0.5, 12)
    expect(learningRateAt(base, 100)).toBeCloseTo(1 / 80, 12)
    expect(learningRateAt(base, 101)).toBe(0)
  })

  test('falls along half a cosine', () => {
    const cosine: Schedule = { ...base, schedule: 'cosine' }
    expect(learningRateAt(cosine, 21)).toBe(1)
    expect(learningRateAt(cosine, 41)).toBeCloseTo((1 + Math.SQRT1_2) / 2, 12)
    expect(learningRateAt(cosine, 61)).toBeCloseTo(0.5, 12)
  })

  test('stays at the peak when constant', () => {
    expect(learningRateAt({ ...base, schedule: 'constant' }, 100)).toBe(1)
  })

  test('takes a warm-up below 1 as a share of all steps, and never warms up past the end', () => {
    expect(warmupSteps({ ...base, warmup: 0.05 })).toBe(5)
    expect(warmupSteps({ ...base, warmup: 500 })).toBe(100)
    expect(learningRateAt({ ...base, warmup: 0 }, 1)).toBe(1)
    expect(learningRateAt({ ...base, warmup: 0, totalSteps: 1 }, 1)).toBe(1)
  })

  test('is positive at every step of a run', () => {
    for (const schedule of ['linear', 'cosine', 'constant'] as const) {
      for (let step = 1; step <= 7; step++) {
        expect(learningRateAt({ schedule, learningRate: 1e-3, warmup: 0.3, totalSteps: 7 }, step)).toBeGreaterThan(0)
      }
    }
  })
})
