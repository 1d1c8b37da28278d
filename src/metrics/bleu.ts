// BLEU of a corpus (Papineni et al., 2002), equal to sacrebleu 2.6 with its defaults: tokenizer 13a, 4-grams, exponential
// smoothing, mixed case, one reference. Own code: the npm packages tokenize or smooth otherwise.
import { ngramTotal } from './ngrams.js'
import { splitSpaces, trimEnd } from './words.js'

/** Longest n-gram. */
export const bleuOrder = 4
const orders = bleuOrder

/** Numbers that statistics of one pair take: prediction's length, reference's, 4 matches, 4 totals. */
export const bleuSize = 2 + 2 * orders

/** mteval-v13a's tokens, as sacrebleu's tokenizer_13a.py and tokenizer_re.py make them. */
export function bleuTokens(text: string): string[] {
  let line = trimEnd(text).replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' ')
  if (line.includes('&')) {
    line = line.replaceAll('&quot;', '"').replaceAll('&amp;', '&').replaceAll('&lt;', '<').replaceAll('&gt;', '>')
  }
  line = ` ${line} `
    .replace(/([{-~[-` -&(-+:-@/])/gu, ' $1 ')
    .replace(/([^0-9])([.,])/gu, '$1 $2 ')
    .replace(/([.,])([^0-9])/gu, ' $1 $2')
    .replace(/([0-9])(-)/gu, '$1 $2 ')
  return splitSpaces(line)
}

/**
 * Writes the statistics of one pair into `out` from `at` on: bleuSize numbers that add up over a corpus.
 * @param shared [4] n-grams that both have
 * @param predicted tokens of the prediction
 * @param wanted tokens of the reference
 */
export function bleuStatistics(
  shared: Int32Array,
  predicted: number,
  wanted: number,
  out: Float64Array,
  at: number,
): void {
  out[at] = predicted
  out[at + 1] = wanted
  for (let order = 0; order < orders; order++) {
    out[at + 2 + order] = shared[order]!
    out[at + 2 + orders + order] = ngramTotal(predicted, order + 1)
  }
}

/**
 * BLEU, 0 to 100, of summed statistics (sacrebleu's compute_bleu): brevity penalty times the geometric mean of the
 * n-gram precisions; the k-th order without a match counts as 1 / 2^k of a match.
 */
export function bleuScore(sums: Float64Array, at = 0): number {
  const predicted = sums[at]!
  const wanted = sums[at + 1]!
  const matches = (order: number) => sums[at + 2 + order]!
  if (matches(0) === 0) return 0 // no word matches, so no longer n-gram does
  let logSum = 0
  let smooth = 1
  for (let order = 0; order < orders; order++) {
    const total = sums[at + 2 + orders + order]!
    if (total === 0) return 0 // no n-gram of this order at all: sacrebleu takes the logarithm as minus ten million
    if (matches(order) === 0) smooth *= 2
    logSum += Math.log((100 * (matches(order) || 1 / smooth)) / total)
  }
  const brevity = predicted < wanted ? Math.exp(1 - wanted / predicted) : 1
  return brevity * Math.exp(logSum / orders)
}
