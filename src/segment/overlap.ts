// Text of an evaluation set in the corpus: runs of words that stand in both (Brown et al. 2020, appendix C, with 13 words).
import { openFile } from '../data/bytes.js'
import { Drops } from '../data/drops.js'
import { mix } from '../data/hash.js'
import { hashWord, wordPattern } from '../data/near-duplicates.js'
import { isObject, recordsOf } from '../data/records.js'
import { BtError } from '../errors.js'
import { kindOf } from './corpus.js'
import { wholeBytes } from './documents.js'

export interface Overlap {
  /** The first words of a text that stand in the evaluation set, or undefined. */
  find(text: string): string | undefined
  /** Runs of words that are looked for. */
  readonly size: number
}

/**
 * Reads every text of the evaluation sets, whatever column it stands in; eight bytes a word are held in memory. Texts of
 * fewer than `words` words are too common to be looked for.
 * @throws {BtError} as openFile and recordsOf; BT_DATA_EMPTY where no text is long enough
 */
export async function openOverlap(paths: readonly string[], words: number): Promise<Overlap> {
  const grams = new Grams()
  for (const path of paths) {
    for await (const text of textsOf(path)) for (const { gram } of gramsOf(wordsOf(text), words)) grams.add(gram)
  }
  grams.sort()
  if (grams.size === 0) {
    throw new BtError('BT_DATA_EMPTY', `${paths.join(', ')}: no text there has ${words} words to compare`, {
      remedy: 'Compare shorter runs: --overlap-words 8',
    })
  }
  return {
    size: grams.size,
    find(text) {
      const found = wordsOf(text)
      for (const { gram, start } of gramsOf(found, words)) {
        if (grams.has(gram)) return found.slice(start, start + words).join(' ')
      }
      return undefined
    },
  }
}

async function* textsOf(path: string): AsyncGenerator<string> {
  const file = await openFile(path)
  const kind = kindOf(path)
  if (kind === 'text' || kind === 'markdown') {
    const whole = await wholeBytes(file.bytes)
    if ('fault' in whole) throw new BtError('BT_DATA_MALFORMED', `${path}: the file ${whole.fault}`)
    yield whole.bytes.toString('utf8')
    return
  }
  for await (const { value } of recordsOf(path, file, { drops: new Drops({ strict: true }) })) yield* stringsIn(value)
}

function* stringsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value
  else if (Array.isArray(value)) for (const one of value) yield* stringsIn(one)
  else if (isObject(value)) for (const one of Object.values(value)) yield* stringsIn(one)
}

function wordsOf(text: string): string[] {
  return text.normalize('NFKC').toLowerCase().match(wordPattern) ?? []
}

/** 52-bit hashes of every run of `length` words. */
function* gramsOf(words: readonly string[], length: number): Generator<{ gram: number; start: number }> {
  const hashes = words.map(hashWord)
  for (let start = 0; start + length <= hashes.length; start++) {
    let high = length
    let low = 0
    for (let word = start; word < start + length; word++) {
      high = mix(Math.imul(high, 31) ^ hashes[word]!)
      low = mix(Math.imul(low, 0x9e3779b1) ^ hashes[word]!)
    }
    yield { gram: (high & 0xfffff) * 0x100000000 + low, start }
  }
}

/** A set of numbers that takes eight bytes each. */
class Grams {
  size = 0
  private values = new Float64Array(1 << 12)

  add(value: number): void {
    if (this.size === this.values.length) {
      this.sort() // repeated ones may make room
      if (this.size > this.values.length / 2) {
        const grown = new Float64Array(this.values.length * 2)
        grown.set(this.values)
        this.values = grown
      }
    }
    this.values[this.size++] = value
  }

  /** Orders the values and leaves out repeated ones; to be called before has(). */
  sort(): void {
    const sorted = this.values.subarray(0, this.size).sort()
    let kept = 0
    for (const value of sorted) if (kept === 0 || value !== sorted[kept - 1]) sorted[kept++] = value
    this.size = kept
  }

  has(value: number): boolean {
    let low = 0
    let high = this.size
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.values[middle]! < value) low = middle + 1
      else high = middle
    }
    return low < this.size && this.values[low] === value
  }
}
