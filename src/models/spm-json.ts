// tokenizer.json for SentencePiece BPE vocabularies (Llama 1 and 2, Mistral, TinyLlama), from pieces with scores.
// The merges are derived from the scores, as SentencePiece itself merges. The order of the ids would not do: Llama 2's
// runs of spaces have low ids and the lowest scores. transformers' `generate_merges` does the same when given scores.
import { BtError } from '../errors.js'
import { addedTokenJson, vocabularyObject } from './bpe-json.js'

/** Kinds of pieces; the same numbers in sentencepiece_model.proto and in `tokenizer.ggml.token_type`. */
export const pieceType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const

export interface Piece {
  /** Text with U+2581 for a space. */
  text: string
  score: number
  type: number
}

/** UTF-16 units of a piece: training makes them of 16 characters, and runs of spaces are a little longer. */
const longestPiece = 1000

/**
 * @param dummyPrefix whether a space is put before the text
 * @throws {BtError} BT_TOKENIZER_UNKNOWN for a piece of more than a thousand characters, whose merges would take for ever
 */
export function spmTokenizerJson(pieces: readonly Piece[], dummyPrefix: boolean): string {
  const texts = pieces.map(({ text }) => text)
  const long = texts.findIndex((text) => text.length > longestPiece)
  if (long >= 0) {
    throw new BtError('BT_TOKENIZER_UNKNOWN', `piece ${long} of the vocabulary has ${texts[long]!.length} characters`)
  }
  const added = pieces.flatMap(({ text, type }, id) => {
    const special = type === pieceType.control || type === pieceType.unknown
    return special || type === pieceType.userDefined ? [addedTokenJson({ id, content: text, special })] : []
  })
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
  const strip = { type: 'Strip', content: ' ', start: 1, stop: 0 }
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: {
      type: 'Sequence',
      normalizers: dummyPrefix ? [{ type: 'Prepend', prepend: '▁' }, replace] : [replace],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(dummyPrefix ? [strip] : []),
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: pieces.find(({ type }) => type === pieceType.unknown)?.text ?? null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: pieces.some(({ type }) => type === pieceType.byte),
      ignore_merges: false,
      vocab: vocabularyObject(texts),
      merges: mergesFromScores(pieces),
    },
  })
}

interface Merge {
  left: string
  right: string
  score: number
  /** Code points of each side, and ids: the order among equal scores. */
  lengths: [number, number]
  ids: [number, number]
}

/**
 * Every way to cut a piece into two pieces is a merge; higher scores first, then longer left and right sides.
 * Pieces that are never made by merging (control, bytes) do not take part.
 */
function mergesFromScores(pieces: readonly Piece[]): [string, string][] {
  const mergeable = (type: number) => type === pieceType.normal || type === pieceType.userDefined
  const ids = new Map(pieces.flatMap(({ text, type }, id) => (mergeable(type) ? [[text, id] as const] : [])))
  const merges: Merge[] = []
  for (const { text, score, type } of pieces) {
    if (!mergeable(type)) continue
    const points = [...text]
    const local: Merge[] = []
    let cut = 0
    for (let i = 1; i < points.length; i++) {
      cut += points[i - 1]!.length
      const left = text.slice(0, cut)
      const right = text.slice(cut)
      const leftId = ids.get(left)
      const rightId = ids.get(right)
      if (leftId === undefined || rightId === undefined) continue
      local.push({ left, right, score, lengths: [i, points.length - i], ids: [leftId, rightId] })
    }
    merges.push(...local.sort((a, b) => a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1]))
  }
  merges.sort((a, b) => b.score - a.score || b.lengths[0] - a.lengths[0] || b.lengths[1] - a.lengths[1])
  return merges.map(({ left, right }) => [left, right])
}

/**
 * A score for each piece that gives these merges, in this order: the later a piece is made, the lower. Pieces whose merges
 * stand among each other had one score. Those that no merge makes get 0; their scores decide nothing.
 * @param types pieceType of each text
 * @param merges [left, right], first merged first
 * @returns undefined when the order does not come from scores of pieces
 */
export function scoresFromMerges(
  texts: readonly string[],
  types: readonly number[],
  merges: readonly (readonly [string, string])[],
): number[] | undefined {
  const ids = new Map(texts.map((text, id) => [text, id]))
  const made = merges.map(([left, right]) => ids.get(left + right))
  const last = new Map(made.map((id, at) => [id, at]))
  const scores: number[] = Array(texts.length).fill(0)
  let score = 0
  let end = -1 // of the pieces whose merges have begun
  for (const [at, id] of made.entries()) {
    if (id === undefined) return undefined
    if (at > end) score--
    end = Math.max(end, last.get(id)!)
    scores[id] = score
  }
  const again = mergesFromScores(texts.map((text, id) => ({ text, score: scores[id]!, type: types[id]! })))
  const same =
    again.length === merges.length &&
    again.every(([left, right], i) => left === merges[i]![0] && right === merges[i]![1])
  return same ? scores : undefined
}
