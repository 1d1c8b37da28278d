import { stripVTControlCharacters } from 'node:util'
import stringWidth from 'string-width'
import { expect, test } from 'vitest'
import type { Audit, AuditRow, AuditToken, TokenKind } from '../../src/report/audit.js'
import { auditPage } from '../../src/report/audit-page.js'
import { auditText, rowLines } from '../../src/report/audit-text.js'
import { visible } from '../../src/report/visible.js'

const tokens = (kind: TokenKind, ...texts: string[]): AuditToken[] => texts.map((text, id) => ({ id, text, kind }))
const hostile = `<script>alert('x')</script> & "q"`
const row: AuditRow = {
  set: 'train',
  row: 17,
  id: '0123456789abcdef',
  source: '<b>made\u001b[2J</b>',
  tokens: 9,
  scored: 3,
  cut: 2,
  parts: [
    { id: 1, text: '<|im_start|>', form: 'control', kind: 'context' },
    ...tokens('context', 'user\n', hostile),
    ...tokens('cut', 'lost', ' words'),
    ...tokens('context', '\u0000\u0007\u202e\u200b\ttab'),
    { id: 2, text: 'F0 9F', form: 'bytes', kind: 'scored' },
    { id: 3, text: 'A6 84', form: 'bytes', completes: '🦄', kind: 'scored' },
    { id: 4, text: '<|im_end|>', form: 'control', kind: 'scored' },
  ],
}
const spread = { shortest: 9, median: 9, p95: 9, longest: 9, bins: [{ from: 9, to: 9, rows: 1 }] }
const audit: Audit = {
  model: hostile,
  data: `${hostile}.jsonl`,
  template: { task: 'backward', form: 'chat', ask: 'Ask.', hash: 'abcdef012345', text: 'a\n{context}\n{target}' },
  ends: [{ id: 2, text: '<|im_end|>' }],
  maxTokens: 512,
  turns: 'all',
  train: 1,
  validation: 1,
  targets: 1,
  tokens: 9,
  scoredTokens: 3,
  cutRows: 1,
  cutTokens: 2,
  rowsWithoutTarget: 0,
  leftOutWithoutTarget: 4,
  refusedRows: 0,
  leftOut: [{ reason: hostile, count: 4, examples: [hostile] }],
  lengths: spread,
  targetLengths: { ...spread, bins: [...spread.bins, { from: 10, to: 12, rows: 0 }] },
  longest: [row],
  mostCut: [row],
  overlap: {
    validation: 1,
    rows: { both: 0, target: 1, context: 0, near: 0 },
    nearFrom: 0.85,
    examples: [{ kind: 'target', validation: 'v', train: 't', text: hostile }],
  },
  rows: [row],
}

test('scored, read and cut tokens are told apart without colours, and each token from the next', () => {
  const lines = rowLines(row, { width: 120 })
  expect(lines.join('\n')).toContain('⟦⟨F0 9F⟩│⟨A6 84⟩🦄│<|im_end|>⟧')
  expect(lines.join('\n')).toContain('⟪lost│ words⟫')
  expect(lines[0]).toBe('  <|im_start|>│user↵')
})

test('with colours they are painted, and say the same', () => {
  const painted = rowLines(row, { width: 120, colour: true }).join('\n')
  expect(painted).toContain('\u001b[30;42m⟨F0 9F⟩\u001b[0m\u001b[30;102m⟨A6 84⟩🦄\u001b[0m')
  expect(painted).toContain('\u001b[9;30;41mlost\u001b[0m')
  expect(stripVTControlCharacters(painted)).toBe(rowLines(row, { width: 120 }).join('\n').replaceAll('│', ''))
})

test('lines keep to the width, and no token is lost at their ends', () => {
  const words = Array.from({ length: 400 }, (_, index) => `${index % 7 === 0 ? ' 你好' : ' word'}${index}`)
  const parts = tokens('context', ...words, 'x'.repeat(150))
  const lines = rowLines({ parts }, { width: 50, whole: true })
  expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(50)
  const read = lines.map((line) => line.slice(2)).join('')
  expect(read.replaceAll('│', '')).toBe(words.join('') + 'x'.repeat(150))
})

test('the middle of a long stretch is left out, and counted, unless the whole is asked for', () => {
  const parts = tokens('context', ...Array.from({ length: 300 }, (_, index) => ` ${index}`))
  const short = rowLines({ parts }, { width: 80 }).join('\n')
  expect(short).toContain('… 210 tokens …')
  expect(short).toContain(' 59')
  expect(short).not.toContain(' 60│')
  expect(short).toContain(' 299')
  expect(rowLines({ parts }, { width: 80, whole: true }).join('\n')).toContain(' 60│')
})

test('the whole text shows numbers, tables and rows, and holds nothing that a terminal would obey', () => {
  const text = auditText(audit, { width: 100 })
  expect(text).toMatch(/^scored +3 \(33\.3 %\)$/m)
  expect(text).toMatch(/^rows cut +1 \(100 %\)$/m)
  expect(text).toMatch(/^rows without target +none \(4 left out\)$/m)
  expect(text).toMatch(/^validation rows seen in training +1 {2}\(!\)$/m)
  expect(text).toContain('template backward/chat abcdef012345')
  expect(text).toContain('1 of 1: target the same')
  expect(text).toMatch(/^row 17 · 0123456789abcdef · .* · 9 tokens, 3 scored, 2 cut$/m)
  expect(text).not.toMatch(/(?!\n)\p{Cc}|[\u202a-\u202e]/u)
})

test('the page holds texts as they are, and nothing that runs or is fetched', () => {
  const page = auditPage(audit)
  expect(page).not.toMatch(/<script|<b>made|<img|onerror=/i)
  expect(page).not.toMatch(/\b(?:src|href)="(?!#)|url\(|@import|https?:/)
  expect(page).toContain("default-src 'none'; style-src 'unsafe-inline'")
  expect(page).toContain('&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;')
  expect(page).not.toMatch(/(?!\n)\p{Cc}|[\u202a-\u202e\u200b]/u)
})

test('the page marks each token by its kind, and what it is made of', () => {
  const page = auditPage(audit)
  expect(page).toContain('<span class="cut"><b title="0">lost</b><b title="1"> words</b></span>')
  expect(page).toContain(
    '<b class="control" title="1">&lt;|im_start|&gt;</b><b title="0">user<span class="end">↵</span>\n</b>',
  )
  expect(page).toContain('<b title="0">␀␇⟨U+202E⟩⟨U+200B⟩⇥tab</b>')
  expect(page).toContain('<span class="sign">A6 84</span>🦄')
  expect(page).toContain('<a href="#train-17">17</a>')
  expect(page).toContain('id="train-17"')
})

test('signs that show nothing are made visible', () => {
  expect(visible('a\nb\tc\r')).toBe('a↵\nb⇥c␍')
  expect(visible('\u0000\u001b\u007f\u0085\u00a0\u2028\ufeff')).toBe('␀␛␡⟨U+0085⟩⟨U+00A0⟩⟨U+2028⟩⟨U+FEFF⟩')
  expect(visible('plain – ünïcode 你好 😀')).toBe('plain – ünïcode 你好 😀')
})
