// How many n-grams texts share with a reference. Tokens are numbers here: words' or code points.

/**
 * For each text and each order from 1 to `most`: how many of its n-grams the reference has too, each counted as often as
 * both have it (the sum over n-grams of the smaller count).
 * @returns for each text [most] counts
 */
export function sharedNgrams(reference: Int32Array, texts: readonly Int32Array[], most: number): Int32Array[] {
  const { tokens, kinds } = renumber([reference, ...texts])
  const shared = texts.map(() => new Int32Array(most))
  let grams = tokens
  let gramKinds = kinds
  for (let order = 1; order <= most; order++) {
    if (order > 1) ({ grams, gramKinds } = extend(grams, gramKinds, tokens, kinds, order))
    const wanted = new Int32Array(gramKinds)
    for (let which = 1; which < grams.length; which++) {
      shared[which - 1]![order - 1] = countShared(grams[which]!, grams[0]!, wanted)
    }
  }
  return shared
}

/** N-grams of a text of this many tokens. */
export function ngramTotal(tokens: number, order: number): number {
  return Math.max(0, tokens - order + 1)
}

/** @param wanted [n-grams' kinds] scratch that is zero, or as an earlier call with this reference left it */
function countShared(text: Int32Array, reference: Int32Array, wanted: Int32Array): number {
  for (const gram of reference) wanted[gram] = 0
  for (const gram of reference) wanted[gram]!++
  let shared = 0
  for (const gram of text) {
    if (wanted[gram]! > 0) {
      wanted[gram]!--
      shared++
    }
  }
  return shared
}

/** The same texts with their tokens numbered from 0 without gaps. */
function renumber(texts: readonly Int32Array[]): { tokens: Int32Array[]; kinds: number } {
  const numbers = new Map<number, number>()
  const tokens = texts.map((text) => text.map((token) => numberOf(numbers, token)))
  return { tokens, kinds: numbers.size }
}

function numberOf(numbers: Map<number, number>, key: number): number {
  const known = numbers.get(key)
  if (known !== undefined) return known
  numbers.set(key, numbers.size)
  return numbers.size - 1
}

/** Entries of the table that numbers pairs: 8 MB. Larger groups of texts use a map, which is several times slower. */
const tableSize = 2 ** 21
const table = new Int32Array(tableSize)

/**
 * N-grams of the next order, numbered from 0 without gaps: a number stands for the pair (number of the first n - 1
 * tokens, last token), so equal numbers are equal n-grams.
 */
function extend(
  heads: readonly Int32Array[],
  headKinds: number,
  tokens: readonly Int32Array[],
  kinds: number,
  order: number,
): { grams: Int32Array[]; gramKinds: number } {
  const pairs = headKinds * kinds <= tableSize ? new PairTable(table) : new PairMap()
  const grams = heads.map((head, which) => {
    const last = tokens[which]!
    const extended = new Int32Array(ngramTotal(last.length, order))
    for (let at = 0; at < extended.length; at++) extended[at] = pairs.number(head[at]! * kinds + last[at + order - 1]!)
    return extended
  })
  if (pairs instanceof PairTable) pairs.clear()
  return { grams, gramKinds: pairs.kinds }
}

class PairTable {
  kinds = 0
  private readonly used: number[] = []

  /** @param numbers zeros; zero again after clear() */
  constructor(private readonly numbers: Int32Array) {}

  number(key: number): number {
    if (this.numbers[key] === 0) {
      this.used.push(key)
      this.numbers[key] = ++this.kinds
    }
    return this.numbers[key]! - 1
  }

  clear(): void {
    for (const key of this.used) this.numbers[key] = 0
  }
}

class PairMap {
  private readonly numbers = new Map<number, number>()

  number(key: number): number {
    return numberOf(this.numbers, key)
  }

  get kinds(): number {
    return this.numbers.size
  }
}
