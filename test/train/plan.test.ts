import { describe, expect, test } from 'vitest'
import { planRun } from '../../src/train/plan.js'

const rows = Array.from({ length: 10 }, (_, index) => ({
  tokens: Int32Array.from({ length: 4 + index }, () => index),
  targetStart: 2,
}))
const options = { batchSize: 2, gradAccumSteps: 2, seed: 3, epochs: 2 }

/** Row ids of each step. */
function rowsOfSteps(plan: ReturnType<typeof planRun>): number[][] {
  return Array.from({ length: plan.steps }, (_, index) =>
    plan.at(index + 1).microBatches.flatMap((batch) => Array.from(batch.rows)),
  )
}

describe('the plan of a run', () => {
  test('passes over every row once an epoch, in another order each time', () => {
    const plan = planRun(rows, options)
    expect(plan).toMatchObject({ steps: 6, stepsPerEpoch: 3, epochs: 2 })
    const steps = rowsOfSteps(plan)
    const first = steps.slice(0, 3).flat()
    const second = steps.slice(3).flat()
    const sorted = (ids: number[]) => ids.toSorted((a, b) => a - b)
    expect(sorted(first)).toEqual(sorted(second))
    expect(sorted(first)).toEqual(rows.map((_, index) => index))
    expect(first).not.toEqual(second)
  })

  test('gives a step the same rows whichever steps were asked for before', () => {
    const whole = rowsOfSteps(planRun(rows, options))
    const late = planRun(rows, options)
    expect(late.at(5).microBatches.flatMap((batch) => Array.from(batch.rows))).toEqual(whole[4])
    expect(late.at(2).microBatches.flatMap((batch) => Array.from(batch.rows))).toEqual(whole[1])
  })

  test('ends epochs at their last step and the run at maxSteps, with the epoch as a fraction', () => {
    const plan = planRun(rows, { ...options, maxSteps: 5 })
    expect(plan).toMatchObject({ steps: 5, epochs: 2 })
    expect([1, 2, 3, 4, 5].map((step) => plan.at(step).endsEpoch)).toEqual([false, false, true, false, true])
    expect(plan.at(3).epoch).toBe(1)
    expect(plan.at(4).epoch).toBeCloseTo(4 / 3, 12)
    expect(planRun(rows, { ...options, maxSteps: 3 }).epochs).toBe(1)
  })

  test('fills steps by tokens when asked to', () => {
    const plan = planRun(rows, { ...options, tokensPerStep: 30 })
    for (let step = 1; step <= plan.steps; step++) {
      const tokens = plan.at(step).microBatches.reduce((sum, batch) => sum + batch.tokens.length, 0)
      expect(tokens).toBeLessThanOrEqual(30)
    }
    expect(rowsOfSteps(plan).flat()).toHaveLength(20)
  })
})
