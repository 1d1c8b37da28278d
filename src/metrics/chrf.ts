// chrF of a corpus (Popovic, 2015), equal to sacrebleu 2.6 with its defaults: character 1- to 6-grams without white
// space, no words, beta 2, effective order. Own code: no npm package matches it.
import { ngramTotal } from './ngrams.js'
import { removeSpaces } from './words.js'

/** Longest n-gram. */
export const chrfOrder = 6
const orders = chrfOrder
const betaSquared = 4

/** Numbers that statistics of one pair take: for each order the prediction's n-grams, the reference's, and the matches. */
export const chrfSize = 3 * orders

/** Characters (code points, as in Python) that chrF looks at. */
export function chrfTokens(text: string): Int32Array {
  return Int32Array.from(removeSpaces(text), (character) => character.codePointAt(0)!)
}

/**
 * Writes the statistics of one pair into `out` from `at` on: chrfSize numbers that add up over a corpus.
 * @param shared [6] n-grams that both have
 * @param predicted characters of the prediction
 * @param wanted characters of the reference
 */
export function chrfStatistics(
  shared: Int32Array,
  predicted: number,
  wanted: number,
  out: Float64Array,
  at: number,
): void {
  for (let order = 0; order < orders; order++) {
    const inReference = ngramTotal(wanted, order + 1)
    out[at + 3 * order] = inReference > 0 ? ngramTotal(predicted, order + 1) : 0 // where there is something to match
    out[at + 3 * order + 1] = inReference
    out[at + 3 * order + 2] = shared[order]!
  }
}

/**
 * chrF, 0 to 100, of summed statistics (sacrebleu's _compute_f_score): F2 of the mean precision and the mean recall over
 * the orders that both sides have.
 */
export function chrfScore(sums: Float64Array, at = 0): number {
  let precision = 0
  let recall = 0
  let counted = 0
  for (let order = 0; order < orders; order++) {
    const predicted = sums[at + 3 * order]!
    const wanted = sums[at + 3 * order + 1]!
    if (predicted === 0 || wanted === 0) continue
    precision += sums[at + 3 * order + 2]! / predicted
    recall += sums[at + 3 * order + 2]! / wanted
    counted++
  }
  if (precision + recall === 0) return 0
  precision /= counted
  recall /= counted
  return (100 * (1 + betaSquared) * precision * recall) / (betaSquared * precision + recall)
}
