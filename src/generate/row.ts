// One finished sequence as a candidate of its row, and a row as it is written.
import type { Finished } from '../../binding.js'
import type { Pair, PromptTemplate, Tokenizer } from '../text/types.js'
import { type Fault, faultsOf, type Given, type Guard } from './guard.js'
import type { ConversationMessage, GeneratedRow, TextRow, WrittenCandidate } from './types.js'

/** A written text with what is known about it. */
export interface Candidate {
  text: string
  finish: GeneratedRow['finish']
  /** Tokens written, without the end token. */
  tokens: Int32Array
  /** Of each of them, and of the end token where one ended it. */
  logProbs: Float32Array
  /** Faults that the guard found. */
  faults: Fault[]
  /** Attempts before it. */
  attempt: number
  /** What it was ranked by; higher is better. */
  score?: number
}

/** What rows are made with. */
export interface RowMaking {
  template: Pick<PromptTemplate, 'task'>
  tokenizer: Pick<Tokenizer, 'decode'>
  guard: Guard
  /** Texts that end an output, and are cut off. */
  stop: readonly string[]
  /** Whether rows get the log-probability of each token. */
  logProbs: boolean
  keepCandidates: boolean
}

/** The text of a sequence, without what its stop text ended, and its faults. */
export function candidateOf(finished: Finished, given: Given, attempt: number, making: RowMaking): Candidate {
  const { tokens, logProbs, reason } = finished
  const decoded = making.tokenizer.decode(tokens)
  const ends = making.stop.map((text) => decoded.indexOf(text)).filter((at) => at >= 0)
  const text = decoded.slice(0, Math.min(decoded.length, ...ends)).trim()
  return { text, finish: reason, tokens, logProbs, faults: faultsOf(text, given, reason, making.guard), attempt }
}

/** Mean log-probability of the tokens, end token included; null for none. */
export function meanLogProb({ logProbs }: Pick<Candidate, 'logProbs'>): number | null {
  if (logProbs.length === 0) return null
  return rounded(logProbs.reduce((total, value) => total + value, 0) / logProbs.length)
}

/** The row of a text whose best candidate is known. */
export function rowOf(
  row: TextRow,
  best: Candidate,
  cut: number,
  making: RowMaking,
  candidates: readonly Candidate[] = [],
): GeneratedRow {
  return {
    ...pairOf(row, best.text, making),
    ...outcomeOf(best, making),
    cut,
    ...originOf(row),
    ...conversationOf(row, best.text, making),
    ...(making.keepCandidates
      ? { candidates: candidates.map((one): WrittenCandidate => ({ text: one.text, ...outcomeOf(one, making) })) }
      : {}),
  }
}

/** The row of a text that holds nothing to read. */
export function emptyRow(row: TextRow, making: RowMaking): GeneratedRow {
  const nothing = { finish: 'empty', tokens: 0, logProb: null, cut: 0 } as const
  return { ...pairOf(row, '', making), ...nothing, ...originOf(row), ...conversationOf(row, '', making) }
}

function originOf({ source, lineage }: TextRow) {
  return { ...(source === undefined ? {} : { source }), ...lineage }
}

/** All that was said, of a row that is the end of a conversation. */
function conversationOf(row: TextRow, text: string, making: RowMaking): { messages?: ConversationMessage[] } {
  if (!row.exchanges) return {}
  const exchanges = [...row.exchanges, pairOf(row, text, making)]
  const told: ConversationMessage[] = row.system === undefined ? [] : [{ role: 'system', content: row.system }]
  return { messages: [...told, ...exchanges.flatMap(messagesOf)] }
}

/** A pair as two messages. */
export function messagesOf({ instruction, response }: Pair): ConversationMessage[] {
  return [
    { role: 'user', content: instruction },
    { role: 'assistant', content: response },
  ]
}

function pairOf(row: TextRow, text: string, { template }: RowMaking) {
  return {
    id: row.id,
    instruction: template.task === 'backward' ? text : row.text,
    response: template.task === 'backward' ? row.text : text,
    ...(row.reference === undefined ? {} : { reference: row.reference }),
  }
}

function outcomeOf(one: Candidate, { logProbs }: RowMaking) {
  return {
    finish: one.finish,
    tokens: one.tokens.length,
    logProb: meanLogProb(one),
    ...(one.score === undefined ? {} : { score: rounded(one.score) }),
    ...(one.attempt > 0 ? { attempt: one.attempt } : {}),
    ...(one.faults.length > 0 ? { guard: one.faults } : {}),
    ...(logProbs ? { logProbs: Array.from(one.logProbs, rounded) } : {}),
  }
}

function rounded(value: number): number {
  return Number(value.toFixed(4))
}
