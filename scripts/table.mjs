// Two columns of texts side by side, wrapped to the terminal.

/**
 * @param heads two titles
 * @param rows pairs of texts
 * @param columns width of the terminal; 100 where there is none
 */
export function sideBySide(heads, rows, columns = 100) {
  const width = Math.max(20, Math.floor((Math.min(columns, 160) - 7) / 2))
  const bar = (left, middle, right) => left + '─'.repeat(width + 2) + middle + '─'.repeat(width + 2) + right
  const lines = [bar('┌', '┬', '┐'), ...cells(heads, width)]
  for (const row of rows) lines.push(bar('├', '┼', '┤'), ...cells(row, width))
  lines.push(bar('└', '┴', '┘'))
  return lines.join('\n')
}

/** Longest text of a cell, in lines. */
const mostLines = 5

function cells(texts, width) {
  const [left, right] = texts.map((text) => wrap(text, width))
  const height = Math.max(left.length, right.length)
  return Array.from({ length: height }, (_, line) => `│ ${fill(left[line], width)} │ ${fill(right[line], width)} │`)
}

const fill = (text = '', width) => text + ' '.repeat(Math.max(0, width - text.length))

/** Lines of at most `width` characters, broken at spaces where there are any. */
export function wrap(text, width) {
  const lines = ['']
  for (const word of text.trim().split(/\s+/)) {
    for (let rest = word; rest !== ''; ) {
      const last = lines.at(-1)
      const room = width - last.length - (last ? 1 : 0)
      if (rest.length <= room) {
        lines[lines.length - 1] = last ? `${last} ${rest}` : rest
        break
      }
      if (rest.length <= width) {
        lines.push('')
        continue
      }
      lines[lines.length - 1] = `${last ? `${last} ` : ''}${rest.slice(0, Math.max(0, room))}`
      rest = rest.slice(Math.max(0, room))
      lines.push('')
    }
  }
  if (lines.length <= mostLines) return lines
  return [...lines.slice(0, mostLines - 1), `${lines[mostLines - 1].slice(0, width - 1)}…`]
}
