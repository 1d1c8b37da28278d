// A model's chat template, as pieces in which contents can be put without being rendered: so no content can be taken for
// a control token or for part of the template. Which messages a task needs is not decided here.
import { BtError, messageOf } from '../errors.js'
import type { TokenizerSource } from '../models/types.js'
import { encodePieces, type Piece } from './pieces.js'
import { strftime } from './strftime.js'
import { trimEnd, trimStart } from './trim.js'
import type { Tokenizer } from './types.js'

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant'
  content: string
}

/** The place of a message's content, with what the template trims of it. */
export interface Slot {
  message: number
  trimStart: boolean
  trimEnd: boolean
}

/** A rendered conversation of given roles: the template's own text, and slots for the contents. */
export type Layout = (Slot | string)[]

export interface Chat {
  /** False when the template refuses or drops a system message. */
  readonly acceptsSystem: boolean
  /**
   * Lays out a conversation with these roles.
   * @throws {BtError} BT_CHAT_TEMPLATE when the template refuses the roles, or does more to a content than trim it
   */
  layout(roles: ChatMessage['role'][], addGenerationPrompt: boolean): Layout
  /** Ids of a conversation, as transformers' apply_chat_template gives them for texts without control tokens. */
  encode(messages: ChatMessage[], options?: { addGenerationPrompt?: boolean }): Promise<number[]>
}

type Render = (messages: ChatMessage[], addGenerationPrompt: boolean) => string

/**
 * Opens a chat template.
 * @param now the day that a template may print; a fixed one makes prompts that do not change overnight
 * @throws {BtError} BT_CHAT_TEMPLATE when it does not parse
 */
export async function openChat(
  tokenizer: Tokenizer,
  source: Pick<TokenizerSource, 'chatTemplate' | 'bosToken' | 'eosToken'>,
  now = new Date(),
): Promise<Chat> {
  const render = await renderer(source, now)
  const layouts = new Map<string, Layout>()
  function layout(roles: ChatMessage['role'][], addGenerationPrompt: boolean): Layout {
    const key = `${roles.join()} ${addGenerationPrompt}`
    const known = layouts.get(key) ?? layOut(render, roles, addGenerationPrompt)
    layouts.set(key, known)
    return known
  }
  return {
    acceptsSystem: acceptsSystem(render),
    layout,
    async encode(messages, { addGenerationPrompt = false } = {}) {
      const roles = messages.map(({ role }) => role)
      const contents = messages.map(({ content }) => content)
      return encodePieces(tokenizer.encodeText, fill(tokenizer, layout(roles, addGenerationPrompt), contents))
    },
  }
}

/** A layout with contents in its slots; control tokens are looked for in the template's own text alone. */
export function fill(tokenizer: Tokenizer, layout: Layout, contents: string[]): Piece[] {
  return layout.flatMap((part) =>
    typeof part === 'string' ? tokenizer.splitControl(part) : [trimmed(part, contents[part.message]!)],
  )
}

/** A content as the template would leave it. */
export function trimmed(slot: Slot, content: string): string {
  const left = slot.trimStart ? trimStart(content) : content
  return slot.trimEnd ? trimEnd(left) : left
}

/** The library's own strftime_now cannot be replaced from outside and tells today. The line end goes with the block. */
const ownDay = '{% set strftime_now = day_now %}\n'

/** Renders with the names that transformers gives a template. */
async function renderer(
  { chatTemplate = '', bosToken, eosToken }: Pick<TokenizerSource, 'chatTemplate' | 'bosToken' | 'eosToken'>,
  now: Date,
): Promise<Render> {
  const { Template } = await import('@huggingface/jinja')
  try {
    const template = new Template(`${ownDay}${chatTemplate}`)
    const names = {
      tools: null,
      documents: null,
      day_now: (format: string) => strftime(now, format),
      ...(bosToken === undefined ? {} : { bos_token: bosToken }),
      ...(eosToken === undefined ? {} : { eos_token: eosToken }),
    }
    return (messages, addGenerationPrompt) =>
      template.render({ ...names, messages, add_generation_prompt: addGenerationPrompt })
  } catch (error) {
    throw templateError(`does not parse: ${messageOf(error)}`, error)
  }
}

function templateError(what: string, cause?: unknown): BtError {
  return new BtError('BT_CHAT_TEMPLATE', `the model's chat template ${what}`, {
    remedy: 'Use the plain form of the prompt, or a model with another chat template.',
    cause,
  })
}

function acceptsSystem(render: Render): boolean {
  const system = marker(0)
  try {
    return render(
      [
        { role: 'system', content: system },
        { role: 'user', content: marker(1) },
      ],
      true,
    ).includes(system)
  } catch {
    return false // raise_exception('System role not supported')
  }
}

/** Stands for a content. Letters and digits only: nothing that a template would escape or look for. */
const marker = (message: number) => `BTCONTENT${message}END`

/** White space for Python and JavaScript, in no template: what survives on a side of a marker tells what is trimmed. */
const padLeft = '\u2003'
const padRight = '\u2002'

/**
 * Renders markers in place of contents, and cuts the text at them. They may come in another order than the messages:
 * some templates put the system text into the last message of the user.
 */
function layOut(render: Render, roles: ChatMessage['role'][], addGenerationPrompt: boolean): Layout {
  const text = renderContents(render, roles, addGenerationPrompt, (i) => `${padLeft}${marker(i)}${padRight}`)
  const layout: Layout = []
  let rest = text
  const places = roles.map((role, message) => {
    const place = text.indexOf(marker(message))
    if (place >= 0 && place === text.lastIndexOf(marker(message))) return { message, place }
    throw templateError(`leaves out or repeats the ${role} message`)
  })
  for (const { message } of places.toSorted((a, b) => a.place - b.place)) {
    const [before, after] = rest.split(marker(message)) as [string, string]
    const slot = { message, trimStart: !before.endsWith(padLeft), trimEnd: !after.startsWith(padRight) }
    layout.push(slot.trimStart ? before : before.slice(0, -1), slot)
    rest = slot.trimEnd ? after : after.slice(1)
  }
  layout.push(rest)
  checkLayout(
    layout,
    (contents) => renderContents(render, roles, addGenerationPrompt, (i) => contents[i]!),
    roles.length,
  )
  return layout
}

function renderContents(
  render: Render,
  roles: ChatMessage['role'][],
  addGenerationPrompt: boolean,
  content: (message: number) => string,
): string {
  try {
    return render(
      roles.map((role, i) => ({ role, content: content(i) })),
      addGenerationPrompt,
    )
  } catch (error) {
    throw templateError(`refuses a conversation of ${roles.join(', ')}: ${messageOf(error)}`, error)
  }
}

/** A template that escapes, shortens or rewrites contents would be laid out wrongly: compare with a real rendering. */
function checkLayout(layout: Layout, rendered: (contents: string[]) => string, messages: number): void {
  const contents = Array.from({ length: messages }, (_, i) => ` ${i} Ab "c" <d> & 'é' {x}\n\n\t- e:  f\\g | *h* \n`)
  const ours = layout.map((part) => (typeof part === 'string' ? part : trimmed(part, contents[part.message]!))).join('')
  if (ours !== rendered(contents)) throw templateError("rewrites the messages' contents")
}
