import { describe, expect, test } from 'vitest'
import { type SelectionTable, select } from '../../src/curate/select.js'

const nan = Number.NaN

function table(more: Partial<SelectionTable> = {}): SelectionTable {
  return {
    rows: 6,
    scores: {
      quality: Float64Array.of(1, 2, 3, 4, 5, nan),
      pmi: Float64Array.of(0.6, 0.5, 0.4, 0.3, 0.2, nan),
      ifd: Float64Array.of(0.9, 0.8, 0.8, 0.95, 1.1, nan),
    },
    faults: new Map(),
    empty: new Set([5]),
    ...more,
  }
}

const kept = (selection: { kept: boolean[] }) => selection.kept.flatMap((one, row) => (one ? [row] : []))

describe('a row is kept', () => {
  test('when every named score is at least its least, and told why or why not', () => {
    const selection = select(table(), { min: { quality: 2.5, pmi: 0.3 } })
    expect(kept(selection)).toEqual([2, 3])
    expect(selection.why).toEqual([
      'quality 1 is below 2.5',
      'quality 2 is below 2.5',
      'quality 3 is at least 2.5; pmi 0.4 is at least 0.3',
      'quality 4 is at least 2.5; pmi 0.3 is at least 0.3',
      'pmi 0.2 is below 0.3',
      'no scores: a text is empty',
    ])
    expect(selection.rejected).toEqual({ 'no scores': 1, 'min quality': 2, 'min pmi': 1 })
  })

  test('when it is among the best share of what the rules before left', () => {
    expect(kept(select(table(), { top: 0.4, by: 'quality' }))).toEqual([3, 4])
    expect(kept(select(table(), { min: { pmi: 0.3 }, top: 0.5, by: 'quality' }))).toEqual([2, 3])
  })

  test('within the budget: ties go to the first, and of difficulty less is better', () => {
    expect(kept(select(table(), { budget: 1, by: 'ifd' }))).toEqual([1])
    expect(kept(select(table(), { budget: 100, by: 'ifd' }))).toEqual([0, 1, 2, 3, 4])
  })

  test('when the expression is true, not where it is NULL', () => {
    const selection = select(table({ expression: Int8Array.of(1, 0, -1, 1, 0, -1) }), { keep: 'quality > 3' })
    expect(kept(selection)).toEqual([0, 3])
    expect(selection.why.slice(1, 3)).toEqual(['not quality > 3', 'not known whether quality > 3'])
  })

  test('in the better half by pmi where no rule is given, and likelier good than bad after calibration', () => {
    expect(kept(select(table(), {}))).toEqual([0, 1, 2])
    const fit = Float64Array.of(0.1, 0.5, 0.9, 0.4, nan, nan)
    expect(kept(select(table({ scores: { ...table().scores, fit } }), {}))).toEqual([1, 2])
  })
})

test('rows that the guard marked are left out unless they are wanted', () => {
  const faulty = table({ faults: new Map([[4, ['copy', 'loop']]]) })
  const selection = select(faulty, { min: { quality: 4 } })
  expect(kept(selection)).toEqual([3])
  expect(selection.why[4]).toBe('guard: copy, loop')
  expect(kept(select(faulty, { min: { quality: 4 }, keepFaulty: true }))).toEqual([3, 4])
})

test('a score that the rows have not is refused with what would give it', () => {
  expect(() => select(table(), { min: { cycle: 10 } })).toThrow(
    expect.objectContaining({ code: 'BT_USAGE', remedy: '--cycle-tokens N gives it.' }),
  )
})
