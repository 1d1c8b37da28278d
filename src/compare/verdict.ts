// What the judge is asked, and what its reply says.
import type { ChatMessage, ChatReply } from './endpoint.js'

/** One question: two answers in one order. */
export interface Question {
  instruction: string
  /** Shown first, as A. */
  first: string
  second: string
}

/** 'none': the reply names neither answer. */
export interface Verdict {
  winner: 'first' | 'second' | 'even' | 'none'
  /** Probability of A against B, where the endpoint tells. */
  probability?: number
}

const rules =
  'You compare two answers to one instruction. Decide which of them serves whoever gave the instruction better: is it ' +
  'correct, does it do all that was asked, is it clear and to the point. Length by itself is no merit, and neither is ' +
  'the order in which the answers are shown. Reply with one letter and nothing else: A or B.'

export function questionMessages({ instruction, first, second }: Question): ChatMessage[] {
  const part = (title: string, text: string) => `### ${title}\n${text.trim() === '' ? '(empty)' : text}`
  const parts = [part('Instruction', instruction), part('Answer A', first), part('Answer B', second)]
  return [
    { role: 'system', content: rules },
    { role: 'user', content: `${parts.join('\n\n')}\n\nWhich answer is better? Reply with A or B.` },
  ]
}

/** A letter with nothing about it but signs: "A", "**B**", "(A).", "Answer: B". */
const letter = /^[^\p{L}\p{N}]*(?:(?:the )?(?:better )?answer(?: is)?[^\p{L}\p{N}]*)?([AB])[^\p{L}\p{N}]*$/iu

/**
 * Reads a reply. It must be a single letter, whatever reasoning stands before it in <think>; where the endpoint gives
 * probabilities, the likelier letter in its place counts.
 */
export function verdictOf({ text, tokens }: ChatReply): Verdict {
  const bare = text.replace(/^[\s\S]*<\/think>/, '')
  const said = letter.exec(bare)?.[1]?.toUpperCase()
  if (said === undefined) return { winner: 'none' }
  const place = tokens?.findLast(({ token }) => letterOf(token) === said)
  const [a, b] = ['A', 'B'].map((name) =>
    (place?.top ?? []).reduce((sum, { token, logProb }) => sum + (letterOf(token) === name ? Math.exp(logProb) : 0), 0),
  ) as [number, number]
  if (a + b === 0) return { winner: said === 'A' ? 'first' : 'second' }
  const probability = a / (a + b)
  return { winner: probability > 0.5 ? 'first' : probability < 0.5 ? 'second' : 'even', probability }
}

function letterOf(token: string): string | undefined {
  return /^\s*([AB])\s*$/.exec(token)?.[1]
}
