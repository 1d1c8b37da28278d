// Reports say what the evaluation holds, and only that.
import stringWidth from 'string-width'
import { describe, expect, test } from 'vitest'
import { evaluate } from '../../src/metrics/evaluate.js'
import type { EvaluationRow } from '../../src/metrics/types.js'
import { markdownEvaluation, renderEvaluation } from '../../src/report/evaluation.js'
import { chooseSamples, renderSamples } from '../../src/report/samples.js'

const rows: EvaluationRow[] = Array.from({ length: 40 }, (_, index) => ({
  prediction: index % 2 ? `What is thing ${index}?` : `Name thing ${index} and say what it is`,
  reference: `What is thing ${index}, and who made it?`,
  response: `Thing ${index} is a fine thing that was made in ${1900 + index} by people who knew their work.`,
  source: index < 10 ? 'small' : 'large',
  finish: index % 4 ? 'stop' : 'length',
}))
const evaluation = evaluate(rows, { bootstrap: 200 })

describe('the terminal report', () => {
  const text = renderEvaluation(evaluation, { width: 120 })
  test('shows value, interval and controls of ROUGE-L in one line', () => {
    const { value, interval, controls } = evaluation.metrics.rougeL!
    const line = text.split('\n').find((one) => one.startsWith('ROUGE-L  '))!
    const numbers = [
      value,
      ...interval!,
      controls!.shuffled!.value,
      controls!.constant!.value,
      controls!.firstWords!.value,
    ]
    expect(line.match(/[\d.]+/g)).toEqual(numbers.map((number) => number.toFixed(1)))
  })
  test('shows rates with what they mean, beside those of the true texts', () => {
    expect(text).toMatch(/^missing end +25\.0 % +[\d.]+ – [\d.]+ % +cut off/m)
    expect(text).toMatch(/^words +\S+ +\S+ – \S+ +8\.0 /m)
  })
  test('shows a line a source, most rows first, and the notes', () => {
    expect(text.indexOf('\nlarge ')).toBeGreaterThan(0)
    expect(text.indexOf('\nlarge ')).toBeLessThan(text.indexOf('\nsmall '))
    for (const note of evaluation.notes) expect(text).toContain(note)
  })
  test('has no comparing table where nothing is compared', () => {
    const alone = renderEvaluation(
      evaluate(
        rows.map(({ reference: _, ...row }) => row),
        { bootstrap: 10 },
      ),
    )
    expect(alone).not.toContain('ROUGE-L ')
    expect(alone).toContain('No row has a true text')
  })
})

test('the Markdown report holds all tables, the intervals of the controls and the method', () => {
  const text = markdownEvaluation(evaluation, rows.slice(0, 2), ['pairs.jsonl'])
  const { shuffled } = evaluation.metrics.rougeL!.controls!
  expect(text).toContain(
    `${shuffled!.value.toFixed(1)} (${shuffled!.interval![0].toFixed(1)} – ${shuffled!.interval![1].toFixed(1)})`,
  )
  for (const title of [
    '## Against the true texts',
    '## By themselves',
    '## By source',
    '## Samples',
    '## How it was',
  ]) {
    expect(text).toContain(title)
  }
  expect(text).toContain('200 resamples, seed 0')
  expect(text).toContain('`pairs.jsonl`')
})

describe('samples', () => {
  test('are the same for the same seed, in the order of the rows, those with a true text first choice', () => {
    const some = chooseSamples(rows, 5, 1)
    expect(chooseSamples(rows, 5, 1)).toEqual(some)
    expect(chooseSamples(rows, 5, 2)).not.toEqual(some)
    expect(some).toEqual(rows.filter((row) => some.includes(row)))
    const mixed = [...rows.slice(0, 3), ...rows.slice(3).map(({ reference: _, ...row }) => row)]
    expect(chooseSamples(mixed, 3, 0)).toEqual(mixed.slice(0, 3))
    expect(chooseSamples(rows, 100, 0)).toHaveLength(40)
  })
  test('show what was written beside what is true, with ROUGE-L and a missing end', () => {
    const text = renderSamples([rows[0]!, { prediction: ' ', reference: 'x' }], { width: 100 })
    expect(Math.max(...text.split('\n').map((line) => stringWidth(line)))).toBeLessThanOrEqual(100)
    const flat = text.replace(/\s+/g, ' ')
    expect(flat).toContain('[no end]')
    expect(flat).toContain('(empty)')
    expect(text.split('\n')[0]).toMatch(/^given +written +true +ROUGE-L$/)
    expect(renderSamples([{ prediction: 'alone' }]).split('\n')[0]).toBe('written')
  })
})
