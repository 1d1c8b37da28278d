// The data formats that are known, one row of a table each: how each is recognised and how a record becomes a pair.
// OASST1 messages are recognised here and put together in oasst.ts.
import { BtError } from '../errors.js'
import { conversationOf, type Fault, isTurnList, type ReadConversation, type Turn, turnsOf } from './conversation.js'
import { isObject, type SourceRecord } from './records.js'

type Value = Record<string, unknown>

/** A pair as the format gives it, not normalised yet. */
export interface Draft {
  instruction: string
  response: string
  multiTurn: boolean
  /** What it is the first pair of. */
  conversation?: Omit<ReadConversation, 'multiTurn'>
  source?: string
  lang?: string
  rank?: number
  extra: Record<string, unknown>
}

export interface Format {
  name: string
  /** What its records look like, for help and messages. */
  shape: string
  recognises(value: Value): boolean
  /** Reads one record; 'messages' and 'trees' are OASST1's, which oasst.ts puts together. */
  read: 'messages' | 'trees' | ((record: SourceRecord) => Draft | Fault)
}

/** Pair columns that data sets use: instruction, response and, where there is one, what the instruction speaks of. */
const pairColumns: [instruction: string, response: string, context?: string][] = [
  ['instruction', 'response', 'context'],
  ['instruction', 'output', 'input'],
  ['prompt', 'completion'],
  ['prompt', 'response'],
  ['question', 'answer'],
  ['question', 'response'],
  ['query', 'response'],
  ['query', 'answer'],
  ['input', 'output'],
  ['inputs', 'targets'],
]

const pairNames: Record<string, string> = {
  'instruction,response': 'instruction/response',
  'instruction,output': 'Alpaca',
}

/** Recognised from top to bottom: what says more stands higher. */
export const formats: Format[] = [
  {
    name: 'OASST1 trees',
    shape: '{message_tree_id, prompt: {text, role, replies: [...]}}',
    recognises: (value) => isObject(value.prompt) && typeof value.prompt.text === 'string' && 'replies' in value.prompt,
    read: 'trees',
  },
  {
    name: 'OASST1 messages',
    shape: '{message_id, parent_id, text, role, ...}',
    recognises: (value) =>
      ['message_id', 'text', 'role'].every((name) => name in value) &&
      ('parent_id' in value || 'message_tree_id' in value),
    read: 'messages',
  },
  conversation('messages', 'messages', '{messages: [{role, content}, ...]}', isObject),
  conversation('LIMA', 'conversations', '{conversations: ["...", "..."]}', (turn) => typeof turn === 'string'),
  conversation('ShareGPT', 'conversations', '{conversations: [{from, value}, ...]}', isObject),
  conversation('ShareGPT', 'conversation', '{conversation: [{role, content}, ...]}', isObject),
  {
    name: 'prompt/completion messages',
    shape: '{prompt: [{role, content}], completion: [{role, content}]}',
    recognises: (value) => isTurnList(value.prompt) && isTurnList(value.completion),
    read: ({ value }) =>
      pairOfTurns(value, ['prompt', 'completion'], turnsOf([...list(value.prompt), ...list(value.completion)])),
  },
  ...pairColumns.map(
    ([instruction, response, context]): Format => ({
      name: pairNames[`${instruction},${response}`] ?? `${instruction}/${response}`,
      shape: `{${instruction}, ${response}${context ? `, ${context}?` : ''}}`,
      recognises: (value) => instruction in value && response in value,
      read: (record) =>
        historyOf(record.value) ?? readPair(record, { instruction, response, ...(context ? { context } : {}) }),
    }),
  ),
]

/** A format whose records hold a list of turns in one column. */
function conversation(name: string, column: string, shape: string, isTurn: (turn: unknown) => boolean): Format {
  return {
    name,
    shape,
    recognises: ({ [column]: turns }) => Array.isArray(turns) && (turns.length === 0 || isTurn(turns[0])),
    read: ({ value, place }) => {
      requireColumns(value, place, [column])
      const turns = value[column]
      if (!Array.isArray(turns)) return { reason: 'malformed', why: `"${column}" holds no list of turns` }
      return pairOfTurns(value, [column], turnsOf(turns))
    },
  }
}

/** An Alpaca record with the turns before it, [[instruction, output], ...], as LLaMA-Factory writes conversations. */
function historyOf(value: Value): Draft | Fault | undefined {
  const { instruction, input, output, history, system } = value
  if (typeof instruction !== 'string' || typeof output !== 'string' || !Array.isArray(history)) return undefined
  if (history.length === 0 || !history.every(Array.isArray)) return undefined
  const context = typeof input === 'string' && input.trim() !== '' ? `\n\n${input}` : ''
  const told = typeof system === 'string' ? [{ role: 'system', content: system }] : []
  const turns = turnsOf([
    ...told,
    ...history.flat().map(asTurn),
    asTurn(`${instruction}${context}`, 0),
    asTurn(output, 1),
  ])
  return pairOfTurns(value, ['instruction', 'input', 'output', 'history'], turns)
}

function asTurn(content: unknown, at: number): Value {
  return { role: at % 2 === 0 ? 'user' : 'assistant', content }
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value]
}

function pairOfTurns(value: Value, used: string[], turns: Turn[] | Fault): Draft | Fault {
  if (!Array.isArray(turns)) return turns
  const found = conversationOf(turns)
  if ('reason' in found) return found
  const { multiTurn, ...conversation } = found
  const { exchanges, system } = conversation
  return { ...exchanges[0]!, multiTurn, conversation, ...origin(value, used, system === undefined ? {} : { system }) }
}

/** Which column holds what. */
export interface PairColumns {
  instruction: string
  response: string
  /** Text that the instruction speaks of; put below it. */
  context?: string
  source?: string
  lang?: string
  rank?: string
}

function readPair({ value, place }: SourceRecord, columns: PairColumns): Draft | Fault {
  requireColumns(value, place, [columns.instruction, columns.response])
  const texts: Record<string, string> = {}
  for (const role of ['instruction', 'response', 'context'] as const) {
    const text = plainText(columns[role] === undefined ? undefined : value[columns[role]])
    if (text === undefined) {
      return {
        reason: 'malformed',
        why: `"${columns[role]}" holds ${kindOf(value[columns[role]!])}, text was expected`,
      }
    }
    texts[role] = text
  }
  const { instruction, response, context } = texts as Record<'instruction' | 'response' | 'context', string>
  const used = [columns.instruction, columns.response, ...(columns.context ? [columns.context] : [])]
  const asked = context.trim() === '' ? instruction : `${instruction.trimEnd()}\n\n${context}`
  return {
    instruction: asked,
    response,
    multiTurn: value.multi_turn === true,
    // What the one that replies was told: a forward row begins with it.
    ...(typeof value.system === 'string' && value.system.trim() !== ''
      ? { conversation: { system: value.system, exchanges: [{ instruction: asked, response }] } }
      : {}),
    ...origin(value, used, {}, columns),
  }
}

/** Text as it is, numbers and truth values as text, nothing as empty text; undefined for anything else. */
function plainText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return ''
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? 'a list' : 'an object'
}

/** Source, language and rank where there are any; every other unused column goes to `extra`. */
function origin(value: Value, used: string[], more: Value, columns: Partial<PairColumns> = {}) {
  const sourceColumn = columns.source ?? 'source'
  const langColumn = columns.lang ?? ('lang' in value ? 'lang' : 'language')
  const source = value[sourceColumn]
  const lang = value[langColumn]
  const rank = rankOf(value[columns.rank ?? 'rank'])
  const skipped = new Set([...used, 'multi_turn', ...(typeof source === 'string' ? [sourceColumn] : [])])
  const rest = Object.entries(value).filter(([name, content]) => !skipped.has(name) && content !== null)
  return {
    ...(typeof source === 'string' && source !== '' ? { source } : {}),
    ...(typeof lang === 'string' && lang !== '' ? { lang } : {}),
    ...(rank === undefined ? {} : { rank }),
    extra: { ...Object.fromEntries(rest), ...more },
  }
}

/** A rank as a number, also when it is stored as text. */
export function rankOf(value: unknown): number | undefined {
  const rank = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof rank === 'number' && Number.isFinite(rank) ? rank : undefined
}

/** @throws {BtError} BT_DATA_COLUMN when a column is not in the record at all */
export function requireColumns(value: Value, place: string, wanted: string[]): void {
  const missing = wanted.filter((name) => !(name in value))
  if (missing.length === 0) return
  const names = missing.map((name) => `"${name}"`).join(' and ')
  throw columnError(place, `${names} ${missing.length > 1 ? 'are' : 'is'} missing`, value)
}

function columnError(place: string, what: string, value: Value): BtError {
  const here = Object.keys(value)
  return new BtError('BT_DATA_COLUMN', `${place}: ${what} (columns here: ${here.join(', ') || 'none'})`, {
    remedy: `Say which columns to take, for instance --columns ${mapping(here)}.\nKnown without it: ${knownFormats()}.`,
  })
}

/** A mapping that fits the columns at hand as far as names tell. */
function mapping(here: string[]): string {
  const find = (names: string[], fallback: string) => names.find((name) => here.includes(name)) ?? fallback
  const instruction = find(['instruction', 'prompt', 'question', 'query', 'input', 'title'], 'NAME')
  const response = find(['response', 'output', 'answer', 'completion', 'text', 'body', 'content'], 'NAME')
  return `instruction=${instruction},response=${response}`
}

function knownFormats(): string {
  return [...new Set(formats.map((format) => format.name))].join(', ')
}

/**
 * The format of a file by its first record, or the one that `columns` describes.
 * @throws {BtError} BT_DATA_COLUMN when no format fits
 */
export function detectFormat(first: SourceRecord, columns?: PairColumns): Format {
  if (columns) {
    return {
      name: `columns ${columns.instruction}, ${columns.response}`,
      shape: `{${columns.instruction}, ${columns.response}}`,
      recognises: () => true,
      read: (record) => readPair(record, columns),
    }
  }
  const found = formats.find((format) => format.recognises(first.value))
  if (found) return found
  throw columnError(first.place, 'no known pair of columns', first.value)
}

const mappable = ['instruction', 'response', 'context', 'source', 'lang', 'rank'] as const

/**
 * Reads "instruction=a,response=b"; context, source, lang and rank may be named as well.
 * @throws {BtError} BT_USAGE
 */
export function parseColumns(text: string): PairColumns {
  const columns: Record<string, string> = {}
  for (const part of text.split(',')) {
    const [role, name, ...rest] = part.split('=').map((word) => word.trim())
    if (!role || !name || rest.length > 0 || !(mappable as readonly string[]).includes(role)) {
      throw new BtError('BT_USAGE', `--columns: "${part.trim()}" does not say which column holds what`, {
        remedy: `Write --columns instruction=NAME,response=NAME. Also: ${mappable.slice(2).join(', ')}.`,
      })
    }
    columns[role] = name
  }
  if (!columns.instruction || !columns.response) {
    throw new BtError('BT_USAGE', '--columns needs both an instruction and a response', {
      remedy: 'Write --columns instruction=NAME,response=NAME.',
    })
  }
  return columns as unknown as PairColumns
}
