// OASST1's message trees: messages put together, and the first prompt with its best reply taken from each tree, with the
// best thread that goes on from there.
import { BtError } from '../errors.js'
import type { Pair } from '../text/types.js'
import type { Fault } from './conversation.js'
import { type Draft, rankOf, requireColumns } from './formats.js'
import { isObject, type SourceRecord } from './records.js'

/** What is kept of a message. */
export interface Message {
  id: string
  parent?: string
  tree?: string
  text: string
  role: string
  lang?: string
  /** 0 is the best of its siblings; absent where nobody ranked them. */
  rank?: number
  deleted: boolean
  /** Why it must not be learned from, or undefined. */
  unfit?: string
  place: string
}

/** Trees that volunteers or moderators gave up. */
const abandonedTrees = new Set(['aborted_low_grade', 'halted_by_moderator'])

/** One line of a messages file. */
export function messageOfRecord({ value, place }: SourceRecord): Message | Fault {
  requireColumns(value, place, ['message_id', 'text', 'role'])
  const { message_id: id, text, role, parent_id: parent, message_tree_id: tree } = value
  if (typeof id !== 'string' || typeof text !== 'string' || typeof role !== 'string') {
    return { reason: 'malformed', why: 'message_id, text or role holds no text' }
  }
  const unfit = unfitBecause(value)
  const rank = rankOf(value.rank)
  return {
    id,
    text,
    role,
    place,
    deleted: value.deleted === true,
    ...(typeof parent === 'string' && parent !== '' ? { parent } : {}),
    ...(typeof tree === 'string' ? { tree } : {}),
    ...(typeof value.lang === 'string' ? { lang: value.lang } : {}),
    ...(rank === undefined ? {} : { rank }),
    ...(unfit ? { unfit } : {}),
  }
}

function unfitBecause(value: Record<string, unknown>): string | undefined {
  if (value.deleted === true) return 'deleted'
  if (abandonedTrees.has(String(value.tree_state))) return 'in an abandoned tree'
  if (value.review_result === false) return 'rejected by its reviewers'
  if (spamShare(value.labels) >= 0.5) return 'labelled as spam'
  // Where the column exists, null means that too few people have looked; a rank means that they have.
  const unreviewed = 'review_result' in value && value.review_result === null && rankOf(value.rank) === undefined
  return unreviewed ? 'not reviewed' : undefined
}

/** Share of reviewers who called it spam: {name: [], value: []} on the Hub, {spam: {value}} in the original files. */
function spamShare(labels: unknown): number {
  if (!isObject(labels)) return 0
  if (Array.isArray(labels.name) && Array.isArray(labels.value)) {
    return Number(labels.value[labels.name.indexOf('spam')] ?? 0)
  }
  return isObject(labels.spam) ? Number(labels.spam.value ?? 0) : 0
}

/** Messages of one nested tree, flat. */
export function messagesOfTree(record: SourceRecord): (Message | Fault)[] {
  requireColumns(record.value, record.place, ['prompt'])
  const { message_tree_id, tree_state, prompt } = record.value
  const flat: (Message | Fault)[] = []
  const visit = (node: unknown, parent: string | undefined): void => {
    if (!isObject(node)) {
      flat.push({ reason: 'malformed', why: 'a message of the tree is no object' })
      return
    }
    const { replies, ...own } = node
    const value = {
      ...own,
      message_id: node.message_id ?? `${flat.length}`,
      parent_id: parent,
      message_tree_id,
      tree_state,
    }
    flat.push(messageOfRecord({ value, place: record.place }))
    if (Array.isArray(replies)) for (const reply of replies) visit(reply, String(value.message_id))
  }
  visit(prompt, undefined)
  return flat
}

/** A pair with the place of its prompt, or a prompt that gave none. */
export type TreePair = { place: string } & (Draft | Fault)

/**
 * The pairs of one or many trees, in the order of their prompts. Of the replies to a first prompt those that are
 * deleted, rejected, unreviewed or spam are out; the lowest rank wins (0 where it is left), then the first in the file.
 * A pair is multi-turn when somebody answered the reply. Its conversation goes on with the best fit message to a reply
 * that has a fit reply itself, and with the best of those.
 * @param allReplies take every fit reply, best first
 */
export function* pairsOfTrees(messages: readonly Message[], allReplies: boolean): Generator<TreePair> {
  const children = new Map<string, Message[]>()
  const ids = new Set(messages.map((message) => message.id))
  for (const message of messages) {
    if (message.parent === undefined) continue
    const siblings = children.get(message.parent)
    if (siblings) siblings.push(message)
    else children.set(message.parent, [message])
  }
  for (const message of messages) {
    if (message.parent !== undefined) {
      if (!ids.has(message.parent)) yield { place: message.place, reason: 'reply whose prompt is not in the file' }
    } else yield* pairsOfPrompt(message, children, allReplies)
  }
}

function* pairsOfPrompt(prompt: Message, children: Map<string, Message[]>, allReplies: boolean): Generator<TreePair> {
  const { place } = prompt
  if (prompt.unfit) {
    yield { place, reason: `prompt ${prompt.unfit}` }
    return
  }
  const replies = repliesTo(prompt, children)
  const fit = bestFirst(replies)
  if (fit.length === 0) yield { place, reason: replies.length === 0 ? 'no reply' : 'no fit reply' }
  for (const reply of allReplies ? fit : fit.slice(0, 1)) {
    const { rank } = reply
    const lang = reply.lang ?? prompt.lang
    yield {
      place,
      instruction: prompt.text,
      response: reply.text,
      multiTurn: (children.get(reply.id) ?? []).some((next) => !next.deleted),
      conversation: { exchanges: threadOf(prompt, reply, children) },
      ...(lang === undefined ? {} : { lang }),
      ...(rank === undefined ? {} : { rank }),
      extra: { lang, rank, message_id: reply.id, message_tree_id: prompt.tree },
    }
  }
}

type Children = ReadonlyMap<string, readonly Message[]>

function repliesTo(prompt: Message, children: Children): Message[] {
  return (children.get(prompt.id) ?? []).filter((reply) => reply.role !== 'prompter')
}

function bestFirst(messages: readonly Message[]): Message[] {
  return messages.filter((message) => !message.unfit).sort((a, b) => order(a) - order(b))
}

/** A prompt, its reply, and what follows. A file in which ids repeat in a circle ends it where it comes round. */
function threadOf(prompt: Message, reply: Message, children: Children): Pair[] {
  const exchanges: Pair[] = []
  const seen = new Set<Message>()
  let next: [Message, Message] | undefined = [prompt, reply]
  while (next && !seen.has(next[1])) {
    const [asked, answered]: [Message, Message] = next
    seen.add(answered)
    exchanges.push({ instruction: asked.text, response: answered.text })
    next = bestFirst((children.get(answered.id) ?? []).filter(({ role }) => role === 'prompter'))
      .map((message) => [message, bestFirst(repliesTo(message, children))[0]] as const)
      .find((pair): pair is [Message, Message] => pair[1] !== undefined)
  }
  return exchanges
}

function order(message: Message): number {
  return message.rank ?? Number.MAX_SAFE_INTEGER
}

/** @throws {BtError} BT_DATA_FORMAT when a messages file has no first prompt at all */
export function requirePrompts(messages: readonly Message[], name: string): void {
  if (messages.some((message) => message.parent === undefined)) return
  throw new BtError('BT_DATA_FORMAT', `${name}: no message without a parent_id, so no conversation has a beginning`, {
    remedy: 'Use the file with all messages of the trees, not a selection of replies.',
  })
}
