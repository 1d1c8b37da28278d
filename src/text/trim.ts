// White space at the ends of a text, by one rule for us and for whatever a chat template trims.

/** Separators that Python's str.strip() drops and JavaScript's trim() keeps. */
const pythonOnly = new Set(['\u001c', '\u001d', '\u001e', '\u001f', '\u0085'])

function isSpace(character: string): boolean {
  return character.trim() === '' || pythonOnly.has(character)
}

/** `text` without white space at its start: what Python's and JavaScript's rules call so, either of them. */
export function trimStart(text: string): string {
  let start = 0
  while (start < text.length && isSpace(text[start]!)) start++
  return text.slice(start)
}

/** As trimStart, at the end. */
export function trimEnd(text: string): string {
  let end = text.length
  while (end > 0 && isSpace(text[end - 1]!)) end--
  return text.slice(0, end)
}

export function trim(text: string): string {
  return trimStart(trimEnd(text))
}
