// A plain table for the terminal: columns as wide as what they show, cells wrapped so that the whole fits. No colour is
// needed to read it. What goes into the cells is for others.
import stringWidth from 'string-width'
import wrapAnsi from 'wrap-ansi'

export interface TableColumn {
  title: string
  /** Numbers stand right, text left (default). */
  align?: 'left' | 'right'
  /** Whether cells may be wrapped to make the table fit; titles then are too. Default: left-aligned ones. */
  wrap?: boolean
}

/** A table's titles and what stands below them. */
export interface Table {
  columns: TableColumn[]
  cells: string[][]
}

export interface TableOptions {
  /** Columns of the terminal. Default: stdout's, or 100 in a pipe. */
  width?: number
  /** Painted over the titles, for instance a terminal's bold. */
  paintTitle?: (text: string) => string
}

const gap = '  '
/** Narrowest a wrapped column gets. */
const narrowest = 8

/** Columns that a table may take when nobody says. */
export function terminalWidth(): number {
  return Math.max(40, process.stdout.columns ?? 100)
}

/**
 * Draws a table: titles, a line, the rows. Rows of several lines are set apart by an empty one.
 * @returns lines joined by "\n"; wider than `width` only where what may not be wrapped is
 */
export function renderTable(
  given: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string {
  const columns = given.map((column) => ({ ...column, title: printable(column.title) }))
  const cells = rows.map((row) => columns.map((_, at) => printable(row[at] ?? '')))
  const widths = fitWidths(columns, cells, options.width ?? terminalWidth())
  const draw = (row: readonly string[]) => drawRow(columns, row, widths)
  const paint = options.paintTitle ?? ((text: string) => text)
  const head = draw(columns.map(({ title }) => title))
  const body = cells.map(draw)
  const apart = body.some((lines) => lines.length > 1)
  const rule = widths.map((width) => '─'.repeat(width)).join(gap)
  return [...head.map(paint), rule, ...body.flatMap((lines, at) => (apart && at > 0 ? ['', ...lines] : lines))].join(
    '\n',
  )
}

/** Widths that fit, taken from the widest of the columns that may be wrapped. */
function fitWidths(columns: readonly TableColumn[], cells: readonly string[][], width: number): number[] {
  const longestLine = (text: string) => Math.max(...text.split('\n').map((line) => stringWidth(line)))
  const widths = columns.map(({ title }, at) =>
    Math.max(longestLine(title), ...cells.map((row) => longestLine(row[at]!))),
  )
  const wrappable = columns.flatMap((column, at) => (mayWrap(column) ? [at] : []))
  let excess = widths.reduce((sum, one) => sum + one, gap.length * (columns.length - 1)) - width
  for (; excess > 0; excess--) {
    const widest = wrappable.reduce<number | undefined>(
      (best, at) => (best === undefined || widths[at]! > widths[best]! ? at : best),
      undefined,
    )
    if (widest === undefined || widths[widest]! <= narrowest) break
    widths[widest]!--
  }
  return widths
}

function mayWrap({ wrap, align }: TableColumn): boolean {
  return wrap ?? align !== 'right'
}

function drawRow(columns: readonly TableColumn[], row: readonly string[], widths: readonly number[]): string[] {
  const wrapped = row.map((cell, at) => wrapText(cell, widths[at]!))
  const height = Math.max(1, ...wrapped.map((lines) => lines.length))
  return Array.from({ length: height }, (_, line) =>
    columns
      .map(({ align }, at) => pad(wrapped[at]![line] ?? '', widths[at]!, align ?? 'left'))
      .join(gap)
      .trimEnd(),
  )
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const spaces = ' '.repeat(Math.max(0, width - stringWidth(text)))
  return align === 'right' ? spaces + text : text + spaces
}

/** Lines of at most `width` columns, broken between words where possible. */
export function wrapText(text: string, width: number): string[] {
  return text.split('\n').flatMap((line) => {
    return stringWidth(line) <= width ? [line] : wrapAnsi(line, width, { hard: true }).split('\n')
  })
}

/** Text that cannot move the cursor or change colours: control signs but the line break become visible ones. */
export function printable(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replaceAll('\t', '  ')
    .replace(/(?!\n)\p{Cc}/gu, (sign) => (sign < ' ' ? String.fromCodePoint(0x2400 + sign.codePointAt(0)!) : '\ufffd'))
    .replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd') // these turn the direction of what follows
}

/** As one line of at most `width` columns, with an ellipsis where it was cut. */
export function oneLine(text: string, width: number): string {
  const flat = printable(text).replace(/\s+/g, ' ').trim()
  if (stringWidth(flat) <= width) return flat
  let cut = ''
  let taken = 0
  for (const { segment } of new Intl.Segmenter().segment(flat)) {
    taken += stringWidth(segment)
    if (taken > width - 1) break
    cut += segment
  }
  return `${cut.trimEnd()}…`
}

/** A Markdown table: pipes and line breaks in cells are escaped. */
export function markdownTable(columns: readonly TableColumn[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(markdownCell).join(' | ')} |`
  return [
    line(columns.map(({ title }) => title)),
    `|${columns.map(({ align }) => (align === 'right' ? '---:' : '---')).join('|')}|`,
    ...rows.map((row) => line(columns.map((_, at) => row[at] ?? ''))),
  ].join('\n')
}

/** Markdown and HTML signs in a text show as they are. */
function markdownCell(text: string): string {
  return printable(text)
    .trim()
    .replace(/[\\`*_[\]<>|~#]/g, '\\$&')
    .replace(/\n+/g, '<br>')
}
