// Bytes to numbered lines, and what makes a line unreadable before anybody looks at its JSON.
import { isUtf8 } from 'node:buffer'

/** One line: its text, or why it has none. Lines that hold white space alone are left out. */
export interface Line {
  /** From 1. */
  number: number
  text: string
  /** Set when the line cannot be read as text; `text` is then empty. */
  fault?: string
}

/** Longest line or array element that is read: 8 MB. The longest honest rows are a hundred times shorter. */
export const maxRecordBytes = 8_000_000

/**
 * Splits bytes at "\n". Memory is bounded by the longest line allowed, not by the longest found.
 * Invalid UTF-8, NUL bytes and lines over maxBytes are reported as a fault of their line.
 */
export async function* readLines(
  bytes: AsyncIterable<Buffer>,
  maxBytes: number = maxRecordBytes,
): AsyncGenerator<Line> {
  let number = 1
  let parts: Buffer[] = []
  let length = 0
  const take = (part: Buffer) => {
    length += part.length
    if (length <= maxBytes) parts.push(part)
    else parts = []
  }
  for await (const chunk of bytes) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      take(chunk.subarray(start, end))
      const line = toLine(number++, parts, length, maxBytes)
      if (line) yield line
      parts = []
      length = 0
      start = end + 1
    }
    take(chunk.subarray(start))
  }
  const last = toLine(number, parts, length, maxBytes)
  if (last) yield last
}

function toLine(number: number, parts: Buffer[], length: number, maxBytes: number): Line | undefined {
  if (length > maxBytes) return { number, text: '', fault: tooLong(length, maxBytes) }
  const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  const fault = textFault(bytes)
  if (fault) return { number, text: '', fault }
  const text = bytes.toString('utf8').trim()
  return text === '' ? undefined : { number, text }
}

/** Words for a record over the limit. */
export function tooLong(length: number, maxBytes: number): string {
  return `has ${(length / 1e6).toFixed(1)} MB, at most ${(maxBytes / 1e6).toFixed(1)} MB were expected`
}

/** Why bytes are not text, or undefined. */
export function textFault(bytes: Buffer): string | undefined {
  if (isUtf8(bytes)) return bytes.includes(0) ? 'holds a NUL byte' : undefined
  const decoded = bytes.toString('utf8')
  const wrong = decoded.indexOf('\ufffd')
  return `is not valid UTF-8 at character ${wrong + 1}, after ${JSON.stringify(decoded.slice(Math.max(0, wrong - 20), wrong))}`
}
