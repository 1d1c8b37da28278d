// What is wrong with a written text, so that it is written again. The faults are those that evaluation counts.
import { healthOf, type LeakFinder } from '../metrics/health.js'
import { words } from '../metrics/words.js'
import type { Task } from '../text/types.js'

/** Order of the marks in a row. */
export const faultNames = ['copy', 'leak', 'loop', 'end', 'empty'] as const

/**
 * copy: sixteen or more words in a row of the text that was given (backward task alone: a response may quote its
 * instruction), or, word for word, what the same side has said before; leak: words of the prompt or its layout; loop: over a fifth of its 4-grams repeat; end: cut off by
 * maxNewTokens or by logits that are not finite; empty: nothing was written.
 */
export type Fault = (typeof faultNames)[number]

export interface Guard {
  /** Those that are looked for. */
  faults: readonly Fault[]
  /** Attempts after the first. */
  retries: number
  task: Task
  leaks: LeakFinder
}

/** What a text is held against. */
export interface Given {
  /** All that stood in its prompt. */
  text: string
  /** What its side has said before. */
  own: readonly string[]
}

/** Faults of a text, of those that the guard looks for. */
export function faultsOf(text: string, given: Given, finish: string, { faults, task, leaks }: Guard): Fault[] {
  if (faults.length === 0) return []
  const health = healthOf(text, given.text, finish, leaks)
  const found: Record<Fault, boolean> = {
    copy: (task === 'backward' && health.longCopy === true) || repeats(text, given.own),
    leak: health.leaks,
    loop: health.loops,
    end: health.missingEnd === true,
    empty: health.empty,
  }
  return faultNames.filter((name) => found[name] && faults.includes(name))
}

function repeats(text: string, before: readonly string[]): boolean {
  if (before.length === 0) return false
  const said = words(text).join(' ')
  return said !== '' && before.some((one) => words(one).join(' ') === said)
}
