// Whether an instruction leads the forward model back to its response.
import { chrfOf } from '../metrics/score.js'
import { orNull } from './encode.js'
import type { ResponseFit } from './fits.js'
import type { Judge } from './side.js'
import type { CandidatePair } from './types.js'
import { writeGreedily } from './write.js'

/** How like the model's own answer is to the response, as far as it goes. */
export async function cyclesOf(
  { side, options }: Judge,
  pairs: readonly CandidatePair[],
  fits: readonly (ResponseFit | null)[],
): Promise<(number | null)[]> {
  const { tokenizer } = side.located
  const prompts = await Promise.all(
    pairs.map(async ({ instruction }, at) =>
      fits[at] ? await orNull(side.template.encodePrompt(instruction, options.maxTokens)) : null,
    ),
  )
  const known = prompts.flatMap((prompt) => prompt?.tokens ?? [])
  const answers = await writeGreedily(side.sampler, known, options.cycleTokens)
  let next = 0
  return prompts.map((prompt, at) => {
    if (!prompt) return null
    const opening = fits[at]!.response.subarray(0, options.cycleTokens)
    return chrfOf(tokenizer.decode(answers[next++]!), tokenizer.decode(opening))
  })
}
