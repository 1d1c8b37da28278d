// Conversations of several rounds (a context and its target, then the next) as rows of tokens: which targets share a row,
// and what goes where a row is too long. How a template lays rounds out is the forms' affair.
import { difference, fitContext } from './fit.js'
import type { Extent } from './forms.js'
import type { ConversationRow, Dropped, EncodedConversation, EncodedPrompt, Tokenizer, Turns } from './types.js'
import { begins, type Text, type Unit } from './units.js'

/** Texts of one round, trimmed and not empty. */
export interface Round {
  context: string
  target: string
}

export interface Rounds {
  system?: string
  rounds: Round[]
}

export interface RoundsTemplate {
  tokenizer: Tokenizer
  /** The units of a layout. */
  units(extent: Extent): Unit[]
}

/** Rounds from `from` to `to` of the conversation. */
interface Window {
  from: number
  to: number
}

/** A row, and where the target of each of its rounds stands: [start, end). */
interface LaidOut {
  tokens: number[]
  spans: [number, number][]
}

/**
 * Rows in which each wanted target is scored once. A target's context are all rounds before it, or as many of the last of
 * them as fit. Targets with the same rounds before them share a row where the template gives one target's prompt as the
 * beginning of the next one's. Where a target's own round does not fit, its context loses its end.
 */
export async function encodeRounds(
  conversation: Rounds,
  template: RoundsTemplate,
  maxTokens: number,
  turns: Turns,
): Promise<EncodedConversation> {
  const encoder = new Encoder(conversation, template)
  const last = conversation.rounds.length - 1
  const wanted = turns === 'last' ? [last] : conversation.rounds.map((_, round) => round)
  const tooLong: number[] = []
  const rows: { from: number; scored: number[]; cut?: CutRow }[] = []
  let from = 0
  if ((await encoder.fits({ from, to: last }, maxTokens)) && encoder.shares({ from, to: last })) {
    return { rows: [await encoder.row({ from, to: last }, wanted)], tooLong }
  }
  for (const round of wanted) {
    let fits = await encoder.fits({ from, to: round }, maxTokens)
    while (!fits && from < round) fits = await encoder.fits({ from: ++from, to: round }, maxTokens)
    if (fits) {
      const before = rows.at(-1)
      if (before?.from === from && encoder.shares({ from, to: round })) before.scored.push(round)
      else rows.push({ from, scored: [round] })
      continue
    }
    const cut = await encoder.cutRound(round, maxTokens)
    if (cut) rows.push({ from, scored: [round], cut })
    else tooLong.push(round + 1)
  }
  const encoded = rows.map(({ from, scored, cut }) => encoder.row({ from, to: scored.at(-1)! }, scored, cut))
  return { rows: await Promise.all(encoded), tooLong }
}

/**
 * What stands before the last round's target: a prompt. Where it is too long the oldest rounds go, then the end of the last
 * context.
 * @param conversation the last target is not looked at
 * @returns undefined when fewer than 16 tokens of that context (or all, if it has fewer) would stay
 */
export async function encodeRoundsPrompt(
  conversation: Rounds,
  template: RoundsTemplate,
  maxTokens: number,
): Promise<EncodedPrompt | undefined> {
  const encoder = new Encoder(conversation, template)
  const to = conversation.rounds.length - 1
  const whole = await encoder.prompt({ from: 0, to })
  let prompt = whole
  for (let from = 1; prompt.length > maxTokens && from <= to; from++) prompt = await encoder.prompt({ from, to })
  if (prompt.length > maxTokens) {
    const cut = await encoder.cutRound(to, maxTokens, 'prompt')
    if (!cut) return undefined
    prompt = cut.tokens
  }
  return { tokens: Int32Array.from(prompt), cut: whole.length - prompt.length }
}

/** A row of one round, with what its context lost. */
interface CutRow extends LaidOut {
  dropped?: Dropped
}

class Encoder {
  private readonly ids = new Map<string, Promise<number[]>>()
  private readonly tokenizer: Tokenizer

  constructor(
    private readonly conversation: Rounds,
    private readonly template: RoundsTemplate,
  ) {
    this.tokenizer = template.tokenizer
  }

  async fits(window: Window, maxTokens: number): Promise<boolean> {
    return (await this.layOut(window)).tokens.length <= maxTokens
  }

  /** Whether the targets of a window may stand in one row. */
  shares(window: Window): boolean {
    const longer = this.unitsOf(window)
    for (let to = window.from; to < window.to; to++) {
      if (!begins(this.unitsOf({ from: window.from, to }), longer)) return false
    }
    return true
  }

  /** @param cut the row as it is, where the window as it stands does not fit */
  async row(window: Window, scored: readonly number[], cut?: CutRow): Promise<ConversationRow> {
    const uncut = await this.layOut(window)
    const { tokens, spans } = cut ?? uncut
    const targets = scored.map((round) => spans[round - window.from]!)
    const whole = window.from === 0 ? uncut : await this.layOut({ from: 0, to: window.to })
    const dropped = whole === uncut ? [] : [difference(whole.tokens, uncut.tokens)]
    const gaps = targets.slice(1).flatMap(([start], at) => [targets[at]![1], start])
    return {
      tokens: Int32Array.from(tokens),
      targetStart: targets[0]![0],
      ...(gaps.length > 0 ? { gaps: Int32Array.from(gaps) } : {}),
      cut: whole.tokens.length - tokens.length,
      dropped: cut?.dropped ? [...dropped, cut.dropped] : dropped,
      turns: scored.map((round) => round + 1),
    }
  }

  /** What stands before the target of the window's last round. */
  async prompt(window: Window): Promise<number[]> {
    const ids = await Promise.all(this.promptUnits(window).map((unit) => this.idsOf(unit, window.from)))
    return ids.flat()
  }

  /** One round alone, with its target or up to it, its context cut to fit; undefined when too little of it would stay. */
  async cutRound(round: number, maxTokens: number, extent: 'row' | 'prompt' = 'row'): Promise<CutRow | undefined> {
    const window = { from: round, to: round }
    const units = extent === 'row' ? this.unitsOf(window) : this.promptUnits(window)
    const ids = await Promise.all(units.map((unit) => this.idsOf(unit, round)))
    const at = units.findIndex((unit) => unit.kind === 'text' && unit.text.some(isContext))
    const { text, place } = units[at] as Unit & { kind: 'text' }
    const slot = text.findIndex(isContext)
    const stretch = {
      before: this.fill(text.slice(0, slot), round),
      after: this.fill(text.slice(slot + 1), round),
      place,
    }
    const whole = ids[at]!
    const fixed = ids.reduce((sum, { length }) => sum + length, -whole.length)
    // Beside one letter, as beside any text: with nothing between them the line ends around the context would join.
    const overhead = (await this.tokenizer.encodeText(`${stretch.before}x${stretch.after}`, place)).length - 1
    const { context } = this.conversation.rounds[round]!
    const fitted = await fitContext(this.tokenizer, stretch, context, { whole, overhead, room: maxTokens - fixed })
    if (!fitted) return undefined
    const start = ids.slice(0, at).reduce((sum, { length }) => sum + length, 0)
    const dropped = fitted.dropped && { ...fitted.dropped, at: start + fitted.dropped.at }
    return { ...joined(units, ids.with(at, fitted.ids)), ...(dropped ? { dropped } : {}) }
  }

  private async layOut(window: Window): Promise<LaidOut> {
    const units = this.unitsOf(window)
    return joined(units, await Promise.all(units.map((unit) => this.idsOf(unit, window.from))))
  }

  private unitsOf({ from, to }: Window): Unit[] {
    return this.template.units({ rounds: to - from + 1, system: this.conversation.system !== undefined })
  }

  /** A window's last target is its last unit. */
  private promptUnits(window: Window): Unit[] {
    return this.unitsOf(window).slice(0, -1)
  }

  /** @param from round of the conversation that is the first of the units' */
  private idsOf(unit: Unit, from: number): Promise<number[]> | number[] {
    if (unit.kind === 'control') return [unit.id]
    if (unit.kind === 'text') return this.encode(this.fill(unit.text, from), unit.place)
    const { target } = this.conversation.rounds[from + unit.round]!
    return this.encode(unit.before + target + unit.after, unit.place, unit.end)
  }

  private fill(text: Text, from: number): string {
    const { system = '', rounds } = this.conversation
    return text
      .map((part) => {
        if (typeof part === 'string') return part
        return part.side === 'system' ? system : rounds[from + part.round]![part.side]
      })
      .join('')
  }

  /** Each text once: neighbouring windows hold the same ones. */
  private encode(text: string, place: 'start' | 'control' | 'text', end?: number): Promise<number[]> {
    const key = `${place} ${end} ${text}`
    const known = this.ids.get(key)
    if (known) return known
    const ids = this.tokenizer.encodeText(text, place).then((own) => (end === undefined ? own : [...own, end]))
    this.ids.set(key, ids)
    return ids
  }
}

function isContext(part: Text[number]): boolean {
  return typeof part === 'object' && part.side === 'context'
}

function joined(units: readonly Unit[], ids: readonly (readonly number[])[]): LaidOut {
  const tokens: number[] = []
  const spans: [number, number][] = []
  for (const [at, unit] of units.entries()) {
    const start = tokens.length
    for (const id of ids[at]!) tokens.push(id)
    if (unit.kind === 'target') spans[unit.round] = [start, tokens.length]
  }
  return { tokens, spans }
}
