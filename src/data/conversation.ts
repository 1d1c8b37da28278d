// Turns of a conversation in the shapes they are stored in, and the first (instruction, response) pair of them.
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

export interface FirstPair {
  instruction: string
  response: string
  /** There are other turns than these two (system texts are no turns). */
  multiTurn: boolean
  system?: string
}

/** The first user turn that is answered at once, and its answer. */
export function firstPair(turns: readonly Turn[]): FirstPair | Fault {
  const spoken = turns.filter((turn) => turn.role !== 'system')
  const at = spoken.findIndex((turn, index) => turn.role === 'user' && spoken[index + 1]?.role === 'assistant')
  if (at < 0) return { reason: 'no reply in the conversation' }
  const system = turns.find((turn) => turn.role === 'system' && turn.text.trim() !== '')?.text
  return {
    instruction: spoken[at]!.text,
    response: spoken[at + 1]!.text,
    multiTurn: spoken.length !== 2,
    ...(system === undefined ? {} : { system }),
  }
}
