// Texts and small vocabularies that the text tests make up.
import type { TokenizerSource } from '../../src/models/types.js'

/** A generator of numbers in [0, 1) that is the same everywhere (mulberry32). */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const scraps = [
  '<',
  '|',
  '>',
  '</',
  's',
  'im_',
  'end',
  '|>',
  '<|',
  ' ',
  '\n',
  'Hello',
  'ß',
  '😀',
  '你好',
  '  ',
  '▁',
  'user\n',
  '1',
]

/** Texts spliced from ordinary scraps, whole control tokens and their halves. */
export function randomTexts(count: number, seed: number, control: readonly string[]): string[] {
  const next = random(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!
  const piece = () => {
    const token = pick(control)
    if (next() < 0.3) return token
    if (next() < 0.2) return next() < 0.5 ? token.slice(0, 2) : token.slice(2)
    return pick(scraps)
  }
  return Array.from({ length: count }, () => Array.from({ length: 1 + Math.floor(next() * 12) }, piece).join(''))
}

/** A vocabulary of a few letters whose end token "<e>" (id 0) merges lead to. */
export function tinySource(options: {
  scheme: 'always' | 'first' | 'never'
  ignoreMerges?: boolean
  rstrip?: boolean
}): TokenizerSource {
  const tokens = ['<e>', '▁', 'a', 'b', 'ab', '<', 'e', '>', '<e', 'e>', 'x', '.', '\n', '#', ':']
  const json = {
    version: '1.0',
    added_tokens: [{ id: 0, content: '<e>', special: true, rstrip: options.rstrip ?? false }].map((token) => ({
      single_word: false,
      lstrip: false,
      normalized: false,
      ...token,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: options.scheme, split: false },
    post_processor: null,
    decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: options.scheme, split: false },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: options.ignoreMerges ?? false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [
        ['a', 'b'],
        ['<e', '>'],
        ['<', 'e>'],
      ],
    },
  }
  return { json: JSON.stringify(json), eosToken: '<e>', eosIds: [0], addBos: false }
}
