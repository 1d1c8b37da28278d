// Scores of one pair, for showing beside it.
import { chrfOrder, chrfScore, chrfSize, chrfStatistics, chrfTokens } from './chrf.js'
import { sharedNgrams } from './ngrams.js'
import { rougeL } from './rouge.js'
import { rougeTokens, Vocabulary } from './words.js'

/** ROUGE-L F1 of a pair, 0 to 100. */
export function rougeLOf(prediction: string, reference: string): number {
  const vocabulary = new Vocabulary()
  return 100 * rougeL(vocabulary.encode(rougeTokens(prediction)), vocabulary.encode(rougeTokens(reference))).f1
}

/** chrF of a pair, 0 to 100: for texts of any script. */
export function chrfOf(prediction: string, reference: string): number {
  const [predicted, wanted] = [chrfTokens(prediction), chrfTokens(reference)]
  const statistics = new Float64Array(chrfSize)
  chrfStatistics(sharedNgrams(wanted, [predicted], chrfOrder)[0]!, predicted.length, wanted.length, statistics, 0)
  return chrfScore(statistics)
}
