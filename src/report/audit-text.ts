// An audit for the terminal: numbers, tables and rows token by token. Colours help, marks tell: it reads in a pipe too.
import stringWidth from 'string-width'
import { type Audit, type AuditRow, type AuditToken, type Spread, stretchesOf, type TokenKind } from './audit.js'
import { auditFacts, notableRows, overlapRows, rowText, templateText, turnsText } from './audit-facts.js'
import { countText } from './numbers.js'
import { oneLine, printable, renderTable, type TableColumn, terminalWidth } from './table.js'
import { visible } from './visible.js'

/** How an audit is laid out in a terminal. */
export interface AuditTextOptions {
  /** Columns of the terminal. Default: stdout's, or 100 in a pipe. */
  width?: number
  /** Tokens are painted; without it they stand apart by lines. */
  colour?: boolean
  /** Over titles: a terminal's bold. */
  paintTitle?: (text: string) => string
  /** Every token of every row; otherwise the middle of long stretches is left out. */
  whole?: boolean
}

/** Everything, from the numbers to the rows. */
export function auditText(audit: Audit, options: AuditTextOptions = {}): string {
  const width = options.width ?? terminalWidth()
  const title = options.paintTitle ?? ((text: string) => text)
  const section = (name: string, lines: string[]) => (lines.length === 0 ? [] : ['', title(name), ...lines])
  const prompt = printable(audit.template.text ?? '').split('\n')
  return [
    ...facts(audit),
    ...section(
      `template ${templateText(audit)}`,
      prompt.map((line) => `  ${line}`),
    ),
    ...section('conversations', conversation(audit)),
    ...section('left out', leftOut(audit, options)),
    ...section('tokens a row', histogram(audit.lengths, width)),
    ...section('scored tokens a row', histogram(audit.targetLengths, width)),
    ...section('longest and most cut rows', notable(audit, options)),
    ...section('validation rows seen in training', overlap(audit, options)),
    ...section(`rows   ${legend(options.colour === true)}`, []),
    ...audit.rows.flatMap((row) => ['', title(printable(rowText(row))), ...rowLines(row, { ...options, width })]),
  ].join('\n')
}

function facts(audit: Audit): string[] {
  const lines = auditFacts(audit).map(({ name, value, bad }) => [name, `${value}${bad ? '  (!)' : ''}`] as const)
  const width = Math.max(...lines.map(([name]) => name.length))
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`)
}

/** The layout of two exchanges, which stand for any number. */
function conversation({ template, turns }: Audit): string[] {
  if (!template.conversation) return []
  const lines = printable(template.conversation.text).split('\n')
  return [`  ${turnsText(turns)}, each with all before it as context`, ...lines.map((line) => `  ${line}`)]
}

const right = (title: string): TableColumn => ({ title, align: 'right' })

function leftOut({ leftOut }: Audit, options: AuditTextOptions): string[] {
  if (leftOut.length === 0) return []
  const cells = leftOut.map(({ reason, count, examples }) => [reason, countText(count), examples.join(', ')])
  return [renderTable([{ title: 'reason', wrap: false }, right('rows'), { title: 'first' }], cells, options)]
}

function notable(audit: Audit, options: AuditTextOptions): string[] {
  const columns = [right('row'), { title: 'id', wrap: false }, right('tokens'), right('scored'), right('cut')]
  const cells = notableRows(audit).map(({ row, id, tokens, scored, cut }) => {
    return [String(row), id, countText(tokens), countText(scored), cut > 0 ? countText(cut) : '']
  })
  return [renderTable(columns, cells, options)]
}

function overlap({ overlap }: Audit, options: AuditTextOptions): string[] {
  const kinds = overlapRows(overlap)
  if (kinds.length === 0) return []
  const counts = kinds.map(({ words, rows }) => {
    return `${countText(rows)} of ${countText(overlap.validation)}: ${words}`
  })
  const columns = [
    { title: 'what', wrap: false },
    { title: 'validation row', wrap: false },
    { title: 'training row', wrap: false },
    { title: 'target' },
  ]
  const cells = overlap.examples.map(({ kind, validation, train, text }) => {
    return [kind, validation, train, oneLine(text, 80)]
  })
  return [...counts, '', renderTable(columns, cells, options)]
}

/** A line a bin: "  17 to  48  ██████▌ 312". */
function histogram({ shortest, median, p95, longest, bins }: Spread, width: number): string[] {
  const most = Math.max(...bins.map(({ rows }) => rows))
  const digits = countText(longest).length
  const at = (value: number) => countText(value).padStart(digits)
  const room = Math.max(10, Math.min(50, width - 2 * digits - 20))
  const words = [`shortest ${shortest}`, `median ${median}`, `95 % up to ${p95}`, `longest ${longest}`].join(' · ')
  const lines = bins.map(({ from, to, rows }) => {
    const bar = blocks((rows / most) * room)
    return `  ${at(from)} to ${at(to)}  ${bar}${bar ? ' ' : ''}${countText(rows)}`
  })
  return [`  ${words}`, ...lines]
}

/** A bar of `cells` characters, to an eighth; one that is not nothing is seen. */
function blocks(cells: number): string {
  const eighths = cells > 0 ? Math.max(1, Math.round(cells * 8)) : 0
  return '█'.repeat(eighths >> 3) + ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths & 7]
}

/** Around a stretch, whatever the colours. */
const marks: Record<TokenKind, [open: string, close: string]> = {
  scored: ['⟦', '⟧'],
  context: ['', ''],
  cut: ['⟪', '⟫'],
}
/** By turns, so that one token ends where the next begins. Black on green; as it is and dim; struck out, black on red. */
const colours: Record<TokenKind, [string, string]> = {
  scored: ['30;42', '30;102'],
  context: ['0', '2'],
  cut: ['9;30;41', '9;30;101'],
}

type Paint = (text: string, kind: TokenKind, at: number) => string

function painter(colour: boolean): Paint {
  if (!colour) return (text) => text
  return (text, kind, at) => `\u001b[${colours[kind][at % 2]}m${text}\u001b[0m`
}

function legend(colour: boolean): string {
  const paint = painter(colour)
  const kinds: [TokenKind, string][] = [
    ['scored', 'scored'],
    ['context', 'read, not scored'],
    ['cut', 'cut: no part of the row'],
  ]
  return kinds.map(([kind, words]) => `${marks[kind][0]}${paint(words, kind, 0)}${marks[kind][1]}`).join('  ')
}

/** Tokens of a stretch that are shown, from its beginning and its end, where it is longer than both. */
const shownFirst = 60
const shownLast = 30

/** A row's tokens in lines of at most `width` columns, two spaces before each. */
export function rowLines({ parts }: Pick<AuditRow, 'parts'>, options: AuditTextOptions & { width: number }): string[] {
  const paint = painter(options.colour === true)
  const line = new Lines(Math.max(16, options.width - 2))
  for (const { kind, tokens } of stretchesOf(parts)) {
    const [open, close] = marks[kind]
    line.add(open, (text) => text)
    const long = !options.whole && tokens.length > shownFirst + shownLast + 10
    for (const [at, token] of tokens.entries()) {
      if (long && at === shownFirst) {
        line.add(` … ${countText(tokens.length - shownFirst - shownLast)} tokens … `, (text) => text)
      }
      if (long && at >= shownFirst && at < tokens.length - shownLast) continue
      if (!options.colour && at > 0) line.add('│', (text) => text)
      line.add(tokenText(token), (text) => paint(text, kind, at))
    }
    line.add(close, (text) => text)
  }
  return line.all().map((text) => `  ${text}`)
}

function tokenText({ id, text, form, completes }: AuditToken): string {
  if (form === 'bytes') return `⟨${text}⟩${completes === undefined ? '' : visible(completes)}`
  return text === '' ? `⟨token ${id}⟩` : visible(text)
}

/** Pieces of text laid into lines; a piece that does not fit begins a new one. */
class Lines {
  private readonly done: string[] = []
  private current = ''
  private taken = 0

  constructor(private readonly width: number) {}

  add(text: string, paint: (text: string) => string): void {
    for (const [index, part] of text.split('\n').entries()) {
      if (index > 0) this.break()
      if (part !== '') this.fit(part, paint)
    }
  }

  all(): string[] {
    return this.current === '' ? this.done : [...this.done, this.current]
  }

  private fit(text: string, paint: (text: string) => string): void {
    const columns = stringWidth(text)
    if (this.taken > 0 && this.taken + columns > this.width) this.break()
    if (columns <= this.width) {
      this.current += paint(text)
      this.taken += columns
      return
    }
    const letters = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment)
    const half = Math.ceil(letters.length / 2)
    if (half === letters.length) {
      this.current += paint(text)
      this.taken += columns
    } else for (const part of [letters.slice(0, half), letters.slice(half)]) this.fit(part.join(''), paint)
  }

  private break(): void {
    this.done.push(this.current)
    this.current = ''
    this.taken = 0
  }
}
