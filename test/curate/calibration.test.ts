import { describe, expect, test } from 'vitest'
import { calibrate, fitOf, type PlantedRow } from '../../src/curate/calibration.js'
import { foreignSentences } from '../../src/curate/foreign.js'
import { predictLogistic, trainLogistic } from '../../src/curate/logistic.js'
import { plantPairs } from '../../src/curate/plant.js'
import { separationOf } from '../../src/curate/separation.js'
import { randomAt } from '../../src/metrics/random.js'

const random = randomAt(1, 'test')
/** Roughly normal. */
const noise = (at: number) =>
  Array.from({ length: 6 }, (_, one) => random(6 * at + one) / 2 ** 32).reduce((a, b) => a + b) * 1.4 - 4.2

describe('a separation', () => {
  const cases = (values: number[], good: boolean[]) => ({ values, good, origins: values.map((_, at) => at) })

  test('has the AUC of its definition: pairs that are won, ties half', () => {
    const values = [3, 2, 2, 1, Number.NaN]
    const good = [true, true, false, false, true]
    // 3 beats both, 2 ties one and beats one, NaN loses to both.
    expect(separationOf(cases(values, good), 0).auc).toBeCloseTo((2 + 1.5 + 0) / 6, 12)
  })

  test('is whole where good and bad do not overlap, with the threshold between them', () => {
    const found = separationOf(cases([1, 2, 8, 9], [false, false, true, true]), 0)
    expect(found).toEqual({ auc: 1, interval: [1, 1], precision: 1, recall: 1, threshold: 8 })
  })

  test('has an interval that narrows as cases grow', () => {
    const width = (count: number) => {
      const values = Array.from({ length: count }, (_, at) => noise(at) + (at % 2))
      const { auc, interval } = separationOf(
        cases(
          values,
          values.map((_, at) => at % 2 === 1),
        ),
        0,
      )
      expect(interval[0]).toBeLessThan(auc)
      expect(interval[1]).toBeGreaterThan(auc)
      return interval[1] - interval[0]
    }
    expect(width(400)).toBeLessThan(0.7 * width(100))
  })
})

test('a logistic regression learns what is too high as well as too low', () => {
  const rows = Array.from({ length: 400 }, (_, at) => [3 * noise(at), noise(1000 + at)])
  const good = rows.map(([x]) => Math.abs(x!) < 2)
  const model = trainLogistic(rows, good)
  const p = (row: number[]) => predictLogistic(model, row)
  expect(p([0, 0])).toBeGreaterThan(0.8)
  expect(p([8, 0])).toBeLessThan(0.1)
  expect(p([-8, 0])).toBeLessThan(0.1)
  expect(p([Number.NaN, 0])).toBeGreaterThan(0.5)
})

describe('planted pairs', () => {
  const good = Array.from({ length: 30 }, (_, at) => ({
    id: `${at}`,
    instruction: `Ask ${at}`,
    response: `This is sentence one of ${at}. Here is another, somewhat longer sentence of text. And the end.`,
  }))
  const planted = plantPairs(good, 0)

  test('stand beside the good pair that they are made from, the same each time', () => {
    expect(planted).toHaveLength(120)
    expect(plantPairs(good, 0)).toEqual(planted)
    expect(planted.slice(0, 4).map(({ id, kind }) => [id, kind])).toEqual([
      ['0/good', 'good'],
      ['0/shuffled', 'shuffled'],
      ['0/cut', 'cut'],
      ['0/language', 'language'],
    ])
  })

  test('have the instruction of another, a response without its end, or one in another language', () => {
    for (const { kind, origin, instruction, response } of planted) {
      const from = good[origin]!
      if (kind === 'shuffled') {
        expect(good.map((one) => one.instruction)).toContain(instruction)
        expect(instruction).not.toBe(from.instruction)
        expect(response).toBe(from.response)
      } else expect(instruction).toBe(from.instruction)
      if (kind === 'cut') {
        expect(from.response.startsWith(response)).toBe(true)
        expect(response).toMatch(/[\w,]$/)
        expect(response.length).toBeLessThan(from.response.length)
      }
      if (kind === 'language') {
        const starts = Object.values(foreignSentences)
          .flat()
          .filter((sentence) => response.startsWith(sentence))
        expect(starts).toHaveLength(1)
      }
    }
  })
})

test('fit is out of fold: of scores that say nothing it is worth nothing, of one that does it is worth as much', () => {
  const kinds = ['good', 'shuffled', 'cut', 'language'] as const
  const rows = (strength: number): PlantedRow[] =>
    Array.from({ length: 400 }, (_, at) => {
      const kind = kinds[at % 4]!
      const names = ['quality', 'likelihood', 'ifd', 'ending'] as const
      const scores = Object.fromEntries(names.map((name, which) => [name, noise(at + 5000 * which)]))
      const pmi = noise(at + 30_000) + (kind === 'good' ? strength : 0)
      const length = kind === 'cut' ? 10 : 100
      return { id: `${at}`, instruction: 'i', response: 'r', kind, origin: Math.floor(at / 4), ...scores, pmi, length }
    })
  const of = (strength: number) => calibrate(rows(strength), 'test', 0)
  const auc = (strength: number, name: string) => of(strength).scores.find(({ score }) => score === name)!.all.auc
  expect(Math.abs(auc(0, 'fit') - 0.5)).toBeLessThan(0.1)
  expect(auc(2.5, 'pmi')).toBeGreaterThan(0.9)
  expect(auc(2.5, 'fit')).toBeGreaterThan(auc(2.5, 'pmi') - 0.03)
  const calibration = of(2.5)
  expect(calibration.scores[0]!.all.auc).toBeGreaterThanOrEqual(calibration.scores[1]!.all.auc)
  expect(calibration.fit.features).not.toContain('length')
  expect(fitOf(calibration, { pmi: 3, quality: 0 })).toBeGreaterThan(fitOf(calibration, { pmi: -1, quality: 0 }))
  expect(fitOf(calibration, {})).toBeNaN()
})
