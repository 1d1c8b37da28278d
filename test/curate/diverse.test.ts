import { expect, test } from 'vitest'
import { directionsOf, farthestPoints, makeProjection, vectorWidth } from '../../src/curate/diverse.js'
import { randomAt } from '../../src/metrics/random.js'

const random = randomAt(3, 'diverse test')
const uniform = (at: number) => random(at) / 2 ** 32 - 0.5

/** Points of a plane, as vectors. */
function plane(points: [number, number][]): Float32Array {
  const data = new Float32Array(points.length * vectorWidth)
  for (const [at, point] of points.entries()) data.set(point, at * vectorWidth)
  return data
}

function picks(directions: Float32Array, count: number, first = 0): number[] {
  const work = farthestPoints(directions, count, first)
  for (let step = work.next(); ; step = work.next()) if (step.done) return step.value
}

test('each pick is the farthest from those before it', () => {
  const points = plane([
    [0, 0],
    [0.1, 0],
    [5, 0],
    [5, 0.2],
    [0, 3],
    [2.4, 1.4],
  ])
  expect(picks(points, 4)).toEqual([0, 3, 4, 5])
  expect(picks(points, 99)).toHaveLength(6)
})

test('a cover: no row is farther from the picks than twice the least possible, here of clusters', () => {
  const clusters = 12
  const data = Float32Array.from({ length: 600 * vectorWidth }, (_, at) => {
    const row = Math.floor(at / vectorWidth)
    return (at % vectorWidth === row % clusters ? 10 : 0) + 0.05 * uniform(at)
  })
  const directions = directionsOf({ data }, [...Array(600).keys()])
  expect(new Set(picks(directions, clusters).map((row) => row % clusters)).size).toBe(clusters)
})

test('projected distances are those of the vectors but for some percent', () => {
  const width = 576
  const project = makeProjection(width)
  const vector = (which: number) => Float32Array.from({ length: width }, (_, at) => uniform(which * width + at))
  const distance = (a: Float32Array, b: Float32Array) => Math.hypot(...a.map((value, at) => value - b[at]!))
  const ratios = Array.from({ length: 40 }, (_, at) => {
    const [a, b] = [vector(2 * at), vector(2 * at + 1)]
    return distance(project(a), project(b)) / distance(a, b)
  })
  expect(ratios.reduce((sum, ratio) => sum + ratio) / 40).toBeCloseTo(1, 1)
  expect(Math.max(...ratios.map((ratio) => Math.abs(ratio - 1)))).toBeLessThan(0.4)
})
