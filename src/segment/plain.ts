// Plain text to blocks: paragraphs, and the lines that look like headings of what follows.
import type { Block } from './types.js'

/** Longest line that is taken for a heading. */
const longestHeading = 80

/**
 * Paragraphs are parted by blank lines; in a text without blank lines each line is one. A paragraph of one short line
 * that ends in no punctuation, with a longer one after it, is a heading.
 */
export function plainBlocks(content: string): Block[] {
  const paragraphs = paragraphsOf(content)
  return paragraphs.map((paragraph, index) => {
    const next = paragraphs[index + 1]
    if (next && isHeading(paragraph.text) && next.text.length > Math.max(longestHeading, paragraph.text.length)) {
      return { ...paragraph, kind: 'heading', level: 1 }
    }
    return { ...paragraph, kind: 'prose' }
  })
}

function paragraphsOf(content: string): { text: string; from: number; to: number }[] {
  const hasBlankLines = /\S[^\S\n]*\r?\n[^\S\n]*\r?\n\s*\S/.test(content)
  const found: { text: string; from: number; to: number }[] = []
  let start = 0
  const take = (end: number) => {
    const raw = content.slice(start, end)
    const text = raw.trim()
    const from = start + raw.indexOf(text)
    if (text !== '') found.push({ text, from, to: from + text.length })
  }
  for (const { 0: gap, index } of content.matchAll(hasBlankLines ? /\r?\n(?:[^\S\n]*\r?\n)+/g : /\n+/g)) {
    take(index)
    start = index + gap.length
  }
  take(content.length)
  return found
}

function isHeading(text: string): boolean {
  return (
    text.length <= longestHeading && !text.includes('\n') && /\p{L}{2}/u.test(text) && /[\p{L}\p{N})\]?]$/u.test(text)
  )
}
