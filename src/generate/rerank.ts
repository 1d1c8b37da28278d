// Which of a row's candidates is kept. Faults count first: one that the guard found clean goes before one that it did not.
import type { PackedBatch } from '../../binding.js'
import { packBatch } from '../data/packing.js'
import type { Before } from '../text/types.js'
import type { Candidate } from './row.js'

export type Rerank = 'pmi' | 'likelihood'

/** log p of each scored token: a sampler's logProbs. */
export type Score = (batch: PackedBatch) => Promise<Float32Array>

export interface Ranking {
  by: Rerank
  score: Score
  /** The task's prompt with nothing in the place of the text: what p(y) is given. */
  blankPrompt(before: Before | undefined): Promise<Int32Array>
  /** Ends a text: scored with it, as in training. */
  endToken: number
}

/**
 * Gives each candidate its score.
 * pmi: log p(y|x) - log p(y), in nats over the whole text (Holtzman et al. 2021's domain-conditional PMI: p(y) is the same
 * model's after the task's own prompt without the text). likelihood: log p(y|x) over the number of tokens. Candidates of
 * one row are scored together and with no others, so that a score does not depend on a row's neighbours.
 */
export async function scoreCandidates(
  candidates: readonly Candidate[],
  ranking: Ranking,
  before?: Before,
): Promise<void> {
  for (const one of candidates) {
    const sum = one.logProbs.reduce((total, value) => total + value, 0)
    one.score = ranking.by === 'pmi' || one.logProbs.length === 0 ? sum : sum / one.logProbs.length
  }
  if (ranking.by === 'likelihood') return
  const scorable = candidates.filter(({ logProbs }) => logProbs.length > 0)
  if (scorable.length === 0) return
  const blank = await ranking.blankPrompt(before)
  const rows = scorable.map((one) => targetRow(one, blank, ranking.endToken))
  const logProbs = await ranking.score(packBatch(rows, Int32Array.from(rows.keys())))
  let next = 0
  for (const one of scorable) for (const _ of one.logProbs) one.score! -= logProbs[next++]!
}

/** The blank prompt and the candidate's own tokens, as many as have a log-probability. */
function targetRow({ tokens, logProbs }: Candidate, blankPrompt: Int32Array, endToken: number) {
  const row = new Int32Array(blankPrompt.length + logProbs.length)
  row.set(blankPrompt)
  row.set(tokens.subarray(0, logProbs.length), blankPrompt.length)
  if (logProbs.length > tokens.length) row[row.length - 1] = endToken
  return { tokens: row, targetStart: blankPrompt.length }
}

/** The candidate with the fewest faults, of those the one with the highest score, of those the first. */
export function bestOf(candidates: readonly Candidate[]): Candidate {
  return candidates.reduce((best, one) => {
    if (one.faults.length !== best.faults.length) return one.faults.length < best.faults.length ? one : best
    return (one.score ?? 0) > (best.score ?? 0) ? one : best
  })
}
