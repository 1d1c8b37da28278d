import { expect, test } from 'vitest'
import { type Point, thin } from '../../src/report/thin.js'

test('a long series keeps its ends, its order and every peak', () => {
  const points = Array.from({ length: 20_001 }, (_, at): Point => [at, at === 7777 ? 100 : at === 9000 ? -50 : at % 7])
  const thinned = thin(points, 1000)
  expect(thinned.length).toBeLessThanOrEqual(1000)
  expect(thinned.length).toBeGreaterThan(800)
  expect([thinned[0], thinned.at(-1)]).toEqual([points[0], points.at(-1)])
  expect(thinned).toContainEqual([7777, 100])
  expect(thinned).toContainEqual([9000, -50])
  expect(thinned.every((point, at) => at === 0 || point[0] > thinned[at - 1]![0])).toBe(true)
})

test('a short series stays as it is', () => {
  const points: Point[] = [
    [1, 2],
    [2, 3],
  ]
  expect(thin(points, 2)).toBe(points)
})
