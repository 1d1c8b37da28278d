// Rows that nearly repeat an earlier one: MinHash signatures over shingles of five words, compared only where locality
// sensitive hashing brings two rows together. Deterministic. (Broder 1997; Leskovec, Rajaraman, Ullman, Mining of
// Massive Datasets, chapter 3.)
import { mix } from './hash.js'

/** Words in a shingle. */
const shingleWords = 5
/** Hash functions, so entries of a signature: the similarity is known to about 0.03 at 0.85. */
export const signatureLength = 128
/** A pair at the threshold comes to be compared with at least this probability. */
const wantedRecall = 0.99

/** One word of a language that parts words, one character of one that does not; case and marks are no difference. */
export const wordPattern = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}\p{M}]+/gu

/** Rows a table has room for at first; it doubles. */
const firstCapacity = 1024

export class NearDuplicates {
  private readonly rowsPerBand: number
  private readonly bands: number
  private readonly places: string[] = []
  private capacity = firstCapacity
  private signatures = new Uint32Array(firstCapacity * signatureLength)
  /** For each band and hash the last row with it, plus one; and for each band and row the one before, plus one. */
  private heads: Int32Array[]
  private previous: Int32Array[]

  /** @param threshold Jaccard similarity of the shingle sets, above 0 to 1, from which two rows are near-duplicates */
  constructor(private readonly threshold: number) {
    this.rowsPerBand = bandRows(threshold)
    this.bands = Math.floor(signatureLength / this.rowsPerBand)
    this.heads = tables(this.bands, firstCapacity)
    this.previous = tables(this.bands, firstCapacity)
  }

  /**
   * @returns the place of an earlier row that this text nearly repeats, the most similar one; undefined for a new text,
   *   which is remembered. Texts without a word are always new.
   */
  seenAt(text: string, place: string): string | undefined {
    const signature = signatureOf(text)
    if (!signature) return undefined
    const near = this.nearest(signature)
    if (near === undefined) this.remember(signature, place)
    return near === undefined ? undefined : this.places[near]
  }

  /** As seenAt, without remembering the text. */
  find(text: string): string | undefined {
    const signature = signatureOf(text)
    const near = signature && this.nearest(signature)
    return near === undefined ? undefined : this.places[near]
  }

  private nearest(signature: Uint32Array): number | undefined {
    let best: number | undefined
    let most = Math.ceil(this.threshold * signatureLength - 1e-9) - 1
    for (let band = 0; band < this.bands; band++) {
      const slot = this.slot(signature, 0, band)
      for (let row = this.heads[band]![slot]! - 1; row >= 0; row = this.previous[band]![row]! - 1) {
        const equal = this.equalEntries(signature, row)
        if (equal > most || (equal === most && best !== undefined && row < best)) {
          most = equal
          best = row
        }
      }
    }
    return best
  }

  private equalEntries(signature: Uint32Array, row: number): number {
    const start = row * signatureLength
    let equal = 0
    for (let entry = 0; entry < signatureLength; entry++) {
      if (this.signatures[start + entry] === signature[entry]) equal++
    }
    return equal
  }

  private remember(signature: Uint32Array, place: string): void {
    const row = this.places.length
    if (row === this.capacity) this.grow()
    this.places.push(place)
    this.signatures.set(signature, row * signatureLength)
    this.link(row)
  }

  private link(row: number): void {
    for (let band = 0; band < this.bands; band++) {
      const slot = this.slot(this.signatures, row * signatureLength, band)
      this.previous[band]![row] = this.heads[band]![slot]!
      this.heads[band]![slot] = row + 1
    }
  }

  private slot(signature: Uint32Array, start: number, band: number): number {
    let hash = band
    const first = start + band * this.rowsPerBand
    for (let entry = 0; entry < this.rowsPerBand; entry++) hash = mix(hash ^ signature[first + entry]!)
    return hash & (this.capacity - 1)
  }

  private grow(): void {
    this.capacity *= 2
    const signatures = new Uint32Array(this.capacity * signatureLength)
    signatures.set(this.signatures)
    this.signatures = signatures
    this.heads = tables(this.bands, this.capacity)
    this.previous = tables(this.bands, this.capacity)
    for (let row = 0; row < this.places.length; row++) this.link(row)
  }
}

/** Undefined for a text without a word. */
export function signatureOf(text: string): Uint32Array | undefined {
  const hashes = shingleHashes(text)
  return hashes.length === 0 ? undefined : minHash(hashes)
}

function tables(count: number, length: number): Int32Array[] {
  return Array.from({ length: count }, () => new Int32Array(length))
}

/** The most rows a band may have so that 1 - (1 - s^rows)^bands, at s = threshold, is the recall wanted. */
export function bandRows(threshold: number): number {
  let rows = 1
  for (let more = 2; more <= 32; more++) {
    const bands = Math.floor(signatureLength / more)
    if (1 - (1 - threshold ** more) ** bands >= wantedRecall) rows = more
  }
  return rows
}

/** 32-bit hashes of the text's shingles, each once; a text of fewer words is one shingle. */
export function shingleHashes(text: string): Uint32Array {
  const words = (text.normalize('NFKC').toLowerCase().match(wordPattern) ?? []).map(hashWord)
  const hashes = new Set<number>()
  const last = Math.max(0, words.length - shingleWords)
  for (let start = 0; words.length > 0 && start <= last; start++) {
    let hash = 0
    for (const word of words.slice(start, start + shingleWords)) hash = mix(Math.imul(hash, 31) ^ word)
    hashes.add(hash)
  }
  return Uint32Array.from(hashes)
}

/** FNV-1a over UTF-16 units. */
export function hashWord(word: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < word.length; index++) hash = Math.imul(hash ^ word.charCodeAt(index), 0x01000193)
  return hash >>> 0
}

/** [signatureLength] for each hash function the smallest value over all shingles. */
export function minHash(hashes: Uint32Array): Uint32Array {
  const signature = new Uint32Array(signatureLength).fill(0xffffffff)
  for (const hash of hashes) {
    for (let entry = 0; entry < signatureLength; entry++) {
      const value = Math.imul(hash ^ salts[entry]!, factors[entry]!) >>> 0
      if (value < signature[entry]!) signature[entry] = value
    }
  }
  return signature
}

// The shingles' hashes are mixed well already, so a multiplication is enough to order them anew.
const salts = Uint32Array.from({ length: signatureLength }, (_, index) => mix(Math.imul(index + 1, 0x9e3779b9)))
const factors = salts.map((salt) => mix(~salt) | 1)
