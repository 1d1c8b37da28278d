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

/** Reason under which conversations are counted that hold nothing to learn. */
export const noReply = 'no reply in the conversation'
