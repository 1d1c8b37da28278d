// ROUGE-L of one pair, for showing beside it.
import { rougeL } from './rouge.js'
import { rougeTokens, Vocabulary } from './words.js'

/** ROUGE-L F1 of a pair, 0 to 100. */
export function rougeLOf(prediction: string, reference: string): number {
  const vocabulary = new Vocabulary()
  return 100 * rougeL(vocabulary.encode(rougeTokens(prediction)), vocabulary.encode(rougeTokens(reference))).f1
}
