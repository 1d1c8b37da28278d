import { expect, test } from 'vitest'
import { renderRun } from '../../src/report/run-text.js'
import { demoRun, hostileRun } from './demo-run.js'

test('the end of a run tells rows, times and measurements with their intervals', () => {
  const text = renderRun(demoRun(), { width: 120 })
  const line = (start: string) => text.split('\n').find((one) => one.startsWith(start))
  expect(line('augment')).toMatch(/1,000 +988 +6:52 +31 marked by the guard/)
  expect(line('seed')).toMatch(/3,492 +3,142 +2 s +166 rows held out/)
  expect(line('all')).toContain('1:49:03')
  expect(line('M_2 ')).toMatch(/−1\.731 +−1\.815 to −1\.652/)
  expect(line('control ')).toMatch(/3,529 +14:48 +loss 1\.690/)
  expect(text).toMatch(/^control +−1\.742 +−1\.827 to −1\.661/m)
  expect(line('M_2 − M_0')).toMatch(/0\.0130 +0\.0060 to 0\.0200 +better, clear of zero, p < 0\.001/)
  expect(line('M_1 − M_0')).toMatch(/not clear of zero, p 0\.112/)
})

test('where less is better a difference below zero is the better one', () => {
  const text = renderRun({
    stages: [],
    comparisons: [
      {
        ...{ title: 'Perplexity', better: 'low', systems: [{ name: 'a', value: 5 }] },
        differences: [{ name: 'b', baseline: 'a', value: -1, interval: [-2, -0.5] }],
      },
    ],
  })
  expect(text).toContain('better, clear of zero')
})

test('texts of a run cannot move the cursor or colour the terminal', () => {
  const text = renderRun(hostileRun())
  expect(text).not.toMatch(/(?!\n)\p{Cc}|[\u202a-\u202e\u2066-\u2069]/u)
})
