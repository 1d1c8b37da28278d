// tokenizer.json for byte-level BPE vocabularies, with the table of pre-tokenizers by GGUF's `tokenizer.ggml.pre`.
// Tokens are in GPT-2's printable bytes, as both formats store them.
import { BtError } from '../errors.js'

/** A token that is matched in the text before anything else. */
export interface AddedToken {
  id: number
  content: string
  /** Control tokens: left out when decoding. */
  special: boolean
}

interface PreTokenizer {
  normalizer: object | null
  preTokenizer: object
  /** A word that is a token as a whole is taken without merging. */
  ignoreMerges: boolean
  /** Default of add_bos_token. */
  addBos: boolean
}

const byteLevel = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
})

/** Digits one by one, then GPT-2's words (StarCoder, SmolLM). */
const digitsThenGpt2: PreTokenizer = {
  normalizer: null,
  preTokenizer: {
    type: 'Sequence',
    pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)],
  },
  ignoreMerges: false,
  addBos: false,
}

const gpt2: PreTokenizer = { normalizer: null, preTokenizer: byteLevel(true), ignoreMerges: false, addBos: false }

function split(regex: string, rest: Omit<PreTokenizer, 'preTokenizer'>): PreTokenizer {
  const step = { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false }
  return { ...rest, preTokenizer: { type: 'Sequence', pretokenizers: [step, byteLevel(false)] } }
}

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const tail = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

const llama3 = split(String.raw`${contractions}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|${tail}`, {
  normalizer: null,
  ignoreMerges: true,
  addBos: true,
})

const qwen2 = split(String.raw`${contractions}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|${tail}`, {
  normalizer: { type: 'NFC' },
  ignoreMerges: false,
  addBos: false,
})

const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
const tekken = split(
  String.raw`[^\r\n\p{L}\p{N}]?${upper}*${lower}+|[^\r\n\p{L}\p{N}]?${upper}+${lower}*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  { normalizer: null, ignoreMerges: true, addBos: true },
)

/** `tokenizer.ggml.pre` -> how the text is cut into words before merging. */
const preTokenizers: Readonly<Record<string, PreTokenizer>> = {
  default: gpt2,
  'gpt-2': gpt2,
  smollm: digitsThenGpt2,
  starcoder: digitsThenGpt2,
  refact: digitsThenGpt2,
  'llama-bpe': llama3,
  'llama-v3': llama3,
  llama3,
  qwen2,
  tekken,
}

/** Names under which the same way of cutting is written; the first of the table that fits is taken otherwise. */
const preferredNames = ['gpt-2', 'smollm', 'llama-bpe', 'qwen2', 'tekken']

/**
 * The name in `tokenizer.ggml.pre` of a tokenizer.json's own parts, or undefined when none of the table does the same.
 */
export function preTokenizerName(parts: {
  normalizer: unknown
  preTokenizer: unknown
  ignoreMerges: boolean
}): string | undefined {
  const key = (one: typeof parts) =>
    JSON.stringify([essence(one.normalizer), essence(one.preTokenizer), one.ignoreMerges])
  const wanted = key(parts)
  return preferredNames.find((name) => key(preTokenizers[name]!) === wanted)
}

/** A part without what changes no token: offsets, and a Sequence of one. Options in alphabetical order. */
function essence(part: unknown): unknown {
  if (part === undefined || part === null) return null
  if (Array.isArray(part)) return part.map(essence)
  if (typeof part !== 'object') return part
  const { type, pretokenizers, normalizers } = part as {
    type?: string
    pretokenizers?: unknown[]
    normalizers?: unknown[]
  }
  const parts = pretokenizers ?? normalizers
  if (type === 'Sequence' && parts?.length === 1) return essence(parts[0])
  const defaults: Record<string, unknown> = type === 'ByteLevel' ? { use_regex: true } : {}
  const options = Object.entries({ ...defaults, ...part }).filter(([name]) => name !== 'trim_offsets')
  return Object.fromEntries(options.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, essence(value)]))
}

export interface BpeVocabulary {
  /** Text of each id. */
  tokens: readonly string[]
  /** "left right", first merged first. */
  merges: readonly string[]
  added: readonly AddedToken[]
  /** Name of the pre-tokenizer, as in `tokenizer.ggml.pre`. */
  pre: string
}

/**
 * A tokenizer.json, and whether such models start a text with the begin-of-sequence token.
 * @throws {BtError} BT_TOKENIZER_UNKNOWN for a pre-tokenizer that is not in the table
 */
export function bpeTokenizerJson(vocabulary: BpeVocabulary): { json: string; addBos: boolean } {
  const pre = Object.hasOwn(preTokenizers, vocabulary.pre) ? preTokenizers[vocabulary.pre] : undefined
  if (pre === undefined) {
    throw new BtError('BT_TOKENIZER_UNKNOWN', `unknown pre-tokenizer "${vocabulary.pre}" (tokenizer.ggml.pre)`, {
      remedy: `Known are ${Object.keys(preTokenizers).join(', ')}. Use the model's Hugging Face folder instead.`,
    })
  }
  const json = JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: vocabulary.added.map(addedTokenJson),
    normalizer: pre.normalizer,
    pre_tokenizer: pre.preTokenizer,
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoreMerges,
      vocab: vocabularyObject(vocabulary.tokens),
      merges: vocabulary.merges,
    },
  })
  return { json, addBos: pre.addBos }
}

/** An entry of tokenizer.json's `added_tokens`. */
export function addedTokenJson({ id, content, special }: AddedToken): object {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }
}

/** token -> id; a null prototype, so that a token "__proto__" is an entry like any other. */
export function vocabularyObject(tokens: readonly string[]): Record<string, number> {
  const vocabulary: Record<string, number> = Object.create(null)
  tokens.forEach((token, id) => {
    vocabulary[token] ??= id
  })
  return vocabulary
}
