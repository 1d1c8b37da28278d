// A tokenizer turned into GGUF's metadata: the way back from gguf-tokenizer.ts, for models that came with a
// tokenizer.json or a tokenizer.model.
import { z } from 'zod'
import { BtError } from '../errors.js'
import { preTokenizerName } from './bpe-json.js'
import { endNames } from './end-tokens.js'
import { entry, type TypedMetadata } from './gguf-metadata.js'
import { parseJson } from './json-file.js'
import { pieceType, scoresFromMerges } from './spm-json.js'
import type { TokenizerSource } from './types.js'

interface Component {
  type: string
  prepend_scheme?: string
  add_prefix_space?: boolean
  [option: string]: unknown
}

type Merge = string | [string, string]

const tokenizerSchema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.number().int(), content: z.string(), special: z.boolean() })).nullish(),
  normalizer: z.unknown(),
  pre_tokenizer: z.unknown(),
  model: z.looseObject({
    // Tens of thousands of entries, of which one may be called "__proto__": not looked through.
    vocab: z.custom<Record<string, number>>((value) => typeof value === 'object' && value !== null),
    merges: z.custom<Merge[]>(Array.isArray),
    unk_token: z.string().nullish(),
    byte_fallback: z.boolean().nullish(),
    ignore_merges: z.boolean().nullish(),
  }),
})

type TokenizerJson = z.output<typeof tokenizerSchema>

/**
 * `tokenizer.ggml.*` and `tokenizer.chat_template`.
 * @param vocabSize rows of the embedding: ids beyond the tokenizer's get a text that nothing is encoded to
 * @throws {BtError} BT_TOKENIZER_UNKNOWN when GGUF has no name for how the tokenizer cuts text, or its merges do not
 * come from scores
 */
export function ggufTokenizer(source: TokenizerSource, vocabSize: number): TypedMetadata {
  const tokenizer = parseJson('tokenizer.json', source.json, tokenizerSchema)
  const { texts, types } = vocabulary(tokenizer, vocabSize)
  const idOf = (text: string | null | undefined) => {
    const id = text === null || text === undefined ? -1 : texts.indexOf(text)
    return id < 0 ? undefined : id
  }
  const eos = source.eosIds[0]
  // Other ends are found by their names; two that have none can be declared.
  const unnamed = source.eosIds.slice(1).filter((id) => !endNames.includes(texts[id] ?? ''))
  const ids = {
    bos: idOf(source.bosToken),
    eos,
    eot: unnamed[0],
    eom: unnamed[1],
    unknown: idOf(tokenizer.model.unk_token),
  }
  if (unnamed.length > 2) throw unknown(`ends its texts with more tokens than GGUF can name (${unnamed.length})`)
  const named = Object.entries(ids).flatMap(([name, id]) =>
    id === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, entry.uint(id)] as const],
  )
  return {
    ...(isSentencePiece(tokenizer) ? pieces(tokenizer, texts, types) : byteLevel(tokenizer)),
    'tokenizer.ggml.tokens': entry.texts(texts),
    'tokenizer.ggml.token_type': entry.ints(types),
    ...Object.fromEntries(named),
    'tokenizer.ggml.add_bos_token': entry.flag(source.addBos),
    ...(source.chatTemplate !== undefined && { 'tokenizer.chat_template': entry.text(source.chatTemplate) }),
  }
}

function vocabulary({ model, added_tokens: added }: TokenizerJson, vocabSize: number) {
  const texts = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`)
  const types: number[] = Array(vocabSize).fill(pieceType.unused)
  const put = (id: number, text: string, type: number) => {
    if (id >= vocabSize) return // such tokens have no row in the embedding, and no text leads to them
    texts[id] = text
    types[id] = type
  }
  const byte = /^<0x[0-9A-F]{2}>$/
  for (const [text, id] of Object.entries(model.vocab)) {
    put(id, text, model.byte_fallback && byte.test(text) ? pieceType.byte : pieceType.normal)
  }
  for (const { id, content, special } of added ?? []) {
    put(id, content, special ? pieceType.control : pieceType.userDefined)
  }
  const unk = model.unk_token == null ? undefined : model.vocab[model.unk_token]
  if (unk !== undefined && model.byte_fallback) put(unk, model.unk_token!, pieceType.unknown)
  return { texts, types }
}

/** Spaces are U+2581 in the vocabulary itself, and unknown characters become bytes. */
function isSentencePiece({ model }: TokenizerJson): boolean {
  return model.byte_fallback === true
}

function byteLevel(tokenizer: TokenizerJson): TypedMetadata {
  const { model } = tokenizer
  const pre = preTokenizerName({
    normalizer: tokenizer.normalizer,
    preTokenizer: tokenizer.pre_tokenizer,
    ignoreMerges: model.ignore_merges ?? false,
  })
  if (pre === undefined) throw unknown('cuts text into words in a way that GGUF has no known name for')
  return {
    'tokenizer.ggml.model': entry.text('gpt2'),
    'tokenizer.ggml.pre': entry.text(pre),
    'tokenizer.ggml.merges': entry.texts(model.merges.map((merge) => pairOf(merge).join(' '))),
  }
}

function pieces(tokenizer: TokenizerJson, texts: string[], types: number[]): TypedMetadata {
  const { model, normalizer, pre_tokenizer: preTokenizer } = tokenizer
  const scores = scoresFromMerges(texts, types, model.merges.map(pairOf))
  if (scores === undefined) throw unknown('merges pieces in an order that no scores give')
  const parts = [...components(normalizer), ...components(preTokenizer)]
  const prefix = parts.some(
    ({ type, prepend_scheme: scheme, add_prefix_space: add }) =>
      type === 'Prepend' || (type === 'Metaspace' && scheme !== 'never' && add !== false),
  )
  return {
    'tokenizer.ggml.model': entry.text('llama'),
    'tokenizer.ggml.pre': entry.text('default'),
    'tokenizer.ggml.scores': entry.floats(scores),
    'tokenizer.ggml.add_space_prefix': entry.flag(prefix),
  }
}

/** Older files write "left right"; a side may be a space itself. */
function pairOf(merge: Merge): [string, string] {
  if (typeof merge !== 'string') return merge
  const space = merge.indexOf(' ', 1)
  return [merge.slice(0, space), merge.slice(space + 1)]
}

const componentSchema = z.looseObject({
  type: z.string(),
  normalizers: z.array(z.unknown()).optional(),
  pretokenizers: z.array(z.unknown()).optional(),
})

function components(value: unknown): Component[] {
  const parsed = componentSchema.safeParse(value)
  if (!parsed.success) return []
  const { type, normalizers, pretokenizers } = parsed.data
  return type === 'Sequence' ? [...(normalizers ?? []), ...(pretokenizers ?? [])].flatMap(components) : [parsed.data]
}

function unknown(what: string): BtError {
  return new BtError('BT_TOKENIZER_UNKNOWN', `the model's tokenizer ${what}`, {
    remedy: 'Export --to safetensors, and convert that folder with llama.cpp.',
  })
}
