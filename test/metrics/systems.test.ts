// Several systems on the same rows: matching, and the paired bootstrap against sacrebleu and numpy (fixtures/metrics/paired.py).
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { detailedSteps } from '../../src/metrics/evaluate.js'
import { matchSystems, type System } from '../../src/metrics/match.js'
import { outcomesOf, pairedDifference } from '../../src/metrics/paired.js'
import { evaluateSystems } from '../../src/metrics/systems.js'

interface Fixture {
  references: string[]
  systems: Record<'baseline' | 'close' | 'better', string[]>
  differences: Record<
    'close' | 'better',
    Record<
      'bleu' | 'chrf',
      { score: number; difference: number; interval: [number, number]; p: number; sacrebleu: number }
    >
  >
}
const fixture = JSON.parse(readFileSync(new URL('../fixtures/metrics/paired.json', import.meta.url), 'utf8')) as Fixture

const systems: System[] = Object.entries(fixture.systems).map(([name, texts]) => ({
  name,
  rows: texts.map((prediction, at) => ({ id: `row ${at}`, prediction, reference: fixture.references[at]! })),
}))
const [baseline, close, better] = systems as [System, System, System]

function detailed({ rows }: System) {
  const steps = detailedSteps(rows, { bootstrap: 4000, shuffles: 1 })
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value
}

describe('differences of BLEU and chrF', async () => {
  const { differences } = await evaluateSystems(systems, { bootstrap: 4000, shuffles: 1 })
  const base = detailed(baseline)
  const samples = { close: detailed(close), better: detailed(better) }
  for (const name of ['close', 'better'] as const) {
    for (const metric of ['bleu', 'chrf'] as const) {
      const expected = fixture.differences[name][metric]
      test(`${metric} of ${name} has the difference, interval and p-value of numpy`, () => {
        const found = differences.find(({ system }) => system === name)!.metrics[metric]!
        expect(found.value).toBeCloseTo(expected.difference, 9)
        // 4,000 draws against 20,000 others: three standard errors of a bound and of a share.
        const width = expected.interval[1] - expected.interval[0]
        for (const side of [0, 1]) {
          expect(Math.abs(found.interval![side]! - expected.interval[side]!)).toBeLessThan(0.04 * width)
        }
        expect(Math.abs(found.p! - expected.p)).toBeLessThan(
          3 * Math.sqrt((expected.p * (1 - expected.p)) / 3000) + 5e-4,
        )
      })
      test(`${metric} of ${name}: the same resamples give sacrebleu's own p-value by its rule`, () => {
        const [ours, theirs] = [samples[name].resamples[metric]!, base.resamples[metric]!]
        const sizes = ours.map((one, at) => Math.abs(one - theirs[at]!))
        const mean = sizes.reduce((sum, one) => sum + one, 0) / sizes.length
        const p = sizes.filter((one) => one - mean > Math.abs(expected.difference)).length / sizes.length
        const { sacrebleu } = expected
        expect(Math.abs(p - sacrebleu)).toBeLessThan(3 * Math.sqrt((sacrebleu * (1 - sacrebleu)) / 3000) + 5e-4)
      })
    }
  }
})

test('identical systems differ by exactly nothing, with p = 1, and tie in every row', async () => {
  const twin = { name: 'twin', rows: [...baseline.rows].reverse() }
  const { differences } = await evaluateSystems([baseline, twin], { bootstrap: 200 })
  const { metrics, ...outcomes } = differences[0]!
  expect(outcomes).toEqual({ system: 'twin', baseline: 'baseline', wins: 0, ties: 120, losses: 0 })
  expect(Object.keys(metrics)).toContain('rougeL')
  for (const found of Object.values(metrics)) expect(found).toEqual({ value: 0, interval: [0, 0], p: 1 })
})

test('each system has the numbers, controls too, that it has alone; differences are those of the values', async () => {
  const found = await evaluateSystems(systems, { bootstrap: 100, baseline: 'close' })
  const alone = detailed(better).evaluation.metrics
  const { metrics } = found.systems.find(({ name }) => name === 'better')!
  expect(metrics.rougeL!.value).toBe(alone.rougeL!.value)
  expect(Object.keys(metrics.rougeL!.controls!)).toEqual(['shuffled', 'constant'])
  expect(found.differences.map(({ system, baseline }) => [system, baseline])).toEqual([
    ['baseline', 'close'],
    ['better', 'close'],
  ])
  const base = found.systems.find(({ name }) => name === 'close')!
  expect(found.differences[1]!.metrics.rougeL!.value).toBe(metrics.rougeL!.value - base.metrics.rougeL!.value)
})

test('without resamples there is a difference, and neither interval nor p-value', () => {
  const nothing = new Float64Array(0)
  expect(pairedDifference({ system: 3, baseline: 1 }, nothing, nothing)).toEqual({ value: 2 })
})

test('rows without a value in either system are neither wins nor ties nor losses', () => {
  expect(outcomesOf([1, 2, Number.NaN, 3, 4], [0, 2, 1, 5, Number.NaN])).toEqual({ wins: 1, ties: 1, losses: 1 })
})

describe('matching', () => {
  const row = (id: string | undefined, response: string | undefined, prediction = 'p', reference?: string) => ({
    id,
    response,
    prediction,
    reference,
    place: `${id ?? response}`,
  })
  const names = ({ systems }: ReturnType<typeof matchSystems>) =>
    systems.map(({ rows }) => rows.map((one) => (one as { place?: string }).place))

  test('is by id whatever the order; what another lacks is counted and listed', () => {
    const matched = matchSystems([
      { name: 'a', rows: [row('1', 'x'), row('2', 'y'), row('3', 'z')] },
      { name: 'b', rows: [row('3', 'z'), row('9', 'w'), row('1', 'x')] },
    ])
    expect(names(matched)).toEqual([
      ['1', '3'],
      ['1', '3'],
    ])
    expect(matched.unmatched).toEqual([
      { system: 'a', count: 1, rows: ['2'] },
      { system: 'b', count: 1, rows: ['9'] },
    ])
    expect(matched.matchedBy).toBe('id')
  })
  test('is by the given text where ids differ or name another text', () => {
    const matched = matchSystems([
      { name: 'a', rows: [row('1', 'x'), row('2', 'y')] },
      { name: 'b', rows: [row('2', 'x '), row('7', 'y')] },
    ])
    expect(names(matched)).toEqual([
      ['1', '2'],
      ['2', '7'],
    ])
    expect(matched.matchedBy).toBe('text')
  })
  test('of an id that comes twice pairs the first with the first', () => {
    const matched = matchSystems([
      { name: 'a', rows: [row('1', 'x', 'a1'), row('1', 'x', 'a2'), row('1', 'x', 'a3')] },
      { name: 'b', rows: [row('1', 'x', 'b1'), row('1', 'x', 'b2')] },
    ])
    expect(matched.systems.map(({ rows }) => rows.map(({ prediction }) => prediction))).toEqual([
      ['a1', 'a2'],
      ['b1', 'b2'],
    ])
    expect(matched.unmatched).toMatchObject([{ system: 'a', count: 1 }])
  })
  test('takes the true text from whichever system has it, and refuses two that differ', () => {
    const truth = matchSystems([
      { name: 'a', rows: [row('1', 'x')] },
      { name: 'b', rows: [row('1', undefined, 'p', 'true')] },
    ])
    expect(truth.systems.map(({ rows }) => rows[0])).toMatchObject([
      { reference: 'true', response: 'x' },
      { reference: 'true', response: 'x' },
    ])
    const differing = [
      { name: 'a', rows: [row('1', 'x', 'p', 'true')] },
      { name: 'b', rows: [row('1', 'x', 'p', 'other')] },
    ]
    expect(() => matchSystems(differing)).toThrow(expect.objectContaining({ code: 'BT_REFERENCES' }))
  })
  test('is by order only where there is nothing else, and of as many rows', () => {
    const bare = (count: number) => Array.from({ length: count }, (_, at) => ({ prediction: `${at}` }))
    expect(
      matchSystems([
        { name: 'a', rows: bare(3) },
        { name: 'b', rows: bare(3) },
      ]),
    ).toMatchObject({
      matchedBy: 'order',
      unmatched: [],
    })
    expect(() =>
      matchSystems([
        { name: 'a', rows: bare(3) },
        { name: 'b', rows: bare(2) },
      ]),
    ).toThrow(expect.objectContaining({ code: 'BT_UNMATCHED' }))
  })
})

test('two systems of one name, and a baseline that is none of them, are refused', async () => {
  await expect(evaluateSystems([baseline, baseline])).rejects.toMatchObject({ code: 'BT_USAGE' })
  await expect(evaluateSystems(systems, { baseline: 'none' })).rejects.toMatchObject({
    code: 'BT_USAGE',
    message: expect.stringContaining('baseline, close, better'),
  })
})
