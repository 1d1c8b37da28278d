// Tables fit the terminal by what they show, not by how long their strings are.
import stringWidth from 'string-width'
import { describe, expect, test } from 'vitest'
import { markdownTable, oneLine, printable, renderTable, wrapText } from '../../src/report/table.js'

const columns = [{ title: 'text' }, { title: 'n', align: 'right' as const }]

describe('renderTable', () => {
  test('lines up columns, numbers to the right', () => {
    const table = renderTable(columns, [
      ['one', '1'],
      ['three', '1,000'],
    ])
    expect(table.split('\n')).toEqual(['text       n', '─────  ─────', 'one        1', 'three  1,000'])
  })

  test('counts wide signs and emoji by the columns that they take', () => {
    const rows = ['天气很好', 'e\u0301te\u0301', '👩‍👩‍👧‍👦 ok', 'plain'].map((text) => [text, '7'])
    const lines = renderTable(columns, rows).split('\n')
    expect(new Set(lines.slice(2).map((line) => stringWidth(line))).size).toBe(1)
    expect(lines.every((line) => line.endsWith('7') || line.startsWith('text') || line.startsWith('─'))).toBe(true)
  })

  test.each([40, 61, 100])('wraps long cells so that no line is wider than %d columns, and loses no word', (width) => {
    const words = Array.from({ length: 60 }, (_, index) => `word${index}`)
    const rows = [
      [words.join(' '), '天'.repeat(90), '1.5'],
      ['x'.repeat(150), 'short', '22.5'],
    ]
    const lines = renderTable([{ title: 'given' }, { title: 'true' }, { title: 'score', align: 'right' }], rows, {
      width,
    }).split('\n')
    expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(width)
    const shown = lines.join('\n')
    for (const word of words) expect(shown).toContain(word)
    expect(shown.match(/天/g)).toHaveLength(90)
    expect(shown.match(/x/g)).toHaveLength(150)
    expect(lines).toContain('') // rows of several lines stand apart
  })

  test('leaves a short column whole while a long one can give', () => {
    const table = renderTable([{ title: 'a' }, { title: 'b' }], [['a short one', 'long '.repeat(40)]], { width: 50 })
    expect(table).toContain('a short one')
  })

  test('keeps line breaks and indents in cells', () => {
    expect(
      renderTable([{ title: 't' }], [['def f():\n  return 1']])
        .split('\n')
        .slice(2),
    ).toEqual(['def f():', '  return 1'])
  })

  test('draws titles alone for no rows, and fills missing cells', () => {
    expect(renderTable(columns, [])).toBe('text  n\n────  ─')
    expect(renderTable(columns, [['x']]).split('\n')[2]).toBe('x')
  })

  test('paints titles without moving them', () => {
    const plain = renderTable(columns, [['x', '1']])
    const painted = renderTable(columns, [['x', '1']], { paintTitle: (text) => `\u001b[1m${text}\u001b[0m` })
    expect(painted).toBe(plain.replace(/^.*/, (line) => `\u001b[1m${line}\u001b[0m`))
  })
})

describe('texts of models in a terminal', () => {
  test('cannot move the cursor, change colours or turn the writing direction', () => {
    const shown = printable('a\u001b[31mred\u0007\u0000\u009b2J\u202egnp\tb\r\nc\rd')
    expect(shown).not.toMatch(/(?!\n)\p{Cc}|\u202e/u)
    expect(shown).toContain('␛[31mred')
    expect(shown).toContain('b\nc\nd')
    expect(renderTable([{ title: 't' }], [['\u001b[2J']])).not.toContain('\u001b')
  })

  test('are cut between signs, never inside one', () => {
    expect(oneLine('  a\n b\tc ', 20)).toBe('a b c')
    expect(oneLine('天气很好', 5)).toBe('天气…')
    expect(oneLine('👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦', 5)).toBe('👩‍👩‍👧‍👦👩‍👩‍👧‍👦…')
    expect(stringWidth(oneLine('word '.repeat(50), 33))).toBeLessThanOrEqual(33)
  })

  test('wrap at spaces where they can', () => {
    expect(wrapText('one two three', 8)).toEqual(['one two', 'three'])
    expect(wrapText('onetwothree', 4)).toEqual(['onet', 'woth', 'ree'])
  })
})

test('Markdown tables keep pipes, line breaks and markup out of the way', () => {
  expect(markdownTable(columns, [['a|b\n*c* <i>', '1']])).toBe(
    '| text | n |\n|---|---:|\n| a\\|b<br>\\*c\\* \\<i\\> | 1 |',
  )
})
