// Texts that are no prose: repeated over and over, or made of signs. The measures and limits of repetition are those of
// Rae et al. 2021 (Scaling Language Models, table A1).
import { mix } from '../data/hash.js'
import { hashWord, wordPattern } from '../data/near-duplicates.js'

interface Limit {
  n: number
  limit: number
}

/** Largest share of a text's word characters that its commonest n-gram may take. */
const topLimits: Limit[] = [
  { n: 2, limit: 0.2 },
  { n: 3, limit: 0.18 },
  { n: 4, limit: 0.16 },
]
/** Largest share of word characters that may lie in n-grams that stand there more than once. */
const repeatedLimits: Limit[] = [
  { n: 5, limit: 0.15 },
  { n: 6, limit: 0.14 },
  { n: 7, limit: 0.13 },
  { n: 8, limit: 0.12 },
  { n: 9, limit: 0.11 },
  { n: 10, limit: 0.1 },
]
const longestGram = 10
/** Largest share of characters in lines that stand there more than once. */
const repeatedLines = 0.2
/** Smallest share of letters among what is not white space. */
const fewestLetters = 0.5

/**
 * Why a text is left out, or undefined.
 * @param factor on the limits of repetition: 2 allows twice as much, 0 anything
 */
export function qualityReason(text: string, factor: number): string | undefined {
  if (letterShare(text) < fewestLetters) return 'few letters'
  if (factor === 0) return undefined
  if (repeatedLineShare(text) > repeatedLines * factor) return 'repeated lines'
  return repeatsGrams(text.toLowerCase().match(wordPattern) ?? [], factor) ? 'repeated n-grams' : undefined
}

function letterShare(text: string): number {
  const visible = text.match(/\S/gu)?.length ?? 0
  return visible === 0 ? 0 : (text.match(/\p{L}|\p{M}/gu)?.length ?? 0) / visible
}

function repeatedLineShare(text: string): number {
  const seen = new Set<string>()
  let repeated = 0
  let all = 0
  for (const line of text.split('\n').map((one) => one.trim())) {
    if (!/[\p{L}\p{N}]/u.test(line)) continue // rules and fences
    all += line.length
    if (seen.has(line)) repeated += line.length
    seen.add(line)
  }
  return all === 0 ? 0 : repeated / all
}

function repeatsGrams(words: readonly string[], factor: number): boolean {
  const hashes = Uint32Array.from(words, hashWord)
  /** Characters of the words before each. */
  const before = new Uint32Array(words.length + 1)
  for (const [index, word] of words.entries()) before[index + 1] = before[index]! + word.length
  const characters = before[words.length]!
  const grams = hashes.slice()
  for (let n = 2; n <= longestGram; n++) {
    // Each n-gram's hash is that of its first n - 1 words and the next one.
    for (let start = 0; start + n <= words.length; start++) {
      grams[start] = mix(Math.imul(grams[start]!, 31) ^ hashes[start + n - 1]!)
    }
    const found = grams.subarray(0, Math.max(0, words.length - n + 1))
    const limit = (limits: readonly Limit[]) =>
      (limits.find((one) => one.n === n)?.limit ?? Infinity) * factor * characters
    if (topCharacters(found, n, before) > limit(topLimits)) return true
    if (repeatedCharacters(found, n, before) > limit(repeatedLimits)) return true
  }
  return false
}

/** Characters of the words in all places of the commonest n-gram, of the longest of several; 0 where none stands there twice. */
function topCharacters(grams: Uint32Array, n: number, before: Uint32Array): number {
  const counts = new Map<number, number>()
  let most = 1
  let length = 0
  for (const [start, gram] of grams.entries()) {
    const count = (counts.get(gram) ?? 0) + 1
    counts.set(gram, count)
    const own = before[start + n]! - before[start]!
    if (count > most) {
      most = count
      length = own
    } else if (count === most && count > 1) length = Math.max(length, own)
  }
  return most < 2 ? 0 : most * length
}

/** Characters of the words that lie in an n-gram that stood there before, each word once. */
function repeatedCharacters(grams: Uint32Array, n: number, before: Uint32Array): number {
  const seen = new Set<number>()
  let characters = 0
  let counted = 0
  for (const [start, gram] of grams.entries()) {
    if (seen.has(gram)) {
      characters += before[start + n]! - before[Math.max(start, counted)]!
      counted = start + n
    }
    seen.add(gram)
  }
  return characters
}
