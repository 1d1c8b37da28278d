// Turns of a conversation in the shapes they are stored in, and the (instruction, response) pairs that they make.
import type { Pair } from '../text/types.js'
import { isObject } from './records.js'

export interface Turn {
  /** 'other' is a tool call or its result. */
  role: 'user' | 'assistant' | 'system' | 'other'
  text: string
}

/** Why a record gives no row; `malformed` ones are listed with what is wrong, others counted by reason. */
export interface Fault {
  reason: string
  why?: string
}

/** What data sets call the speakers. */
const roles: Record<string, Turn['role']> = {
  user: 'user',
  human: 'user',
  prompter: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  bot: 'assistant',
  model: 'assistant',
  ai: 'assistant',
  system: 'system',
  developer: 'system',
}

/** What a list of turns holds: text alone, speakers taking turns (LIMA), or objects. */
export function isTurnList(value: unknown): value is unknown[] {
  if (!Array.isArray(value)) return false
  return value.every((turn) => typeof turn === 'string' || (isObject(turn) && ('from' in turn || 'role' in turn)))
}

/** Turns of a list that isTurnList takes: strings, {from, value} (ShareGPT) or {role, content}. */
export function turnsOf(list: readonly unknown[]): Turn[] | Fault {
  const turns: Turn[] = []
  for (const [index, item] of list.entries()) {
    if (typeof item === 'string') {
      turns.push({ role: index % 2 === 0 ? 'user' : 'assistant', text: item })
      continue
    }
    if (!isObject(item)) return { reason: 'malformed', why: `turn ${index + 1} is neither text nor an object` }
    const role = roles[String(item.role ?? item.from).toLowerCase()] ?? 'other'
    const text = textOf(item.content ?? item.value ?? item.text)
    if (text === undefined && role !== 'other') {
      return { reason: 'malformed', why: `turn ${index + 1} holds no text (its keys: ${Object.keys(item).join(', ')})` }
    }
    turns.push({ role, text: text ?? '' })
  }
  return turns
}

/** Text as such, or the text parts of a multi-part content; undefined when there is anything else in it. */
function textOf(content: unknown): string | undefined {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return undefined
  const parts = content.map((part) => (isObject(part) && typeof part.text === 'string' ? part.text : undefined))
  return parts.includes(undefined) ? undefined : parts.join('')
}

export interface ReadConversation {
  system?: string
  /** At least one: user turns with the replies to them, as long as both take turns. */
  exchanges: Pair[]
  /** There are other turns than the first pair's (system texts are no turns). */
  multiTurn: boolean
  /** Why there are turns after the last exchange that are not read. */
  brokenOff?: string
}

/** Reason under which conversations are counted whose later turns are not read. */
const outOfTurn = 'turns after a tool call, or after two turns of one speaker'

/** From the first user turn that is answered at once, as long as user and assistant take turns. */
export function conversationOf(turns: readonly Turn[]): ReadConversation | Fault {
  const spoken = turns.filter((turn) => turn.role !== 'system')
  const answered = (at: number) => spoken[at]?.role === 'user' && spoken[at + 1]?.role === 'assistant'
  let at = spoken.findIndex((_, index) => answered(index))
  if (at < 0) return { reason: noReply }
  const exchanges: Pair[] = []
  for (; answered(at); at += 2) exchanges.push({ instruction: spoken[at]!.text, response: spoken[at + 1]!.text })
  const system = turns.find((turn) => turn.role === 'system' && turn.text.trim() !== '')?.text
  const unanswered = at === spoken.length - 1 && spoken[at]!.role === 'user'
  return {
    exchanges,
    multiTurn: spoken.length !== 2,
    ...(system === undefined ? {} : { system }),
    ...(at === spoken.length || unanswered ? {} : { brokenOff: outOfTurn }),
  }
}

/** The end of a conversation, one side of whose last exchange is to be written. */
export interface OpenEnd {
  /** The other side of that exchange. */
  given: string
  /** What stands in its place already: true, or to be written anew. */
  reference?: string
  system?: string
  /** Exchanges before it, oldest first. */
  exchanges: Pair[]
}

/**
 * The last exchange of a conversation, of which the other side than `given` is to be written: it may be missing. Before it
 * stand the exchanges that lead up to it without a gap; what is said before such a gap is not read.
 */
export function openEndOf(turns: readonly Turn[], given: 'user' | 'assistant'): OpenEnd | Fault {
  const spoken = turns.filter((turn) => turn.role !== 'system')
  const is = (at: number, role: Turn['role']) => spoken[at]?.role === role
  const last = spoken.findLastIndex((turn) => turn.role === given)
  const after = spoken.length - 1 - last
  // One message more is what answers a user's, or what nobody answered.
  if (last < 0 || after > 1 || (after === 1 && spoken[last + 1]!.role === 'other')) return { reason: noOpenEnd }
  const other = given === 'user' ? last + 1 : last - 1
  const reference = is(other, given === 'user' ? 'assistant' : 'user') ? spoken[other]!.text : undefined
  const said = (at: number, role: Turn['role']) => is(at, role) && spoken[at]!.text.trim() !== ''
  const exchanges: Pair[] = []
  for (
    let at = reference === undefined ? last : Math.min(other, last);
    said(at - 2, 'user') && said(at - 1, 'assistant');
    at -= 2
  ) {
    exchanges.unshift({ instruction: spoken[at - 2]!.text, response: spoken[at - 1]!.text })
  }
  const system = turns.find((turn) => turn.role === 'system' && turn.text.trim() !== '')?.text
  return {
    given: spoken[last]!.text,
    ...(reference === undefined || reference.trim() === '' ? {} : { reference }),
    ...(system === undefined ? {} : { system }),
    exchanges,
  }
}

/** Reason under which conversations are counted whose end nothing can be written for. */
const noOpenEnd = 'no message at the end of the conversation to write for'

/** Reason under which conversations are counted that hold nothing to learn. */
export const noReply = 'no reply in the conversation'
