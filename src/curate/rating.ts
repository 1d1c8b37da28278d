// The question for a rating from 1 to 5, and the number that a model's answer to it stands for. The answer is never read:
// the rating is the expectation over the probabilities that the five digits have, so it is always there, and fractional.
import type { PackableRow } from '../data/packing.js'

export const ratings = [1, 2, 3, 4, 5] as const

/** What stands before the digit in an answer. */
const lead = 'Score: '

const criteria = `Judge how well a reply serves the person who wrote the request, as a helpful assistant's reply that others learn from.

5: does exactly what was asked; correct, complete, clear and in good order; says nothing beside the point
4: does what was asked, with small gaps or some words too many
3: helps in part; something that was asked for is missing, or much is beside the point
2: speaks of the subject but does not do what was asked, is hard to follow, or breaks off
1: answers another request, is wrong or empty, or is in another language than the request needs`

const ask = {
  atOnce: 'How good is this reply, from 1 to 5? Answer with "Score: " and the number.',
  reasoned:
    'How good is this reply, from 1 to 5? First say in a sentence or two what speaks for and against it, then end with a line "Score: " and the number.',
}

/** The question. The criteria come first: all pairs share them, and they are computed once. */
export function ratingPrompt(instruction: string, response: string, reasoned: boolean): string {
  return `${criteria}\n\nRequest:\n${instruction}\n\nReply:\n${response}\n\n${reasoned ? ask.reasoned : ask.atOnce}`
}

/** The beginning of an answer, up to the digit: after what was reasoned, without a rating that was written there. */
export function ratingLead(reasoning: string): string {
  const kept = reasoning.replace(/\**\bscore\b\W*:[\s\S]*$/i, '').trim()
  return kept === '' ? lead : `${kept}\n${lead}`
}

/**
 * Rows that ask for the probability of each digit after a prompt. What their tokens have in common is not scored.
 * @param prompt [P] the question, laid out
 * @param answers of each rating the tokens of the answer that ends with its digit
 */
export function ratingRows(prompt: Int32Array, answers: readonly (readonly number[])[]): PackableRow[] {
  const common = commonStart(answers)
  return answers.map((answer) => ({
    tokens: Int32Array.from([...prompt, ...answer]),
    targetStart: prompt.length + common,
  }))
}

function commonStart(lists: readonly (readonly number[])[]): number {
  const shortest = Math.min(...lists.map(({ length }) => length))
  for (let at = 0; at < shortest; at++) if (lists.some((list) => list[at] !== lists[0]![at])) return at
  return shortest - 1
}

/** The expected rating, 1 to 5, from the log-probability of each digit; they are taken relative to one another. */
export function expectedRating(logProbs: readonly number[]): number {
  const highest = Math.max(...logProbs)
  const weights = logProbs.map((logProb) => Math.exp(logProb - highest))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.reduce((total, weight, at) => total + weight * ratings[at]!, 0) / sum
}
