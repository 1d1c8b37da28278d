// What can be wrong with one written text whatever the true one says: template leaks, loops, copies, no end. Evaluation
// counts these, and generation's guard writes such a text again: both ask here.
import { Vocabulary, words } from './words.js'

/** Marks of prompt layouts, none of which belongs in an instruction. */
const markers: [name: string, pattern: RegExp][] = [
  ['control token', /<\|[a-z_]+(?:\|>)?|<\/?s>|\[\/?INST\]|<<\/?SYS>>|<(?:start|end)_of_turn>/i],
  ['heading', /^\s*#{2,}\s*(?:response|instruction|input|output|user|assistant|system)\b/im],
  ['role line', /^\s*(?:user|assistant|system|human|bot|response|instruction)\s*(?::.*)?$/im],
]

/** Sentences of an ask shorter than this say nothing. */
const shortestAsk = 5

/** Tells whether an output holds text of the prompt's layout. */
export class LeakFinder {
  private readonly asks: string[]

  /** @param asks words of the prompt that ask for the target */
  constructor(asks: readonly string[] = []) {
    const sentences = asks.flatMap((ask) => ask.split(/[.!?\n]+/)).map(words)
    this.asks = sentences.filter((sentence) => sentence.length >= shortestAsk).map(phrase)
  }

  /**
   * Names of the marks in `text`: "control token", "heading", "role line", "ask".
   * A mark that stands in the text that was given as well comes from there, and is not a leak.
   */
  find(text: string, given = ''): string[] {
    const found = markers.filter(([, pattern]) => pattern.test(text) && !pattern.test(given)).map(([name]) => name)
    if (this.asks.length > 0) {
      const [written, known] = [phrase(words(text)), phrase(words(given))]
      if (this.asks.some((ask) => written.includes(ask) && !known.includes(ask))) found.push('ask')
    }
    return found
  }
}

function phrase(tokens: string[]): string {
  return ` ${tokens.join(' ')} `
}

/** Share of a text's word 4-grams that repeat an earlier one, 0 to 1. */
export function repeated4grams(tokens: readonly string[]): number {
  const count = tokens.length - 3
  if (count <= 0) return 0
  const vocabulary = new Vocabulary()
  const numbers = vocabulary.encode(tokens)
  // A 4-gram as one number, below 2^53 for 9,000 different words; as text where there are more.
  const base = vocabulary.size
  const seen = new Set<number | string>()
  for (let at = 0; at < count; at++) {
    const [a, b, c, d] = numbers.subarray(at, at + 4) as unknown as [number, number, number, number]
    seen.add(base <= 9000 ? ((a * base + b) * base + c) * base + d : `${a} ${b} ${c} ${d}`)
  }
  return 1 - seen.size / count
}

/** Above this share of repeated 4-grams a text loops. */
export const loopShare = 0.2

/** Words that must stand in a row in both texts to be a copy. */
export const copyRun = 8

/**
 * Words in a row that make a long copy. True instructions quote the text that they belong to, too: a run of eight stands in
 * every seventh of OASST1's, one of sixteen in one of 186.
 */
export const longCopyRun = 16

/** Share of a text's words that lie in a run of at least `least` words which `given` holds as well, 0 to 1. */
export function copiedShare(tokens: readonly string[], given: readonly string[], least: number = copyRun): number {
  if (tokens.length < least) return 0
  const vocabulary = new Vocabulary()
  const text = vocabulary.encode(tokens)
  const copied = new Uint8Array(text.length)
  // Of each place in the text: words up to it that stand in a row in `given`, up to the word that was looked at last.
  const run = new Int32Array(text.length)
  for (const word of given) {
    const number = vocabulary.numberOf(word)
    for (let at = text.length - 1; at >= 0; at--) {
      run[at] = text[at] === number ? (at > 0 ? run[at - 1]! : 0) + 1 : 0
      if (run[at]! >= least) copied.fill(1, at - run[at]! + 1, at + 1)
    }
  }
  return copied.reduce((sum, one) => sum + one, 0) / text.length
}

/** How a writer says that an output ended, and whether its end is missing. */
export const endings: ReadonlyMap<string, boolean> = new Map([
  ['stop', false],
  ['length', true],
  ['not-finite', true],
])

/** What a look at one text finds. */
export interface Health {
  empty: boolean
  leaks: boolean
  loops: boolean
  /** Share of its words in long runs that the given text holds as well; undefined where none is given. */
  copied: number | undefined
  /** Whether one of these runs is a long one; undefined where no text is given. */
  longCopy: boolean | undefined
  /** Undefined where it is not known how the text ended. */
  missingEnd: boolean | undefined
}

/**
 * Looks at one text.
 * @param given what the model was given
 * @param finish how writing ended
 */
export function healthOf(
  text: string,
  given: string | undefined,
  finish: string | undefined,
  leaks: LeakFinder,
): Health {
  const tokens = words(text)
  const givenTokens = given === undefined ? undefined : words(given)
  const copied = givenTokens && copiedShare(tokens, givenTokens)
  return {
    empty: text.trim() === '',
    leaks: leaks.find(text, given).length > 0,
    loops: repeated4grams(tokens) > loopShare,
    copied,
    longCopy: copied === undefined ? undefined : copied > 0 && copiedShare(tokens, givenTokens!, longCopyRun) > 0,
    missingEnd: finish === undefined ? undefined : endings.get(finish),
  }
}
