// Reads a SentencePiece `tokenizer.model` (a protocol buffer) and turns it into what a tokenizer is made from.
// Field numbers: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
import { BtError } from '../errors.js'
import { type Piece, pieceType, spmTokenizerJson } from './spm-json.js'
import { cachedTokenizer } from './tokenizer-cache.js'
import type { TokenizerSource } from './types.js'

/** A piece may be U+FEFF itself, which is not a byte order mark here. */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** trainer_spec.model_type */
const bpe = 2

/**
 * @throws {BtError} BT_TOKENIZER_UNKNOWN when the file is damaged, is not of the BPE kind or normalises text
 */
export async function tokenizerFromSentencePiece(bytes: Uint8Array): Promise<TokenizerSource> {
  const model = parseModel(bytes)
  const refuse = (what: string) => {
    throw new BtError('BT_TOKENIZER_UNKNOWN', `a SentencePiece model ${what} is not supported`, {
      remedy: 'Put the tokenizer.json that transformers saves for it into the folder.',
    })
  }
  if (model.type !== bpe) refuse(`of type ${model.type} (1 unigram, 3 word, 4 char)`)
  if (model.charsMap > 0) refuse('with a table that rewrites characters')
  if (model.removeExtraSpaces) refuse('that drops repeated spaces')
  const control = (id: number) => (model.pieces[id]?.type === pieceType.control ? model.pieces[id].text : undefined)
  const eosToken = control(model.eosId)
  const bosToken = control(model.bosId)
  return {
    json: await cachedTokenizer(bytes, () => spmTokenizerJson(model.pieces, model.dummyPrefix)),
    bosToken,
    eosToken,
    eosIds: eosToken === undefined ? [] : [model.eosId],
    addBos: bosToken !== undefined,
  }
}

interface SentencePieceModel {
  pieces: Piece[]
  type: number
  bosId: number
  eosId: number
  dummyPrefix: boolean
  removeExtraSpaces: boolean
  /** Bytes of the character table; 0 for none. */
  charsMap: number
}

/** Defaults are those of the .proto. */
function parseModel(bytes: Uint8Array): SentencePieceModel {
  const model: SentencePieceModel = {
    pieces: [],
    type: 1,
    bosId: 1,
    eosId: 2,
    dummyPrefix: true,
    removeExtraSpaces: true,
    charsMap: 0,
  }
  for (const { field, value } of fields(bytes)) {
    if (field === 1) model.pieces.push(parsePiece(nested(value)))
    if (field === 2) parseTrainer(nested(value), model)
    if (field === 3) parseNormalizer(nested(value), model)
  }
  if (model.pieces.length === 0) throw damaged('it has no pieces')
  return model
}

function parsePiece(bytes: Uint8Array): Piece {
  const piece: Piece = { text: '', score: 0, type: pieceType.normal }
  for (const { field, value } of fields(bytes)) {
    if (field === 1) piece.text = utf8.decode(nested(value))
    if (field === 2) piece.score = float(value)
    if (field === 3) piece.type = integer(value)
  }
  return piece
}

function parseTrainer(bytes: Uint8Array, model: SentencePieceModel): void {
  for (const { field, value } of fields(bytes)) {
    if (field === 3) model.type = integer(value)
    if (field === 41) model.bosId = integer(value)
    if (field === 42) model.eosId = integer(value)
  }
}

function parseNormalizer(bytes: Uint8Array, model: SentencePieceModel): void {
  for (const { field, value } of fields(bytes)) {
    if (field === 2) model.charsMap = nested(value).length
    if (field === 3) model.dummyPrefix = integer(value) !== 0
    if (field === 4) model.removeExtraSpaces = integer(value) !== 0
  }
}

/** A varint as a BigInt (signed 64 bits), anything else as its bytes. */
type Value = bigint | Uint8Array

/** Fields of a protocol buffer message, in order. Source: https://protobuf.dev/programming-guides/encoding/ */
function* fields(bytes: Uint8Array): Generator<{ field: number; value: Value }> {
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw damaged('it is cut short')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, value)
    }
    throw damaged('a number is too long')
  }
  const take = (length: number): Uint8Array => {
    if (length < 0 || at + length > bytes.length) throw damaged('it is cut short')
    at += length
    return bytes.subarray(at - length, at)
  }
  while (at < bytes.length) {
    const key = Number(varint())
    const wire = key & 7
    const field = key >>> 3
    if (wire === 0) yield { field, value: varint() }
    else if (wire === 1) yield { field, value: take(8) }
    else if (wire === 2) yield { field, value: take(Number(varint())) }
    else if (wire === 5) yield { field, value: take(4) }
    else throw damaged(`field ${field} has wire type ${wire}`)
  }
}

function integer(value: Value): number {
  if (typeof value !== 'bigint') throw damaged('a number is stored as bytes')
  return Number(value)
}

function float(value: Value): number {
  const { buffer, byteOffset, length } = nested(value)
  if (length !== 4) throw damaged('a score is not of four bytes')
  return new DataView(buffer, byteOffset, 4).getFloat32(0, true)
}

function nested(value: Value): Uint8Array {
  if (typeof value === 'bigint') throw damaged('bytes are stored as a number')
  return value
}

function damaged(why: string): BtError {
  return new BtError('BT_TOKENIZER_UNKNOWN', `not a SentencePiece model: ${why}`)
}
