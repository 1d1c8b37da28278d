// The texts that know nothing of a row, or next to nothing: what a metric gives them is what a model must beat.
import { below, randomAt } from './random.js'
import { splitSpaces } from './words.js'

/** A question that would fit most answers. */
export const defaultConstant = 'What is the best way to do this, and can you explain how it works?'

/** Words of the response that the first-words control takes for the instruction. */
export const firstWordsCount = 30

/** The first words of a text, parted by single spaces. */
export function firstWords(text: string): string {
  return splitSpaces(text).slice(0, firstWordsCount).join(' ')
}

/** Shufflings to average over: enough that about 4,000 pairs are scored. */
export function defaultShuffles(rows: number): number {
  return Math.max(2, Math.min(20, Math.ceil(4000 / Math.max(1, rows))))
}

/**
 * A random shuffling that leaves nothing in its place: all places in one random ring, each taking what the next has.
 * @returns for each of 0 .. count - 1 another of them; empty when count is below 2, where there is none
 */
export function derangement(count: number, seed: number, index: number): Int32Array {
  if (count < 2) return new Int32Array(0)
  const random = randomAt(seed, `shuffled ${index}`)
  const ring = Int32Array.from({ length: count }, (_, place) => place)
  for (let last = count - 1; last > 0; last--) {
    const other = below(random(last), last + 1)
    const swapped = ring[last]!
    ring[last] = ring[other]!
    ring[other] = swapped
  }
  const taken = new Int32Array(count)
  for (let place = 0; place < count; place++) taken[ring[place]!] = ring[(place + 1) % count]!
  return taken
}
