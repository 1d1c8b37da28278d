// How well the two texts of a pair follow from one another.
import { backwardRows, type ForwardRows, forwardRows } from './encode.js'
import type { ScorerOptions } from './options.js'
import { type Judge, logProbsByName, type Side, sum } from './side.js'
import type { CandidatePair } from './types.js'

export interface ResponseFit {
  likelihood: number
  pmi: number
  ifd: number
  ending: number
  unread: number
  response: Int32Array
}

/** Of each response, by the forward model; null where a text is empty. */
export async function responseFits(
  { side, options }: Judge,
  pairs: readonly CandidatePair[],
): Promise<(ResponseFit | null)[]> {
  const encoded = await Promise.all(
    pairs.map((pair) => forwardRows(side.template, side.blank, pair, options.maxTokens)),
  )
  const scored = await logProbsByName(side, encoded, ['given', 'alone', 'end'], options)
  return encoded.map((one, at) => {
    if (!one) return null
    const { given, alone, end } = scored[at]!
    return fitOf(one, given!, alone!, end ? end[0]! : given!.at(-1)!)
  })
}

function fitOf(
  { response, unread }: ForwardRows,
  given: Float32Array,
  alone: Float32Array,
  ending: number,
): ResponseFit {
  const tokens = alone.length // the end token is not among them
  const likelihood = sum(given.subarray(0, tokens)) / tokens
  const without = sum(alone) / tokens
  return { likelihood, pmi: likelihood - without, ifd: likelihood / without, ending, unread, response }
}

/** Of each instruction, by the backward model; null where the pair does not fit. */
export async function backwardFits(
  side: Side,
  pairs: readonly CandidatePair[],
  options: ScorerOptions,
): Promise<({ backward: number; backwardPmi: number } | null)[]> {
  const encoded = await Promise.all(
    pairs.map((pair) => backwardRows(side.template, side.blank, pair, options.maxTokens)),
  )
  const scored = await logProbsByName(side, encoded, ['given', 'alone'], options)
  return encoded.map((one, at) => {
    if (!one) return null
    const { given, alone } = scored[at]!
    const total = sum(given!)
    return { backward: total / given!.length, backwardPmi: total - sum(alone!) }
  })
}
