// One spelling for equal texts, and the ids made from it.
import { sha256 } from '../files.js'
import type { Conversation } from '../text/types.js'

/**
 * Unicode NFC, "\n" for every line end, no control characters but tab and newline, no white space at the ends of the
 * text. White space inside is kept: it may be code.
 */
export function normaliseText(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/(?![\t\n])\p{Cc}|\ufeff/gu, '')
    .normalize('NFC')
    .trim()
}

/** Sixteen hex digits of a SHA-256 over both texts, normalised and with a NUL byte between them. */
export function rowId(instruction: string, response: string): string {
  return sha256(`${normaliseText(instruction)}\0${normaliseText(response)}`).slice(0, 16)
}

/** The same over all texts of a conversation, which are normalised already. */
export function conversationId({ system = '', exchanges }: Conversation): string {
  const texts = exchanges.flatMap(({ instruction, response }) => [instruction, response])
  return sha256([system, ...texts].join('\0')).slice(0, 16)
}

/** Whether the text holds half of a surrogate pair, which no encoding can carry. */
export function isBroken(text: string): boolean {
  return /\p{Surrogate}/u.test(text)
}

/** Characters as a reader counts them: code points. */
export function characterCount(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}
