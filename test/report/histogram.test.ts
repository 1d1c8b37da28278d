import { expect, test } from 'vitest'
import { histogramOf, histogramText, sparkline } from '../../src/report/histogram.js'

test('values are counted in bins of equal width, all and kept, the highest in the last one', () => {
  const histogram = histogramOf([0, 1, 2, 3, 4, Number.NaN], [true, false, true, true, true, true], 4)!
  expect(histogram).toEqual({ edges: [0, 1, 2, 3, 4], all: [1, 1, 1, 2], kept: [1, 0, 1, 2] })
})

test('a wild value stands in the outer bin, and does not flatten the others', () => {
  const values = [...Array.from({ length: 999 }, (_, at) => at / 999), 1e6]
  const { edges, all } = histogramOf(
    values,
    values.map(() => true),
    10,
  )!
  expect(edges.at(-1)).toBeLessThan(1)
  expect(all.reduce((sum, count) => sum + count)).toBe(1000)
  expect(Math.min(...all)).toBeGreaterThan(90)
})

test('equal values, and none at all', () => {
  expect(histogramOf([2, 2], [true, true], 2)!.all).toEqual([2, 0])
  expect(histogramOf([Number.NaN], [true])).toBeUndefined()
})

test('bars are as long as counts, the kept part full', () => {
  const histogram = { edges: [0, 0.5, 1, 1.5], all: [4, 2, 0], kept: [2, 2, 0] }
  expect(histogramText('quality', histogram, 8).split('\n')).toEqual([
    'quality',
    '0.00 ████░░░░ 2 of 4',
    '0.50 ████ 2',
    '1.00 0',
  ])
})

test('a sparkline has a sign for each bin', () => {
  expect(sparkline([0, 1, 4, 8])).toBe(' ▁▄█')
  expect(sparkline([1, 2], 8)).toBe('▁▂')
})
