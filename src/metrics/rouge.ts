// ROUGE-1, ROUGE-2 and ROUGE-L of one pair, equal to rouge_score 0.1.2 (Google's, without stemming).
// Own code: js-rouge and its like tokenize otherwise by default, throw on empty texts and hold an n x m table.

/** Shares from 0 to 1. */
export interface Rouge {
  precision: number
  recall: number
  f1: number
}

const none: Rouge = { precision: 0, recall: 0, f1: 0 }

/**
 * ROUGE-N of a pair. A text without n-grams scores 0, as in rouge_score.
 * @param shared n-grams that both have, each as often as both have it
 * @param predicted n-grams of the prediction
 * @param wanted n-grams of the reference
 */
export function rougeN(shared: number, predicted: number, wanted: number): Rouge {
  if (shared === 0) return none
  const precision = shared / predicted
  const recall = shared / wanted
  return { precision, recall, f1: (2 * precision * recall) / (precision + recall) }
}

/** ROUGE-L from the longest common subsequence of two texts' word numbers. */
export function rougeL(prediction: Int32Array, reference: Int32Array): Rouge {
  return rougeN(longestCommon(prediction, reference), prediction.length, reference.length)
}

/**
 * Length of the longest common subsequence, 32 cells of a table row at a time: Hyyro's bit-vector recurrence
 * ("Bit-parallel LCS-length computation revisited", 2004), V = (V + (V & M)) | (V & ~M), whose zero bits count matches.
 */
export function longestCommon(one: Int32Array, other: Int32Array): number {
  const [short, long] = one.length < other.length ? [one, other] : [other, one]
  if (short.length === 0) return 0
  const blocks = Math.ceil(short.length / 32)
  const places = placesOf(short, blocks)
  const row = new Uint32Array(blocks).fill(0xffffffff)
  for (const word of long) {
    const matches = places.get(word)
    if (!matches) continue
    let carry = 0
    for (let block = 0; block < blocks; block++) {
      const value = row[block]!
      const mask = matches[block]!
      const sum = value + ((value & mask) >>> 0) + carry // below 2^33 + 1: exact
      carry = sum > 0xffffffff ? 1 : 0
      row[block] = sum | (value & ~mask) // the assignment keeps the low 32 bits
    }
  }
  let common = 0
  for (let at = 0; at < short.length; at++) if (!((row[at >>> 5]! >>> (at & 31)) & 1)) common++
  return common
}

/** For each word, a bit for each place where it stands. */
function placesOf(tokens: Int32Array, blocks: number): Map<number, Uint32Array> {
  const places = new Map<number, Uint32Array>()
  for (let at = 0; at < tokens.length; at++) {
    const word = tokens[at]!
    const bits = places.get(word) ?? new Uint32Array(blocks)
    bits[at >>> 5]! |= 1 << (at & 31)
    places.set(word, bits)
  }
  return places
}
