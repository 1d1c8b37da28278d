// What the forward model is asked for: a better reply than a text that happens to answer the request.
import { LeakFinder } from '../metrics/health.js'

const ask = `Rewrite the draft below into the best reply to the request. Answer the request directly. Keep what the draft says that is true and useful, with its facts, numbers and examples; leave out what is beside the point, such as menus, advertisements, names of authors and invitations to click; put it in good order. Write the reply alone.`

/** Each given as it stands. */
export function rewritePrompt(instruction: string, response: string): string {
  return `${ask}\n\nRequest:\n${instruction.trim()}\n\nDraft:\n${response.trim()}`
}

const finder = new LeakFinder([ask])

/** Whether a text holds words of the question that its pair has not, or opens by speaking of its task: "Here is the draft:". */
export function repeatsPrompt(
  text: string,
  { instruction, response }: { instruction: string; response: string },
): boolean {
  const given = `${instruction}\n\n${response}`
  const opening = text.trimStart().split('\n', 1)[0]!.slice(0, openingCharacters)
  return (
    finder.find(text, given).length > 0 ||
    (labels.test(text) && !labels.test(given)) ||
    [...opening.matchAll(ofTheTask)].some(([word]) => !given.toLowerCase().includes(word.toLowerCase()))
  )
}

const labels = /^(Request|Draft):/m

/** Where a model talks about its reply, it does so first. */
const openingCharacters = 160
const ofTheTask = /\b(?:draft|request|reply|rewritten|revised|edited version|best response)\b/gi
