// How much of an instruction its response repeats.
import { Vocabulary, words } from '../metrics/words.js'

/**
 * The longest run of words that instruction and response have in common, as a share of the instruction's words: 1 where
 * the response holds the whole instruction. 0 for an instruction without words.
 */
export function copyShare(instruction: string, response: string): number {
  const vocabulary = new Vocabulary()
  const asked = vocabulary.encode(words(instruction))
  if (asked.length === 0) return 0
  // Of each place in the instruction: words up to it that stand in a row in the response, up to the word looked at last.
  const run = new Int32Array(asked.length)
  let longest = 0
  for (const word of words(response)) {
    const number = vocabulary.numberOf(word)
    for (let at = asked.length - 1; at >= 0; at--) {
      run[at] = asked[at] === number ? (at > 0 ? run[at - 1]! : 0) + 1 : 0
      if (run[at]! > longest) longest = run[at]!
    }
  }
  return longest / asked.length
}
