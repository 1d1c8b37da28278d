// Token ids as a person can read them one by one: the bytes that each stands for, and what they spell.
import { components, type TokenizerJson } from './vocabulary.js'

/** One token as it is shown. */
export interface SpelledToken {
  id: number
  /** What it spells; of a control token its name; where it ends or begins inside a character, its bytes: "E4 BD". */
  text: string
  /** What `text` is, where it is not what the token spells. */
  form?: 'control' | 'bytes'
  /** The characters that this token's bytes and those of the tokens before it make up together. */
  completes?: string
}

interface Spelling {
  tokenText(id: number): string
  tokenBytes(id: number): Uint8Array
  isControl(id: number): boolean
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** No character has more; a broken one is given up where another begins. */
const longestCharacter = 4

/** Each token by itself. Where a character is spread over several, the last of them says which. */
export function spellTokens(ids: ArrayLike<number>, spelling: Spelling): SpelledToken[] {
  let pending: number[] = []
  return Array.from(ids, (id): SpelledToken => {
    if (spelling.isControl(id)) {
      pending = []
      return { id, text: spelling.tokenText(id), form: 'control' }
    }
    const bytes = spelling.tokenBytes(id)
    const text = decode(bytes)
    if (text !== undefined) {
      pending = []
      return { id, text }
    }
    if (pending.length > 2 * longestCharacter) pending = []
    pending.push(...bytes)
    const completes = decode(pending)
    if (completes !== undefined) pending = []
    return { id, text: hex(bytes), form: 'bytes', ...(completes === undefined ? {} : { completes }) }
  })
}

function decode(bytes: ArrayLike<number>): string | undefined {
  try {
    return utf8.decode(Uint8Array.from(bytes))
  } catch {
    return undefined // not UTF-8
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(' ')
}

/**
 * How a vocabulary stores bytes: GPT-2's alphabet, in which a character stands for each byte; or SentencePiece's, in
 * which U+2581 is a space and "<0xE4>" a byte.
 */
export function bytesReader(json: TokenizerJson): (stored: string) => Uint8Array {
  const parts = [...components(json.pre_tokenizer), ...components(json.decoder)]
  const encoder = new TextEncoder()
  if (parts.some(({ type }) => type === 'ByteLevel')) {
    const alphabet = byteAlphabet()
    return (stored) => {
      const bytes = Array.from(stored, (character) => alphabet.get(character))
      return bytes.includes(undefined) ? encoder.encode(stored) : Uint8Array.from(bytes as number[])
    }
  }
  return (stored) => {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(stored)?.[1]
    return byte ? Uint8Array.of(Number.parseInt(byte, 16)) : encoder.encode(stored.replaceAll('\u2581', ' '))
  }
}

/** GPT-2's: printable bytes of Latin-1 stand for themselves, the others for the characters from U+0100 on. */
function byteAlphabet(): Map<string, number> {
  const alphabet = new Map<string, number>()
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) {
    const plain = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad)
    alphabet.set(String.fromCodePoint(plain ? byte : next++), byte)
  }
  return alphabet
}
