// A laid out text as pieces: control tokens of the template, and plain text between them. How pieces become ids.
import type { ControlToken, TextPlace } from './types.js'

/** Control token, or plain text whatever it holds. */
export type Piece = ControlToken | string

/** Neighbouring texts made one, and the white space dropped that belongs to a control token beside it. */
export function joinPieces(pieces: Piece[]): Piece[] {
  const joined: Piece[] = []
  for (const piece of pieces) {
    const last = joined.at(-1)
    if (typeof piece === 'string' && typeof last === 'string') joined[joined.length - 1] = last + piece
    else joined.push(piece)
  }
  return joined
    .map((piece, i) => (typeof piece === 'string' ? stripBeside(piece, joined[i - 1], joined[i + 1]) : piece))
    .filter((piece) => piece !== '')
}

/** `text` without the white space that belongs to a control token before or after it. */
export function stripBeside(text: string, before: Piece | undefined, after: Piece | undefined): string {
  const left = typeof before === 'object' && before.rstrip ? text.trimStart() : text
  return typeof after === 'object' && after.lstrip ? left.trimEnd() : left
}

/**
 * Ids of pieces. Each stretch between control tokens is encoded as one text.
 * @param place where the first piece stands
 */
export async function encodePieces(
  encodeText: (text: string, place: TextPlace) => Promise<number[]>,
  pieces: Piece[],
  place: TextPlace = 'start',
): Promise<number[]> {
  const encoded = await Promise.all(
    joinPieces(pieces).map((piece, i) =>
      typeof piece === 'string' ? encodeText(piece, i === 0 ? place : 'control') : [piece.id],
    ),
  )
  return encoded.flat()
}
