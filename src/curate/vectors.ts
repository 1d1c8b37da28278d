// A pair as a vector, for diversity: what the base model makes of its beginning.
import type { Model } from '../../binding.js'
import type { Located } from '../generate/load.js'
import type { CandidatePair } from './types.js'

/** Tokens of a pair that are looked at for its vector: what it is about is said by then. */
export const vectorTokens = 256

/** [hidden] of each pair; undefined where both texts are empty. */
export async function vectorsOf(
  model: Model,
  { tokenizer }: Located,
  pairs: readonly CandidatePair[],
): Promise<(Float32Array | undefined)[]> {
  const rows = await Promise.all(
    pairs.map(async ({ instruction, response }) => {
      const ids = await tokenizer.encodeText(`${instruction.trim()}\n\n${response.trim()}`.trim())
      return ids.slice(0, vectorTokens)
    }),
  )
  const known = rows.filter((row) => row.length > 0)
  if (known.length === 0) return rows.map(() => undefined)
  const cuSeqlens = new Int32Array(known.length + 1)
  for (const [at, row] of known.entries()) cuSeqlens[at + 1] = cuSeqlens[at]! + row.length
  const states = await model.hiddenStates({
    tokens: Int32Array.from(known.flat()),
    cuSeqlens,
    scored: new Int32Array(),
    rows: Int32Array.from(known.keys()),
  })
  const width = states.length / known.length
  let next = 0
  return rows.map((row) => (row.length > 0 ? states.slice(width * next, width * ++next) : undefined))
}
