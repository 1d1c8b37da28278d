// All metrics that look at a text by itself (and at the text that was given), as one row of numbers that add up.
import type { FromSums } from './bootstrap.js'
import { healthOf, type LeakFinder } from './health.js'
import type { MetricName } from './types.js'
import { splitSpaces } from './words.js'

/** Columns of one text. Those called "known" count the rows that a rate is over. */
const column = {
  known: 0,
  empty: 1,
  leaks: 2,
  loops: 3,
  givenKnown: 4,
  copies: 5,
  copyRate: 6,
  finishKnown: 7,
  missingEnd: 8,
  words: 9,
  characters: 10,
  longCopies: 11,
} as const

export const textSize = Object.keys(column).length

/** @returns textSize numbers for a text */
export function textNumbers(
  text: string,
  given: string | undefined,
  finish: string | undefined,
  leaks: LeakFinder,
): Float64Array {
  const out = new Float64Array(textSize)
  const health = healthOf(text, given, finish, leaks)
  out[column.known] = 1
  out[column.empty] = Number(health.empty)
  out[column.leaks] = Number(health.leaks)
  out[column.loops] = Number(health.loops)
  if (health.copied !== undefined) {
    out[column.givenKnown] = 1
    out[column.copyRate] = health.copied
    out[column.copies] = Number(health.copied > 0)
    out[column.longCopies] = Number(health.longCopy)
  }
  if (health.missingEnd !== undefined) {
    out[column.finishKnown] = 1
    out[column.missingEnd] = Number(health.missingEnd)
  }
  out[column.words] = splitSpaces(text).length
  out[column.characters] = Array.from(text).length
  return out
}

/** The metrics of a block of textSize columns that starts at `start`. NaN where no row has what a metric needs. */
export function textMetrics(start: number): [MetricName, FromSums][] {
  const mean = (value: keyof typeof column, over: keyof typeof column, scale: number): FromSums => {
    return (sums) => (scale * sums[start + column[value]]!) / sums[start + column[over]]!
  }
  return [
    ['missingEnd', mean('missingEnd', 'finishKnown', 100)],
    ['leaks', mean('leaks', 'known', 100)],
    ['loops', mean('loops', 'known', 100)],
    ['copies', mean('copies', 'givenKnown', 100)],
    ['longCopies', mean('longCopies', 'givenKnown', 100)],
    ['copyRate', mean('copyRate', 'givenKnown', 100)],
    ['empty', mean('empty', 'known', 100)],
    ['meanWords', mean('words', 'known', 1)],
    ['meanCharacters', mean('characters', 'known', 1)],
  ]
}
