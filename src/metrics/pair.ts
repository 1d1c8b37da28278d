// All metrics that compare a text with a true one, as one row of numbers which add up over a corpus.
import { bleuOrder, bleuScore, bleuSize, bleuStatistics, bleuTokens } from './bleu.js'
import type { FromSums } from './bootstrap.js'
import { chrfOrder, chrfScore, chrfSize, chrfStatistics, chrfTokens } from './chrf.js'
import { ngramTotal, sharedNgrams } from './ngrams.js'
import { rougeL, rougeN } from './rouge.js'
import type { MetricName } from './types.js'
import { rougeTokens, type Vocabulary } from './words.js'

/** A text's tokens as the three families see them. */
export interface TokenizedText {
  rouge: Int32Array
  bleu: Int32Array
  chrf: Int32Array
}

/** Numbers of one pair: how many pairs, ROUGE's nine shares, then the statistics of BLEU and chrF. */
const rougeStart = 1
const bleuStart = rougeStart + 9
const chrfStart = bleuStart + bleuSize
export const pairSize = chrfStart + chrfSize

/** Tokenizes a text for all three; words get their numbers from `vocabulary`. */
export function tokenize(text: string, vocabulary: Vocabulary): TokenizedText {
  return {
    rouge: vocabulary.encode(rougeTokens(text)),
    bleu: vocabulary.encode(bleuTokens(text)),
    chrf: chrfTokens(text),
  }
}

/**
 * Compares texts with one reference.
 * @returns for each text pairSize numbers, to be added to the row of its column block
 */
export function scorePairs(texts: readonly TokenizedText[], reference: TokenizedText): Float64Array[] {
  const shared = (family: keyof TokenizedText, most: number) =>
    sharedNgrams(
      reference[family],
      texts.map((text) => text[family]),
      most,
    )
  const [forRouge, forBleu, forChrf] = [shared('rouge', 2), shared('bleu', bleuOrder), shared('chrf', chrfOrder)]
  return texts.map((text, which) => {
    const out = new Float64Array(pairSize)
    out[0] = 1
    out.set(rougeNumbers(text.rouge, reference.rouge, forRouge[which]!), rougeStart)
    bleuStatistics(forBleu[which]!, text.bleu.length, reference.bleu.length, out, bleuStart)
    chrfStatistics(forChrf[which]!, text.chrf.length, reference.chrf.length, out, chrfStart)
    return out
  })
}

/** F1, precision and recall of ROUGE-1, ROUGE-2 and ROUGE-L. */
function rougeNumbers(text: Int32Array, reference: Int32Array, shared: Int32Array): number[] {
  const scores = [1, 2].map((order) =>
    rougeN(shared[order - 1]!, ngramTotal(text.length, order), ngramTotal(reference.length, order)),
  )
  return [...scores, rougeL(text, reference)].flatMap(({ f1, precision, recall }) => [f1, precision, recall])
}

const rougeNames = (['rouge1', 'rouge2', 'rougeL'] as const).flatMap((name): MetricName[] => [
  name,
  `${name}Precision`,
  `${name}Recall`,
])

/** The metrics of a block of pairSize columns that starts at `start`: ROUGE as a mean over pairs, BLEU and chrF of sums. */
export function pairMetrics(start: number): [MetricName, FromSums][] {
  return [
    ...rougeNames.map((name, index): [MetricName, FromSums] => [
      name,
      (sums) => (100 * sums[start + rougeStart + index]!) / sums[start]!,
    ]),
    ['bleu', (sums) => (sums[start] ? bleuScore(sums, start + bleuStart) : Number.NaN)],
    ['chrf', (sums) => (sums[start] ? chrfScore(sums, start + chrfStart) : Number.NaN)],
  ]
}
