// Greedy texts after prompts, all of them: for reasoning and for answers of the model's own.
import type { Sampler } from '../../binding.js'

/** Decode steps of one native call: long enough to pay for the crossing, short enough to be stopped. */
const stepsPerCall = 8

/**
 * The likeliest continuation of each prompt, without the token that ends it.
 * @param sampler greedy, and with nothing under way
 */
export async function writeGreedily(
  sampler: Pick<Sampler, 'add' | 'advance'>,
  prompts: readonly Int32Array[],
  maxNewTokens: number,
): Promise<Int32Array[]> {
  const written: Int32Array[] = Array(prompts.length)
  if (prompts.length === 0) return written
  await sampler.add(prompts.map((tokens, id) => ({ id, tokens, maxNewTokens })))
  for (let left = prompts.length; left > 0; ) {
    const { finished } = await sampler.advance(stepsPerCall)
    for (const { id, tokens } of finished) written[id] = tokens
    left -= finished.length
  }
  return written
}
