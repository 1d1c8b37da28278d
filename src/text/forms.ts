// The two layouts of a prompt, chat template and plain headings, brought to one shape: fixed pieces, the stretch of text
// that holds the context, and the one that holds the target. Nothing is encoded here.
import { BtError } from '../errors.js'
import type { TokenizerSource } from '../models/types.js'
import type { Chat, ChatMessage } from './chat.js'
import { joinPieces, type Piece, stripBeside } from './pieces.js'
import type { ControlToken, Task, TextPlace, Tokenizer } from './types.js'

/** The text between two control tokens, around a slot for a user's text. */
export interface Stretch {
  before: string
  after: string
  place: TextPlace
}

export interface Form {
  /** Before the context's stretch. */
  head: Piece[]
  context: Stretch
  /** Between the context's stretch and the target. */
  mid: Piece[]
  target: Stretch
  /** Id that ends the target. */
  endToken: number
  /** The whole with {context} and {target} in it, to be read by people. */
  text: string
}

/** Where a user's text goes; rounds count from 0. */
export interface Slot {
  side: 'system' | 'context' | 'target'
  round: number
}

export type Part = Piece | Slot

export function isSlot(part: Part | undefined): part is Slot {
  return typeof part === 'object' && 'side' in part
}

/** How much there is to lay out. */
export interface Extent {
  /** Contexts, each with its target, one after the other. */
  rounds: number
  /** A system text comes before them. */
  system: boolean
}

const onePair: Extent = { rounds: 1, system: false }

/**
 * The chat form: the ask (and below it the system text) as system message, or before the first context where the template
 * takes none. Ask and contents come trimmed, so what the template trims makes no difference here.
 * @throws {BtError} BT_CHAT_TEMPLATE
 */
export function chatParts(ask: string, tokenizer: Tokenizer, chat: Chat, { rounds, system }: Extent): Part[] {
  const told = toldBefore(ask, system)
  const asSystem = told.length > 0 && chat.acceptsSystem
  const fillings: Part[][] = Array.from({ length: rounds }, (_, round): Part[][] => [
    [{ side: 'context', round }],
    [{ side: 'target', round }],
  ]).flat()
  if (asSystem) fillings.unshift(told)
  else if (told.length > 0) fillings[0]!.unshift(...told, '\n\n')
  const roles: ChatMessage['role'][] = Array.from({ length: rounds }, () => ['user', 'assistant'] as const).flat()
  if (asSystem) roles.unshift('system')
  return chat
    .layout(roles, false)
    .flatMap((part) => (typeof part === 'string' ? tokenizer.splitControl(part) : fillings[part.message]!))
}

/** What the model is told before the first context. */
function toldBefore(ask: string, system: boolean): Part[] {
  const asked: Part[] = ask === '' ? [] : [ask]
  if (!system) return asked
  return [...asked, ...(ask === '' ? [] : ['\n\n']), { side: 'system', round: 0 }]
}

type EndSource = Pick<TokenizerSource, 'bosToken' | 'eosToken' | 'addBos'>

/**
 * The plain form, for models without a chat template: each target ends with the end-of-sequence token.
 * @throws {BtError} BT_NO_EOS
 */
export function plainParts(
  { task, ask }: { task: Task; ask: string },
  tokenizer: Tokenizer,
  source: EndSource,
  { rounds, system }: Extent,
): Part[] {
  const [given, wanted] = task === 'backward' ? ['Response', 'Instruction'] : ['Instruction', 'Response']
  const bos = source.addBos && source.bosToken ? tokenizer.splitControl(source.bosToken) : []
  const told = toldBefore(ask, system)
  const parts: Part[] = [...bos, ...told, ...(told.length > 0 ? ['\n\n'] : [])]
  for (let round = 0; round < rounds; round++) {
    if (round > 0) parts.push(endOf(tokenizer, source), '\n\n')
    parts.push(`### ${given}\n`, { side: 'context', round }, `\n\n### ${wanted}\n`, { side: 'target', round })
  }
  return parts
}

/**
 * The form of one pair.
 * @throws {BtError} BT_NO_EOS, and what `parts` throws
 */
export function pairForm(
  parts: (extent: Extent) => Part[],
  tokenizer: Tokenizer,
  source: Pick<TokenizerSource, 'eosToken'>,
): Form {
  return shape(parts(onePair), tokenizer, source)
}

/** Cuts the parts of a layout at the context and the target. */
function shape(parts: Part[], tokenizer: Tokenizer, source: Pick<TokenizerSource, 'eosToken'>): Form {
  const context = parts.findIndex((part) => isSlot(part) && part.side === 'context')
  const target = parts.findIndex((part) => isSlot(part) && part.side === 'target')
  const opening = joinPieces(parts.slice(0, context) as Piece[])
  const between = joinPieces(parts.slice(context + 1, target) as Piece[])
  const closing = joinPieces(parts.slice(target + 1) as Piece[])

  const before = popText(opening)
  // A space before the target is part of its first token: it goes with the target, as in a conversation encoded whole.
  const lead = popText(between)
  const kept = lead.replace(/ +$/, '')
  if (kept) between.push(kept)
  const after = typeof between[0] === 'string' ? (between.shift() as string) : ''
  const end = closing.find((piece): piece is ControlToken => typeof piece === 'object')
  const endToken = (end ?? endOf(tokenizer, source)).id
  const tail = end && typeof closing[0] === 'string' ? closing[0] : ''
  const lastControl = between.at(-1)
  return {
    head: opening,
    context: {
      before: stripBeside(before, opening.at(-1), undefined),
      after: stripBeside(after, undefined, between[0]),
      place: opening.length > 0 ? 'control' : 'start',
    },
    mid: between,
    target: {
      before: stripBeside(lead.slice(kept.length), lastControl, undefined),
      after: stripBeside(tail, undefined, end),
      place: typeof lastControl === 'object' ? 'control' : 'text',
    },
    endToken,
    text: describe(parts.slice(0, target), tail, tokenizer.tokenText(endToken)),
  }
}

/** Takes the text off the end of pieces, if one is there. */
function popText(pieces: Piece[]): string {
  return typeof pieces.at(-1) === 'string' ? (pieces.pop() as string) : ''
}

/**
 * The end-of-sequence token.
 * @throws {BtError} BT_NO_EOS
 */
export function endOf(tokenizer: Tokenizer, { eosToken }: Pick<TokenizerSource, 'eosToken'>): ControlToken {
  const named = eosToken ? tokenizer.splitControl(eosToken)[0] : undefined
  if (typeof named === 'object') return named
  const id = tokenizer.eosIds[0]
  if (id !== undefined) return { id, text: tokenizer.tokenText(id), lstrip: false, rstrip: false }
  throw new BtError('BT_NO_EOS', 'the model has no end-of-sequence token, so it could never learn to stop', {
    remedy: 'Use a model whose tokenizer names one (eos_token in tokenizer_config.json, or the GGUF eos_token_id).',
  })
}

function describe(prompt: Part[], tail: string, end: string): string {
  const shown = prompt.map((part) => (isSlot(part) ? `{${part.side}}` : typeof part === 'object' ? part.text : part))
  return `${shown.join('')}{target}${tail}${end}`
}
