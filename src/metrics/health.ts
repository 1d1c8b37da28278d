// What can be wrong with one written text whatever the true one says: template leaks, loops, copies.
import { words } from './words.js'

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
  const grams = runs(tokens, 4)
  return grams.length === 0 ? 0 : 1 - new Set(grams).size / grams.length
}

/** Above this share of repeated 4-grams a text loops. */
export const loopShare = 0.2

/** Words that must stand in a row in both texts to be a copy. */
export const copyRun = 8

/** Share of a text's words that lie in a run of at least copyRun words which `given` holds as well, 0 to 1. */
export function copiedShare(tokens: readonly string[], given: readonly string[]): number {
  if (tokens.length < copyRun) return 0
  const known = new Set(runs(given, copyRun))
  let copied = 0
  let end = 0 // words before this one are counted already
  for (const [at, run] of runs(tokens, copyRun).entries()) {
    if (!known.has(run)) continue
    copied += at + copyRun - Math.max(at, end)
    end = at + copyRun
  }
  return copied / tokens.length
}

/** All runs of `length` words. */
function runs(tokens: readonly string[], length: number): string[] {
  const found: string[] = []
  for (let at = 0; at + length <= tokens.length; at++) found.push(tokens.slice(at, at + length).join(' '))
  return found
}
