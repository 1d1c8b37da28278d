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

const contextSlot = Symbol('context')
const targetSlot = Symbol('target')
type Part = Piece | typeof contextSlot | typeof targetSlot

/**
 * The chat form: the ask as system message, or before the context where the template takes none. Ask and contents come
 * trimmed, so what the template trims makes no difference here.
 * @throws {BtError} BT_CHAT_TEMPLATE, BT_NO_EOS
 */
export function chatForm(
  ask: string,
  tokenizer: Tokenizer,
  source: Pick<TokenizerSource, 'eosToken'>,
  chat: Chat,
): Form {
  const asSystem = ask !== '' && chat.acceptsSystem
  const roles: ChatMessage['role'][] = asSystem ? ['system', 'user', 'assistant'] : ['user', 'assistant']
  const question: Part[] = ask === '' || asSystem ? [contextSlot] : [`${ask}\n\n`, contextSlot]
  const fillings: Part[][] = asSystem ? [[ask], question, [targetSlot]] : [question, [targetSlot]]
  const parts = chat
    .layout(roles, false)
    .flatMap((part) => (typeof part === 'string' ? tokenizer.splitControl(part) : fillings[part.message]!))
  return shape(parts, tokenizer, source)
}

/**
 * The plain form, for models without a chat template.
 * @throws {BtError} BT_NO_EOS
 */
export function plainForm(
  task: Task,
  ask: string,
  tokenizer: Tokenizer,
  source: Pick<TokenizerSource, 'bosToken' | 'eosToken' | 'addBos'>,
): Form {
  const [given, wanted] = task === 'backward' ? ['Response', 'Instruction'] : ['Instruction', 'Response']
  const bos = source.addBos && source.bosToken ? tokenizer.splitControl(source.bosToken) : []
  const opening = ask === '' ? '' : `${ask}\n\n`
  const parts = [...bos, `${opening}### ${given}\n`, contextSlot, `\n\n### ${wanted}\n`, targetSlot] as Part[]
  return shape(parts, tokenizer, source)
}

/** Cuts the parts of a layout at the context and the target. */
function shape(parts: Part[], tokenizer: Tokenizer, source: Pick<TokenizerSource, 'eosToken'>): Form {
  const context = parts.indexOf(contextSlot)
  const target = parts.indexOf(targetSlot)
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
  const endToken = end?.id ?? eosOf(tokenizer, source)
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

function eosOf(tokenizer: Tokenizer, { eosToken }: Pick<TokenizerSource, 'eosToken'>): number {
  const named = eosToken ? tokenizer.splitControl(eosToken)[0] : undefined
  const id = typeof named === 'object' ? named.id : tokenizer.eosIds[0]
  if (id !== undefined) return id
  throw new BtError('BT_NO_EOS', 'the model has no end-of-sequence token, so it could never learn to stop', {
    remedy: 'Use a model whose tokenizer names one (eos_token in tokenizer_config.json, or the GGUF eos_token_id).',
  })
}

function describe(prompt: Part[], tail: string, end: string): string {
  const shown = prompt.map((part) => {
    if (part === contextSlot) return '{context}'
    return typeof part === 'object' ? part.text : String(part)
  })
  return `${shown.join('')}{target}${tail}${end}`
}
