import stringWidth from 'string-width'
import { expect, test } from 'vitest'
import { lossCurve } from '../../src/report/loss-curve.js'
import type { ReportStep } from '../../src/report/training.js'

function stepsOf(losses: (number | null)[]): ReportStep[] {
  return losses.map((smoothedLoss, index) => ({
    ...{ step: index + 1, epoch: 0, loss: smoothedLoss, smoothedLoss, gradNorm: 1 },
    ...{ learningRate: 1e-3, tokensPerSecond: 100, skipped: false },
  }))
}

test('a falling loss falls from the upper left to the lower right, between its highest and lowest', () => {
  const lines = lossCurve({ steps: stepsOf(Array.from({ length: 1500 }, (_, at) => 4 - at / 500)), validations: [] })
  expect(lines).toHaveLength(9)
  expect(lines[0]).toMatch(/^4\.00 ┤[\u2801-\u28ff]+$/)
  expect(lines[7]).toMatch(/^1\.00 ┤ {50,}[\u2801-\u28ff]+$/)
  expect(lines[8]).toMatch(/^ {6}step 1 +1,500$/)
  expect(lines.map((line) => stringWidth(line)).every((width) => width <= 72)).toBe(true)
})

test('validation losses are marked where they stand', () => {
  const steps = stepsOf([3, 2, 1])
  const validations = [{ step: 3, epoch: 1, validationLoss: 3 }]
  const [top] = lossCurve({ steps, validations }, { width: 40 })
  expect(top!.endsWith('●')).toBe(true)
})

test('a run without numbers to draw has no curve; one of equal losses is a line', () => {
  expect(lossCurve({ steps: stepsOf([1]), validations: [] })).toEqual([])
  expect(lossCurve({ steps: stepsOf([null, null, 2]), validations: [] })).toEqual([])
  expect(lossCurve({ steps: stepsOf([2, 2, null, 2]), validations: [] })[0]).toMatch(/┤[\u2801-\u28ff]{60,}$/)
})
