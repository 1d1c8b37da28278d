// A pair as token rows: the response after its instruction, and after none. A response that is too long is read as far as it
// fits; its end is looked at after its last words then.
import type { PackableRow } from '../data/packing.js'
import { hasCode } from '../errors.js'
import type { PromptTemplate, Tokenizer } from '../text/types.js'
import type { CandidatePair } from './types.js'

/** Rows of the forward task. */
export interface ForwardRows {
  /** Prompt and response; with the end token where the response fits. */
  given: PackableRow
  /** The same response after a prompt without an instruction. */
  alone: PackableRow
  /** Of a response that does not fit: prompt, its last tokens and the end token, which alone is scored. */
  end?: PackableRow
  /** Tokens of the response, without the end token. */
  response: Int32Array
  /** Tokens of it that are not in `given`. */
  unread: number
}

/** Longer than any text. */
const noLimit = Number.MAX_SAFE_INTEGER

/** @returns null where a text is empty */
export async function forwardRows(
  template: PromptTemplate,
  blank: Int32Array,
  pair: CandidatePair,
  maxTokens: number,
): Promise<ForwardRows | null> {
  const whole = await orNull(template.encodePair(pair, noLimit))
  if (!whole) return null
  const { tokens, targetStart } = whole
  const target = tokens.subarray(targetStart)
  const response = target.subarray(0, -1)
  const halfPrompt = targetStart > maxTokens / 2
  const prompt = halfPrompt
    ? (await template.encodePrompt(pair.instruction, Math.floor(maxTokens / 2))).tokens
    : tokens.subarray(0, targetStart)
  const room = maxTokens - Math.max(prompt.length, blank.length)
  if (target.length <= room) {
    return { given: joined(prompt, target), alone: joined(blank, response), response, unread: 0 }
  }
  const read = response.subarray(0, room)
  const end = joined(prompt, target.subarray(target.length - room))
  return {
    given: joined(prompt, read),
    alone: joined(blank, read),
    end: { tokens: end.tokens, targetStart: end.tokens.length - 1 },
    response,
    unread: response.length - read.length,
  }
}

/** The backward task's: instruction and end token after the response, and after none. Null where that does not fit. */
export async function backwardRows(
  template: PromptTemplate,
  blank: Int32Array,
  pair: CandidatePair,
  maxTokens: number,
): Promise<{ given: PackableRow; alone: PackableRow } | null> {
  const row = await orNull(template.encodePair(pair, maxTokens))
  return row && { given: row, alone: joined(blank, row.tokens.subarray(row.targetStart)) }
}

function joined(prompt: Int32Array, target: Int32Array): PackableRow {
  const tokens = new Int32Array(prompt.length + target.length)
  tokens.set(prompt)
  tokens.set(target, prompt.length)
  return { tokens, targetStart: prompt.length }
}

/** Null for a text that is empty, or too long for its prompt. */
export async function orNull<T>(encoded: Promise<T>): Promise<T | null> {
  try {
    return await encoded
  } catch (error) {
    if (hasCode(error, 'BT_ROW_EMPTY') || hasCode(error, 'BT_ROW_TOO_LONG')) return null
    throw error
  }
}

/** What stands for text that was left out. */
const ellipsis = ' [...]'

/** The beginning of a text, of at most so many tokens. */
export async function beginningOf(tokenizer: Tokenizer, text: string, tokens: number): Promise<string> {
  // No token is shorter than a byte.
  if (Buffer.byteLength(text) <= tokens) return text
  const { ids, starts } = await tokenizer.encodeWithPlaces(text, 'text')
  return ids.length <= tokens ? text : text.slice(0, starts[tokens]).trimEnd() + ellipsis
}
