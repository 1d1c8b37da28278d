// A layout of one or more rounds cut into the units that are encoded by themselves: control tokens, stretches of text
// between them, and targets. Nothing is encoded here.
import { isSlot, type Part, type Slot } from './forms.js'
import { stripBeside } from './pieces.js'
import type { ControlToken, TextPlace, Tokenizer } from './types.js'

/** Plain text of the template, and slots for the texts of users. */
export type Text = (string | Slot)[]

export type Unit =
  | { kind: 'control'; id: number }
  /** Encoded as one text once its slots are filled. */
  | { kind: 'text'; text: Text; place: TextPlace }
  /** A target with the spaces that belong to it, and the token that ends it. */
  | { kind: 'target'; round: number; before: string; after: string; place: TextPlace; end: number }

/**
 * The units up to the end of the last target. A target stands apart from what is read before it, as it does where it is
 * generated. One that no control token ends in the layout is text like any other, unless it is the last: `end` ends that.
 */
export function unitsOf(parts: readonly Part[], end: () => ControlToken): Unit[] {
  const last = parts.findLastIndex((part) => isSlot(part) && part.side === 'target')
  const cutter = new Cutter()
  let at = 0
  while (at <= last) {
    const part = parts[at]!
    const ending = isSlot(part) && part.side === 'target' ? endAfter(parts, at) : undefined
    if (typeof part === 'string') cutter.text(part)
    else if (!isSlot(part)) cutter.control(part)
    else if (ending) cutter.target(part.round, ending.tail, ending.token)
    else if (at === last) cutter.target(part.round, '', end())
    else cutter.text(part)
    at = (ending?.at ?? at) + 1
  }
  return cutter.units
}

/** The control token that ends the target at `at`, with the text between; undefined where another slot comes first. */
function endAfter(parts: readonly Part[], at: number): { token: ControlToken; tail: string; at: number } | undefined {
  let tail = ''
  for (let next = at + 1; next < parts.length; next++) {
    const part = parts[next]!
    if (isSlot(part)) return undefined
    if (typeof part === 'object') return { token: part, tail, at: next }
    tail += part
  }
  return undefined
}

class Cutter {
  readonly units: Unit[] = []
  /** The stretch under way, without two strings in a row. */
  private stretch: Text = []
  /** Before the stretch. */
  private before: ControlToken | undefined

  text(part: string | Slot): void {
    const last = this.stretch.at(-1)
    if (typeof part === 'string' && typeof last === 'string') this.stretch[this.stretch.length - 1] = last + part
    else this.stretch.push(part)
  }

  control(token: ControlToken): void {
    this.flush(token)
    this.units.push({ kind: 'control', id: token.id })
    this.before = token
  }

  target(round: number, tail: string, end: ControlToken): void {
    // A space before the target is part of its first token: it goes with the target, as in a conversation encoded whole.
    const lead = this.stretch.at(-1)
    const kept = typeof lead === 'string' ? lead.replace(/ +$/, '') : ''
    if (typeof lead === 'string') this.stretch[this.stretch.length - 1] = kept
    const space = typeof lead === 'string' ? lead.slice(kept.length) : ''
    this.flush(undefined)
    const beside = this.units.at(-1)?.kind === 'text' ? undefined : this.before
    const around = { before: stripBeside(space, beside, undefined), after: stripBeside(tail, undefined, end) }
    this.units.push({ kind: 'target', round, ...around, place: this.place(), end: end.id })
    this.before = end
  }

  /** Ends the stretch under way, without the white space that belongs to the control tokens around it. */
  private flush(after: ControlToken | undefined): void {
    const { stretch, before } = this
    const text = stretch
      .map((part, at) => {
        if (typeof part !== 'string') return part
        return stripBeside(part, at === 0 ? before : undefined, at === stretch.length - 1 ? after : undefined)
      })
      .filter((part) => part !== '')
    if (text.length > 0) this.units.push({ kind: 'text', text, place: this.place() })
    this.stretch = []
  }

  private place(): TextPlace {
    const last = this.units.at(-1)
    if (!last) return 'start'
    return last.kind === 'text' ? 'text' : 'control'
  }
}

/** Whether what the first rounds give is what the longer layout begins with: then one row holds the targets of both. */
export function begins(shorter: readonly Unit[], longer: readonly Unit[]): boolean {
  return JSON.stringify(shorter) === JSON.stringify(longer.slice(0, shorter.length))
}

/** The layout with {context} and {target} in it, to be read by people. */
export function textOf(units: readonly Unit[], tokenizer: Pick<Tokenizer, 'tokenText'>): string {
  return units
    .map((unit) => {
      if (unit.kind === 'control') return tokenizer.tokenText(unit.id)
      if (unit.kind === 'target') return `${unit.before}{target}${unit.after}${tokenizer.tokenText(unit.end)}`
      return unit.text.map((part) => (typeof part === 'string' ? part : `{${part.side}}`)).join('')
    })
    .join('')
}
