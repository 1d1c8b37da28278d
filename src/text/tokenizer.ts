// A tokenizer that keeps users' text and control tokens apart, over Hugging Face's `tokenizers`.
// Control tokens are found in templates by string search here; the library sees plain text only.
import type { Tokenizer as Library } from 'tokenizers'
import type { TokenizerSource } from '../models/types.js'
import { batchEncoder } from './batch.js'
import { tokenizerFault } from './fault.js'
import { encodePieces } from './pieces.js'
import { bytesReader } from './spell.js'
import type { ControlToken, TextPlace, Tokenizer } from './types.js'
import { plainJson, prefixesFirstOnly, readVocabulary, type TokenizerJson, withoutPrefix } from './vocabulary.js'

/**
 * Builds the tokenizer of a model.
 * @throws {BtError} BT_TOKENIZER when its tokenizer.json cannot be used
 */
export async function openTokenizer(source: TokenizerSource): Promise<Tokenizer> {
  const { bosToken, eosToken, eosIds } = source
  const vocabulary = readVocabulary(source.json, { texts: [bosToken, eosToken], ids: eosIds })
  const { texts, control, silent } = vocabulary
  const json = plainJson(vocabulary)
  const prefixing = await openLibrary(json)
  const bare = withoutPrefix(json)
  const atStart = batchEncoder(prefixing)
  const inText = bare ? batchEncoder(await openLibrary(bare)) : atStart
  const afterControl = prefixesFirstOnly(json) ? inText : atStart
  const encoders = { start: atStart, control: afterControl, text: inText }
  const decoder = prefixing.getDecoder()
  const split = controlSplitter([...control.values()])
  const bytesOf = bytesReader(json)

  const encodeText = (text: string, place: TextPlace = 'start') =>
    encoders[place](wellFormed(text), (encoding) => encoding.getIds())
  return {
    encodeText,
    encodeTemplate: (text) => encodePieces(encodeText, split(text)),
    encodeWithPlaces: (text, place = 'start') =>
      encoders[place](wellFormed(text), (encoding) => ({
        ids: encoding.getIds(),
        starts: utf16Starts(text, encoding.getOffsets()),
      })),
    splitControl: split,
    decode(ids, { keepControl = false } = {}) {
      const kept: string[] = []
      for (let i = 0; i < ids.length; i++) {
        const text = keepControl || !silent.has(ids[i]!) ? texts[ids[i]!] : undefined
        if (text !== undefined) kept.push(text)
      }
      return decoder ? decoder.decode(kept) : kept.join('')
    },
    tokenText: (id) => texts[id] ?? '',
    tokenBytes: (id) => bytesOf(texts[id] ?? ''),
    isControl: (id) => control.has(id),
    vocabSize: texts.length,
    eosIds,
  }
}

async function openLibrary(json: TokenizerJson): Promise<Library> {
  // CommonJS: some loaders put its names on the namespace, all put them on `default`.
  const library = (await import('tokenizers')).default
  try {
    return library.Tokenizer.fromString(JSON.stringify(json))
  } catch (error) {
    throw tokenizerFault(error)
  }
}

/** Lone surrogates, which no UTF-8 can hold, become U+FFFD; the length stays. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD')
}

/** The library counts code points. */
function utf16Starts(text: string, offsets: number[][]): number[] {
  const positions: number[] = []
  let position = 0
  for (const character of text) {
    positions.push(position)
    position += character.length
  }
  return offsets.map(([start]) => positions[start!] ?? position)
}

/** Splits a text around control tokens: the leftmost, and of those that start there the longest. */
function controlSplitter(tokens: ControlToken[]): (text: string) => (ControlToken | string)[] {
  if (tokens.length === 0) return (text) => (text ? [text] : [])
  const byText = new Map(tokens.map((token) => [token.text, token]))
  const longestFirst = [...byText.keys()].sort((a, b) => b.length - a.length)
  const pattern = new RegExp(`(${longestFirst.map(escapePattern).join('|')})`)
  // split() with a group answers text and token in turn.
  return (text) =>
    text
      .split(pattern)
      .map((part, i) => (i % 2 === 1 ? byText.get(part)! : part))
      .filter((part) => part !== '')
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
