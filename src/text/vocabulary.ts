// What a tokenizer.json says of control tokens, and the same tokenizer with none: the one that encodes users' text.
// Nothing is encoded here.
import { BtError } from '../errors.js'
import type { ControlToken } from './types.js'

interface AddedToken {
  id: number
  content: string
  lstrip?: boolean
  rstrip?: boolean
  special?: boolean
}

/** A normalizer, pre-tokenizer or decoder: a tagged object, possibly a Sequence of others. */
interface Component {
  type: string
  normalizers?: Component[]
  pretokenizers?: Component[]
  decoders?: Component[]
  prepend_scheme?: string
  add_prefix_space?: boolean
  prepend?: string
  pattern?: { String?: string }
  content?: string
  [option: string]: unknown
}

type Merge = string | [string, string]

interface BpeModel {
  type?: string
  vocab: Record<string, number>
  merges: Merge[]
  unk_token?: string | null
  ignore_merges?: boolean
  [option: string]: unknown
}

/** The parts of a tokenizer.json that matter here; the others travel along. */
export interface TokenizerJson {
  added_tokens?: AddedToken[]
  normalizer?: Component | null
  pre_tokenizer?: Component | null
  decoder?: Component | null
  post_processor?: unknown
  truncation?: unknown
  padding?: unknown
  model: BpeModel
  [part: string]: unknown
}

export interface Vocabulary {
  json: TokenizerJson
  /** Text by id; holes are undefined. */
  texts: (string | undefined)[]
  /** By id: what no user's text may become. */
  control: Map<number, ControlToken>
  /** Ids that a decoded text leaves out: the special ones among the control tokens, as transformers does. */
  silent: Set<number>
}

/**
 * Reads a tokenizer.json.
 * @throws {BtError} BT_TOKENIZER when it is not JSON, or its model is not byte-pair encoding (every supported family's is)
 */
export function readVocabulary(json: string, ends: { texts: (string | undefined)[]; ids: number[] }): Vocabulary {
  const parsed = parse(json)
  const texts: (string | undefined)[] = []
  for (const [text, id] of Object.entries(parsed.model.vocab)) texts[id] = text
  for (const token of parsed.added_tokens ?? []) texts[token.id] = token.content

  const control = new Map<number, ControlToken>()
  const silent = new Set<number>()
  for (const { id, content, lstrip = false, rstrip = false, special = false } of parsed.added_tokens ?? []) {
    if (isRunOfSpaces(content, special)) continue
    control.set(id, { id, text: content, lstrip, rstrip })
    if (special) silent.add(id)
  }
  const ending = [...ends.ids, ...ends.texts.map((text) => (text ? texts.indexOf(text) : -1))]
  for (const id of ending) {
    const text = texts[id]
    if (text === undefined) continue
    if (!control.has(id)) control.set(id, { id, text, lstrip: false, rstrip: false })
    silent.add(id)
  }
  return { json: withMetaspace(parsed), texts, control, silent }
}

/**
 * Llama's older tokenizer.json files, and SentencePiece's own way, put a space before every stretch of text with
 * normalizers. transformers 5 replaces them by a Metaspace pre-tokenizer for the first word of the whole text, and none
 * where it begins with a space ("legacy": false, as Llama 2 and TinyLlama have it); so do we, for the same ids.
 */
function withMetaspace(json: TokenizerJson): TokenizerJson {
  const [prepend, replace, ...more] = components(json.normalizer)
  const prepends = prepend?.type === 'Prepend' && prepend.prepend === '▁'
  const replaces = replace?.type === 'Replace' && replace.pattern?.String === ' ' && replace.content === '▁'
  if (!prepends || !replaces || more.length > 0 || json.pre_tokenizer) return json
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false }
  return { ...json, normalizer: null, pre_tokenizer: metaspace }
}

/** A tokenizer.json that transformers reads to the same ids, whatever class it loads it by: see withMetaspace. */
export function standardJson(json: string): string {
  const parsed = parse(json)
  const standard = withMetaspace(parsed)
  return standard === parsed ? json : JSON.stringify(standard)
}

function parse(json: string): TokenizerJson {
  let parsed: TokenizerJson
  try {
    parsed = JSON.parse(json) as TokenizerJson
  } catch (error) {
    throw new BtError('BT_TOKENIZER', `the model's tokenizer.json is not JSON: ${(error as Error).message}`, {
      remedy: "Fetch the model's files again.",
      cause: error,
    })
  }
  const model = parsed?.model as Partial<BpeModel> | null | undefined
  if (typeof model?.vocab !== 'object' || model.vocab === null || !Array.isArray(model.merges)) {
    throw new BtError('BT_TOKENIZER', `tokenizer model "${model?.type ?? 'none'}" is not supported: only BPE is`, {
      remedy: 'Use a model of the Llama, Mistral, Qwen2 or Qwen3 family.',
    })
  }
  const wrong = wrongIn(parsed)
  if (wrong)
    throw new BtError('BT_TOKENIZER', `the model's tokenizer.json ${wrong}`, {
      remedy: "Fetch the model's files again.",
    })
  return parsed
}

/** Ids of a vocabulary; the largest published ones end below 300,000. */
const mostIds = 1 << 24
/** Sequences in one another; tokenizers have one or none. */
const deepest = 20

/** What of the parts that are used here is of another kind than it must be. */
function wrongIn({ model, added_tokens: added, ...json }: TokenizerJson): string | undefined {
  const isId = (id: unknown) => Number.isInteger(id) && (id as number) >= 0 && (id as number) < mostIds
  const text = Object.entries(model.vocab).find(([, id]) => !isId(id))
  if (text) return `gives ${JSON.stringify(text[0])} the id ${JSON.stringify(text[1])}`
  const isToken = (token: unknown) => isObject(token) && isId(token.id) && typeof token.content === 'string'
  if (!(added === undefined || added === null || (Array.isArray(added) && added.every(isToken)))) {
    return 'has added_tokens that are no list of tokens with id and content'
  }
  const isPair = (merge: unknown) => Array.isArray(merge) && merge.length === 2 && merge.every(isString)
  if (!model.merges.every((merge) => isString(merge) || isPair(merge))) return 'has merges that are no pairs of texts'
  const parts = ['normalizer', 'pre_tokenizer', 'decoder']
  const part = parts.find(
    (name) => json[name] !== undefined && json[name] !== null && !isComponent(json[name], deepest),
  )
  return part && `has a ${part} that is not one`
}

function isComponent(value: unknown, depth: number): boolean {
  if (!isObject(value) || typeof value.type !== 'string' || depth === 0) return false
  const lists = [value.normalizers, value.pretokenizers, value.decoders].filter((list) => list !== undefined)
  return lists.every((list) => Array.isArray(list) && list.every((one) => isComponent(one, depth - 1)))
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}

/** Some vocabularies add runs of spaces or line ends as tokens: these are ordinary text. */
function isRunOfSpaces(content: string, special: boolean): boolean {
  return !special && content.trim() === ''
}

/**
 * The tokenizer for users' text: no post-processor, no control token among the added ones, and none in the model's own
 * vocabulary either, where SentencePiece's "</s>" also stands and merges would lead to it.
 */
export function plainJson({ json, control }: Vocabulary): TokenizerJson {
  const { model } = json
  const texts = new Set([...control.values()].map((token) => token.text))
  const vocab = { ...model.vocab }
  // The unknown token must stay in its model; no text but an unknown character leads to it once its merges are gone.
  const unknown = model.ignore_merges ? null : (model.unk_token ?? null)
  for (const text of texts) if (text !== unknown) delete vocab[text]
  return {
    ...json,
    added_tokens: (json.added_tokens ?? []).filter((token) => !control.has(token.id)),
    post_processor: null,
    truncation: null,
    padding: null,
    model: { ...model, vocab, merges: model.merges.filter((merge) => !touches(merge, texts)), unk_token: unknown },
  }
}

/** Whether a merge takes or makes one of these tokens. */
function touches(merge: Merge, texts: Set<string>): boolean {
  const [left, right] = typeof merge === 'string' ? splitMerge(merge) : merge
  return texts.has(left + right) || texts.has(left) || texts.has(right)
}

function splitMerge(merge: string): [string, string] {
  const space = merge.indexOf(' ', 1)
  return [merge.slice(0, space), merge.slice(space + 1)]
}

/** Whether the space before the first word is put at the start of the whole text only, not after control tokens. */
export function prefixesFirstOnly(json: TokenizerJson): boolean {
  return components(json.pre_tokenizer).some((part) => part.type === 'Metaspace' && part.prepend_scheme === 'first')
}

/** The same tokenizer without the space that it puts before a text's first word, or undefined when it puts none. */
export function withoutPrefix(json: TokenizerJson): TokenizerJson | undefined {
  const parts = [...components(json.normalizer), ...components(json.pre_tokenizer)]
  if (!parts.some(addsPrefix)) return undefined
  return { ...json, normalizer: stripPrefix(json.normalizer), pre_tokenizer: stripPrefix(json.pre_tokenizer) }
}

/** A component, or those that a Sequence is made of. */
export function components(part: Component | null | undefined): Component[] {
  if (!part) return []
  return part.type === 'Sequence'
    ? [...(part.normalizers ?? []), ...(part.pretokenizers ?? []), ...(part.decoders ?? [])].flatMap(components)
    : [part]
}

function addsPrefix(part: Component): boolean {
  if (part.type === 'Prepend') return true
  if (part.type === 'Metaspace') return part.prepend_scheme !== 'never' && part.add_prefix_space !== false
  return part.type === 'ByteLevel' && part.add_prefix_space !== false
}

function stripPrefix(part: Component | null | undefined): Component | null {
  if (!part || part.type === 'Prepend') return null
  if (part.type === 'Metaspace') {
    const { add_prefix_space: _, ...rest } = part
    return { ...rest, prepend_scheme: 'never' }
  }
  if (part.type === 'ByteLevel') return { ...part, add_prefix_space: false }
  if (part.type !== 'Sequence') return part
  const kept = (list: Component[] | undefined) => list?.map(stripPrefix).filter((child) => child !== null)
  const { normalizers, pretokenizers, ...rest } = part
  return {
    ...rest,
    ...(normalizers ? { normalizers: kept(normalizers) } : {}),
    ...(pretokenizers ? { pretokenizers: kept(pretokenizers) } : {}),
  }
}
