// The rating of a pair by the forward model: what it is asked, and the expectation over its answers.
import type { PackableRow } from '../data/packing.js'
import type { PromptTemplate } from '../text/types.js'
import { beginningOf, orNull } from './encode.js'
import { expectedRating, ratingLead, ratingPrompt, ratingRows, ratings } from './rating.js'
import { answerRoom, type Judge, logProbsOf, sum } from './side.js'
import type { CandidatePair } from './types.js'
import { writeGreedily } from './write.js'

/** The expected rating of each pair; null where a text is empty. */
export async function qualitiesOf(judge: Judge, pairs: readonly CandidatePair[]): Promise<(number | null)[]> {
  const { side, options } = judge
  const prompts = await Promise.all(pairs.map((pair) => ratingPromptOf(judge, pair)))
  const known = prompts.filter((prompt) => prompt !== null)
  const reasoned = options.reasoning > 0 ? await writeGreedily(side.sampler, known, options.reasoning) : undefined
  const rows: PackableRow[] = []
  for (const [at, prompt] of known.entries()) {
    const reasoning = reasoned ? side.located.tokenizer.decode(reasoned[at]!) : ''
    rows.push(...ratingRows(prompt, await ratingAnswers(side.template, reasoning, reasoned?.[at]?.length ?? 0)))
  }
  const logProbs = (await logProbsOf(side, rows, options)).map(sum)
  let next = 0
  return prompts.map((prompt) => {
    if (!prompt) return null
    next += ratings.length
    return expectedRating(logProbs.slice(next - ratings.length, next))
  })
}

/** The question for a pair's rating, its texts cut to fit: at most a third of the room for the instruction. */
async function ratingPromptOf(
  { side, options, ratingOverhead }: Judge,
  { instruction, response }: CandidatePair,
): Promise<Int32Array | null> {
  if (instruction.trim() === '' || response.trim() === '') return null
  const { tokenizer } = side.located
  const room = Math.max(32, options.maxTokens - ratingOverhead)
  const asked = await beginningOf(tokenizer, instruction.trim(), Math.floor(room / 3))
  const taken = Math.min(Math.floor(room / 3), Buffer.byteLength(asked))
  const replied = await beginningOf(tokenizer, response.trim(), room - taken)
  const prompt = await orNull(
    side.template.encodePrompt(ratingPrompt(asked, replied, options.reasoning > 0), options.maxTokens + answerRoom / 2),
  )
  return prompt?.tokens ?? null
}

/** Tokens of the five answers, each up to its digit, as the target of any pair. */
async function ratingAnswers(template: PromptTemplate, reasoning: string, written: number): Promise<number[][]> {
  const lead = ratingLead(reasoning)
  const rows = await Promise.all(
    ratings.map((rating) =>
      template.encodePair({ instruction: 'x', response: `${lead}${rating}` }, 4096 + 4 * written),
    ),
  )
  return rows.map(({ tokens, targetStart }) => Array.from(tokens.subarray(targetStart, -1)))
}
