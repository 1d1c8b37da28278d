import { expect, test } from 'vitest'
import { type Running, score, scoreStep, spikeThreshold, startRunning, startSpikes } from '../../src/train/spikes.js'

/** Numbers that look random, from -1 to 1, the same each time. */
const noise = (at: number) => Math.sin(at * 12.9898) * Math.cos(at * 78.233)

function zScores(values: number[], least = 0.01, start: Running = startRunning): (number | undefined)[] {
  let running = start
  return values.map((value) => {
    const scored = score(running, value, least)
    running = scored.running
    return scored.z
  })
}

const above = (scores: (number | undefined)[]) =>
  scores.flatMap((z, at) => (z !== undefined && z > spikeThreshold ? [at] : []))

test('a value far above those before it is a spike, and it alone', () => {
  const values = Array.from({ length: 200 }, (_, at) => 2 + 0.2 * noise(at))
  values[120] = 4
  expect(above(zScores(values))).toEqual([120])
  expect(zScores(values)[120]).toBeGreaterThan(10)
})

test('the steep fall of a beginning is none, and does not hide a spike soon after it', () => {
  const values = Array.from({ length: 400 }, (_, at) => 2 + 4 * Math.exp(-at / 15) - at / 800 + 0.15 * noise(at))
  const scores = zScores(values)
  expect(scores.slice(0, 20)).toEqual(Array(20).fill(undefined))
  expect(above(scores)).toEqual([])
  values[45]! += 1
  expect(above(zScores(values))).toEqual([45])
})

test('a spike does not hide the next one, and a level that stays becomes usual', () => {
  const values = Array.from({ length: 300 }, (_, at) => 2 + 0.2 * noise(at) + (at >= 200 ? 3 : 0))
  values[100] = 50
  values[103] = 4
  const found = above(zScores(values))
  expect(found.slice(0, 3)).toEqual([100, 103, 200])
  expect(found.at(-1)!).toBeLessThan(260)
})

test('the mean is that of the last values, the deviation that of differences between neighbours', () => {
  // Up and down by one: differences of two, so a variance of two, and a mean of nearly nought.
  const values = Array.from({ length: 400 }, (_, at) => (at % 2 === 0 ? 1 : -1))
  expect(zScores([...values, 5]).at(-1)).toBeCloseTo(5 / Math.sqrt(2), 1)
  const constant = Array.from({ length: 30 }, () => 7)
  expect(zScores([...constant, 7.5], 0.25).at(-1)).toBe(2)
})

test('numbers that are not finite have no score and leave the mean alone', () => {
  const before = { count: 40, mean: 2, variance: 0.04, last: 2.1 }
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY])
    expect(score(before, value, 0.01)).toEqual({ running: before })
  const skipped = scoreStep({ loss: before, logGradNorm: before }, { loss: 2, gradNorm: Number.POSITIVE_INFINITY })
  expect(skipped.scores).toEqual({ lossZ: 0, gradNormZ: undefined, spike: false })
  expect(skipped.state.logGradNorm).toBe(before)
})

test('in a series that hardly moves, 7 % more loss or twice the gradient norm is none', () => {
  let state = { ...startSpikes }
  for (let at = 0; at < 60; at++) state = scoreStep(state, { loss: 1, gradNorm: 0.5 }).state
  expect(scoreStep(state, { loss: 1.07, gradNorm: 1 }).scores.spike).toBe(false)
  expect(scoreStep(state, { loss: 1.5, gradNorm: 0.5 }).scores).toMatchObject({ spike: true, gradNormZ: 0 })
  expect(scoreStep(state, { loss: 1, gradNorm: 5 }).scores).toMatchObject({ spike: true, lossZ: 0 })
})

test('a state that was written and read goes on with the same scores', () => {
  const steps = Array.from({ length: 90 }, (_, at) => ({
    loss: 2 + 0.3 * noise(at),
    gradNorm: 0.5 + 0.2 * noise(at + 7),
  }))
  const scores = (from: number, start = startSpikes) => {
    let state = start
    return {
      scores: steps.slice(from).map((one) => {
        const scored = scoreStep(state, one)
        state = scored.state
        return scored.scores
      }),
      state: () => state,
    }
  }
  let half = startSpikes
  for (const one of steps.slice(0, 45)) half = scoreStep(half, one).state
  expect(scores(45, JSON.parse(JSON.stringify(half))).scores).toEqual(scores(0).scores.slice(45))
})
