// Numbers as a person reads them, and one table as terminal text and as Markdown.
import { basename } from 'node:path'
import { renderTable } from '../dist/report/table.js'

export const rounded = (value, digits = 0) =>
  value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })

/** "412 (398-420)" */
export function withSpread(value, [low, high], digits = 0) {
  return `${rounded(value, digits)} (${rounded(low, digits)}-${rounded(high, digits)})`
}

export const gigabytes = (bytes) => `${rounded(bytes / 1e9, 2)} GB`

export const times = (ratio) => `${rounded(ratio, 2)}x`

/** The command without the folders of this machine. */
export function shortCommand(command) {
  return command
    .split(' ')
    .map((word) => (/^\.{0,2}\//.test(word) ? basename(word) : word))
    .join(' ')
}

/**
 * @param titles of the columns; the first is text, the others numbers
 * @returns { terminal, markdown }
 */
export function table(titles, rows) {
  const columns = titles.map((title, at) => ({ title, align: at === 0 ? 'left' : 'right', wrap: false }))
  const line = (cells) => `| ${cells.join(' | ')} |`
  return {
    terminal: renderTable(columns, rows),
    markdown: [
      line(titles),
      `|${titles.map((_, at) => (at === 0 ? '---|' : '---:|')).join('')}`,
      ...rows.map(line),
    ].join('\n'),
  }
}

/** Paragraphs (texts) and tables one after another. */
export function report(key, parts) {
  const side = (name) => parts.map((part) => (typeof part === 'string' ? part : part[name])).join('\n\n')
  return { key, terminal: side('terminal'), markdown: side('markdown') }
}
