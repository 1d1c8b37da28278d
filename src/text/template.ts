// The prompt of a task: built once from a model's chat template or from headings, then used by training, generation,
// scoring and evaluation alike. Rows are packed elsewhere.
import { BtError } from '../errors.js'
import { sha256 } from '../files.js'
import type { TokenizerSource } from '../models/types.js'
import { openChat } from './chat.js'
import { fitContext, leastContext } from './fit.js'
import { chatParts, type Extent, endOf, isSlot, type Part, pairForm, plainParts, type Stretch } from './forms.js'
import { encodePieces } from './pieces.js'
import { encodeRounds, encodeRoundsPrompt, type Rounds, type RoundsTemplate } from './rounds.js'
import { trim } from './trim.js'
import type {
  Before,
  Conversation,
  Dropped,
  EncodedConversation,
  EncodedPrompt,
  Pair,
  PromptTemplate,
  Task,
  TemplateDescription,
  Tokenizer,
} from './types.js'
import { textOf, type Unit, unitsOf } from './units.js'

interface TracedPrompt extends EncodedPrompt {
  dropped: Dropped[]
}

/** What a template needs of a model's tokenizer source. */
export type TemplateSource = Pick<TokenizerSource, 'chatTemplate' | 'bosToken' | 'eosToken' | 'addBos'>

/** How the prompt asks for the target. */
export interface TemplateOptions {
  /** The words that ask for the target; '' for none. */
  ask?: string
  /** Default: 'chat' where the model has a chat template. */
  form?: 'chat' | 'plain'
}

export const defaultAsk: Record<Task, string> = {
  backward: "You are given a reply. Write the user's message that it answers.",
  forward: '',
}

/** A prompt must be the same tomorrow: the day that templates print, and Llama 3's own fallback. */
const fixedDay = new Date('2024-07-26T00:00:00Z')

/**
 * The prompt template of a task for a model.
 * @throws {BtError} BT_CHAT_TEMPLATE when a chat form is wanted and the model's template cannot give it, BT_NO_EOS when the
 * model has no token to end a text with
 */
export async function makeTemplate(
  task: Task,
  tokenizer: Tokenizer,
  source: TemplateSource,
  options: TemplateOptions = {},
): Promise<PromptTemplate> {
  const ask = trim(options.ask ?? defaultAsk[task])
  const form = options.form ?? (source.chatTemplate ? 'chat' : 'plain')
  if (form === 'plain') {
    return compile({ task, form, ask }, tokenizer, source, (extent) =>
      plainParts({ task, ask }, tokenizer, source, extent),
    )
  }
  if (!source.chatTemplate) {
    throw new BtError('BT_CHAT_TEMPLATE', 'the model has no chat template, so its prompts cannot have the chat form', {
      remedy: 'Use the plain form, or the instruction-tuned version of the model.',
    })
  }
  const chat = await openChat(tokenizer, source, fixedDay)
  return compile({ task, form, ask }, tokenizer, source, (extent) => chatParts(ask, tokenizer, chat, extent))
}

/**
 * The template that an adapter was trained with, for the model at hand.
 * @throws {BtError} BT_TEMPLATE_MISMATCH when model and description do not give the same prompt
 */
export async function templateFromDescription(
  description: TemplateDescription,
  tokenizer: Tokenizer,
  source: TemplateSource,
): Promise<PromptTemplate> {
  const { task, form, ask, hash, text } = description
  const template = await makeTemplate(task, tokenizer, source, { ask, form })
  if (template.hash === hash) return laysOutConversationsAs(description, template)
  const ours = template.describe().text!
  const difference =
    text === undefined || text === ours
      ? 'the text is the same as far as known; token ids or end tokens differ'
      : `trained with ${JSON.stringify(text)}, here ${JSON.stringify(ours)}`
  throw new BtError(
    'BT_TEMPLATE_MISMATCH',
    `the adapter was trained with prompt template ${hash}, this model and version give ${template.hash}: ${difference}`,
    { remedy: 'Use the base model that the adapter was trained on, or train the adapter again.' },
  )
}

/** @throws {BtError} BT_TEMPLATE_MISMATCH when a pair is laid out alike and several exchanges are not */
function laysOutConversationsAs({ conversation }: TemplateDescription, template: PromptTemplate): PromptTemplate {
  if (!conversation) return template
  const ours = template.describe(true).conversation!
  if (ours.hash === conversation.hash) return template
  throw new BtError(
    'BT_TEMPLATE_MISMATCH',
    `the adapter was trained with conversations laid out as ${conversation.hash} (${JSON.stringify(conversation.text)}), this model and version give ${ours.hash} (${JSON.stringify(ours.text)})`,
    { remedy: 'Use the base model that the adapter was trained on, or train the adapter again.' },
  )
}

/** Encodes the fixed parts of a form once. */
async function compile(
  { task, form, ask }: Pick<PromptTemplate, 'task' | 'form' | 'ask'>,
  tokenizer: Tokenizer,
  source: TemplateSource,
  parts: (extent: Extent) => Part[],
): Promise<PromptTemplate> {
  const { head: headPieces, context, mid: midPieces, target, endToken, text } = pairForm(parts, tokenizer, source)
  const encodeIn = ({ before, after, place }: Stretch, content: string) =>
    tokenizer.encodeText(before + content + after, place)
  const head = await encodePieces(tokenizer.encodeText, headPieces)
  const mid = await encodePieces(tokenizer.encodeText, midPieces)
  // Beside one letter, as beside any text: with nothing between them the line ends around the context would join.
  const overhead = (await encodeIn(context, 'x')).length - 1
  const stopTokens = [...new Set([endToken, ...tokenizer.eosIds])]
  const hash = sha256(JSON.stringify({ version: 1, task, form, ask, head, context, mid, target, stopTokens })).slice(
    0,
    12,
  )
  const contextColumn = task === 'backward' ? 'response' : 'instruction'
  const targetColumn = task === 'backward' ? 'instruction' : 'response'

  const units = onceEach((extent: Extent) => unitsOf(parts(extent), () => endOf(tokenizer, source)))
  const layout: RoundsTemplate = { tokenizer, units }
  /** The side that asks does not see what the replying side was told, and who generates a message has no such text. */
  const roundsOf = ({ system, exchanges = [] }: Partial<Conversation> | Before): Rounds => ({
    ...(task === 'forward' && system !== undefined && trim(system) !== '' ? { system: trim(system) } : {}),
    rounds: exchanges.map((pair) => ({
      context: filled(pair[contextColumn], contextColumn),
      target: filled(pair[targetColumn], targetColumn),
    })),
  })
  /** A prompt after something that was said; undefined where nothing was, and it is the prompt of a pair. */
  const promptAfter = async (content: string, maxTokens: number, before: Before) => {
    const said = roundsOf(before)
    if (said.system === undefined && said.rounds.length === 0) return undefined
    const rounds = [...said.rounds, { context: content, target: '' }]
    const encoded = await encodeRoundsPrompt({ ...said, rounds }, layout, maxTokens)
    if (encoded) return encoded
    throw tooLongAfter(maxTokens)
  }

  /** The prompt of at most `room` tokens, `targetTokens` of the row being spoken for. */
  async function prompt(content: string, all: number[], room: number, targetTokens: number): Promise<TracedPrompt> {
    const fixed = head.length + mid.length
    const fitted = await fitContext(tokenizer, context, content, { whole: all, overhead, room: room - fixed })
    if (!fitted) throw tooLong({ room, targetTokens, template: fixed + overhead, context: all.length - overhead })
    const dropped = fitted.dropped ? [{ ...fitted.dropped, at: head.length + fitted.dropped.at }] : []
    return { tokens: Int32Array.from([...head, ...fitted.ids, ...mid]), cut: fitted.cut, dropped }
  }

  async function encodePair(pair: Pair, maxTokens: number) {
    const given = filled(pair[contextColumn], contextColumn)
    const wanted = filled(pair[targetColumn], targetColumn)
    const [all, targetIds] = await Promise.all([encodeIn(context, given), encodeIn(target, wanted)])
    targetIds.push(endToken)
    const { tokens, cut, dropped } = await prompt(given, all, maxTokens - targetIds.length, targetIds.length)
    const row = new Int32Array(tokens.length + targetIds.length)
    row.set(tokens)
    row.set(targetIds, tokens.length)
    return { tokens: row, targetStart: tokens.length, cut, dropped }
  }

  const template: PromptTemplate = {
    task,
    form,
    ask,
    hash,
    stopTokens,
    async withSystem(system) {
      const told = trim(system)
      if (told === '' || task === 'backward') return template
      const filledIn = (part: Part) => (isSlot(part) && part.side === 'system' ? told : part)
      const variant = await compile({ task, form, ask }, tokenizer, source, (extent) =>
        extent.system ? parts(extent) : parts({ ...extent, system: true }).map(filledIn),
      )
      return { ...variant, hash, describe: template.describe }
    },
    async encodePrompt(content, maxTokens, before = {}) {
      const given = filled(content, contextColumn)
      const after = await promptAfter(given, maxTokens, before)
      if (after) return after
      const { tokens, cut } = await prompt(given, await encodeIn(context, given), maxTokens, 0)
      return { tokens, cut }
    },
    encodePair,
    async encodeConversation(conversation, maxTokens, turns = 'all'): Promise<EncodedConversation> {
      return encodeRounds(roundsOf(conversation), layout, maxTokens, turns)
    },
    async blankPrompt(before = {}) {
      const after = await promptAfter('', Number.POSITIVE_INFINITY, before)
      if (after) return after.tokens
      return Int32Array.from([...head, ...(await encodeIn(context, '')), ...mid])
    },
    describe: (conversations = false) => ({
      ...{ task, form, ask, hash, text },
      ...(conversations ? { conversation: describeRounds(hash, units, tokenizer) } : {}),
    }),
  }
  return template
}

/** Two exchanges stand for any number: what a layout does with more, it does with them. */
function describeRounds(pair: string, units: (extent: Extent) => Unit[], tokenizer: Tokenizer) {
  const layouts = [false, true].map((system) => units({ rounds: 2, system }))
  const hash = sha256(JSON.stringify({ version: 1, pair, layouts })).slice(0, 12)
  return { hash, text: textOf(layouts[0]!, tokenizer) }
}

/** `make`, with what it made kept. */
function onceEach(make: (extent: Extent) => Unit[]): (extent: Extent) => Unit[] {
  const made = new Map<string, Unit[]>()
  return (extent) => {
    const key = `${extent.rounds} ${extent.system}`
    const units = made.get(key) ?? make(extent)
    made.set(key, units)
    return units
  }
}

/** @throws {BtError} BT_ROW_EMPTY */
function filled(text: string, column: string): string {
  const kept = trim(text)
  if (kept) return kept
  throw new BtError('BT_ROW_EMPTY', `the ${column} is empty`, { remedy: 'Leave such rows out of the data.' })
}

function tooLongAfter(room: number): BtError {
  return new BtError(
    'BT_ROW_TOO_LONG',
    `what the model is told, the template and ${leastContext} tokens of the context do not fit into ${room} tokens`,
    { remedy: 'Raise the maximum length, or leave out rows with such long texts.' },
  )
}

function tooLong(sizes: { room: number; targetTokens: number; template: number; context: number }): BtError {
  const { room, targetTokens, template, context } = sizes
  const target = targetTokens > 0 ? `the target's ${targetTokens} tokens, ` : ''
  const least = Math.min(leastContext, context)
  return new BtError(
    'BT_ROW_TOO_LONG',
    `${target}the template's ${template} and at least ${least} of the context's ${context} tokens do not fit into ${room + targetTokens}`,
    { remedy: 'Raise the maximum length, or leave out rows with such long texts.' },
  )
}
