// Log-likelihoods of several models on the same pairs: token-weighted means, and paired differences over rows.
import { type Columns, type FromSums, intervalOf, resampled, sumColumns } from '../metrics/bootstrap.js'
import { againstEach, outcomesOf, pairedDifference } from '../metrics/paired.js'
import type { ComparedModel, Likelihood, LikelihoodDifference } from './types.js'

/** A row as score tells it. */
export interface RowLikelihood {
  logLikelihood: number | null
  tokens: number
}

/** What a model was found to say. */
export interface ModelScores {
  name: string
  pairs: readonly RowLikelihood[]
  /** Of the same responses in the same order, with the instructions of other rows; none where there is no other row. */
  shuffled: readonly RowLikelihood[]
}

export interface LikelihoodComparison {
  /** Rows that every model could score, true and shuffled. */
  scored: number
  models: Pick<ComparedModel, 'name' | 'likelihood' | 'shuffled' | 'gain'>[]
  differences: LikelihoodDifference[]
}

interface Statistics {
  bootstrap: number
  seed: number
}

/** Compares on the rows that all models could score; rows are drawn whole, so that long ones weigh more. */
export function compareLikelihoods(
  models: readonly ModelScores[],
  baselines: readonly string[],
  statistics: Statistics,
): LikelihoodComparison {
  const rows = models[0]!.pairs.length
  const found = models.flatMap(({ pairs, shuffled }) => (shuffled.length === 0 ? [pairs] : [pairs, shuffled]))
  const scored = Array.from({ length: rows }, (_, row) => row).filter((row) =>
    found.every((likelihoods) => likelihoods[row]!.logLikelihood !== null),
  )
  const measured = models.map(({ name, pairs, shuffled }) => ({
    name,
    pairs: measure(
      scored.map((row) => pairs[row]!),
      statistics,
    ),
    shuffled: measure(shuffled.length === 0 ? [] : scored.map((row) => shuffled[row]!), statistics),
  }))
  const bases = baselines.map((name) => measured.find((one) => one.name === name)!)
  return {
    scored: scored.length,
    models: measured.map(({ name, pairs, shuffled }) => ({
      name,
      likelihood: pairs.likelihood,
      shuffled: shuffled.likelihood,
      gain: shuffled.likelihood.logProb === null ? null : differenceOf(pairs, shuffled),
    })),
    differences: againstEach(measured, bases).map(([{ name, pairs }, base]) => ({
      model: name,
      baseline: base.name,
      difference: differenceOf(pairs, base.pairs),
      ...outcomesOf(pairs.byRow, base.pairs.byRow),
    })),
  }
}

type Measured = ReturnType<typeof measure>

function differenceOf(one: Measured, other: Measured) {
  return pairedDifference({ system: one.value, baseline: other.value }, one.sample, other.sample)
}

const perToken: FromSums = ([logLikelihood, tokens]) => logLikelihood! / tokens!

function measure(rows: readonly RowLikelihood[], { bootstrap, seed }: Statistics) {
  const columns: Columns = {
    data: Float64Array.from(rows.flatMap(({ logLikelihood, tokens }) => [logLikelihood!, tokens])),
    width: 2,
  }
  const places = Int32Array.from(rows.keys())
  const sums = sumColumns(columns, places)
  const value = perToken(sums)
  const [sample] = finish(
    resampled(columns, places, [perToken], { resamples: rows.length === 0 ? 0 : bootstrap, seed }),
  )
  const interval = intervalOf(sample!)
  const likelihood: Likelihood = Number.isNaN(value)
    ? { logProb: null, perplexity: null, tokens: 0 }
    : { logProb: { value, ...(interval && { interval }) }, perplexity: Math.exp(-value), tokens: sums[1]! }
  return { likelihood, value, sample: sample!, byRow: rows.map(({ logLikelihood, tokens }) => logLikelihood! / tokens) }
}

/** A generator's result, whatever it yields. */
function finish<T>(work: Generator<unknown, T>): T {
  let step = work.next()
  while (!step.done) step = work.next()
  return step.value
}
