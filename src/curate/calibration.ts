// What the scores of planted pairs say: how well each score tells good from bad, and all of them together as `fit`.
import { type Logistic, predictLogistic, trainLogistic } from './logistic.js'
import { type PlantedKind, type PlantedPair, plantedKinds } from './plant.js'
import { type Separation, separationOf } from './separation.js'
import { lowIsGood, type ScoreName, scoreNames } from './types.js'

/** One scored planted pair. */
export type PlantedRow = PlantedPair & { [name in ScoreName]?: number | null }

/** How well a score tells good pairs from planted ones. */
export interface ScoreSeparation {
  score: ScoreName
  /** More is better, or less is. */
  better: 'high' | 'low'
  /** Against all planted pairs, and those of each kind. The threshold is one of the score itself. */
  all: Separation
  kinds: Record<PlantedKind, Separation>
}

/** What planted pairs tell of the scores, and the fit that was learned from them. */
export interface Calibration {
  /** Good pairs, and planted ones of each kind. */
  good: number
  planted: Record<PlantedKind, number>
  /** Where the good pairs come from. */
  reference: string
  /** Best first, by AUC against all; fit's is out of fold. */
  scores: ScoreSeparation[]
  /** How fit is computed from the scores that it names. */
  fit: Logistic & { features: ScoreName[]; folds: number }
}

/**
 * Length and copies would tell how pairs were planted, not how good they are: a cut response is short.
 */
const notFeatures: ReadonlySet<ScoreName> = new Set(['length', 'copy', 'fit'])

/** Planted pairs are learned from and judged apart: those of one good pair fall into one fold. */
const folds = 5

/** Measures every score on planted pairs, and learns fit. Pure; the same rows give the same. */
export function calibrate(rows: readonly PlantedRow[], reference: string, seed: number): Calibration {
  const present = scoreNames.filter((name) => rows.some((row) => typeof row[name] === 'number'))
  const features = present.filter((name) => !notFeatures.has(name))
  const inputs = rows.map((row) => featuresOf(row, features))
  const good = rows.map(({ kind }) => kind === 'good')
  const outOfFold = predictOutOfFold(rows, inputs, good)
  const columns: [ScoreName, number[]][] = [
    ...present.map((name): [ScoreName, number[]] => [name, rows.map((row) => row[name] ?? Number.NaN)]),
    ['fit', outOfFold],
  ]
  const count = (kind: PlantedPair['kind']) => rows.filter((row) => row.kind === kind).length
  return {
    good: count('good'),
    planted: { shuffled: count('shuffled'), cut: count('cut'), language: count('language') },
    reference,
    scores: columns
      .map(([score, values]) => separate(score, values, rows, seed))
      .toSorted((a, b) => b.all.auc - a.all.auc),
    fit: { features, folds, ...trainLogistic(inputs, good) },
  }
}

/** Probability of being good, of one row. NaN for one without any score. */
export function fitOf({ fit }: Calibration, row: { [name in ScoreName]?: number | null }): number {
  const input = featuresOf(row, fit.features)
  return input.every(Number.isNaN) ? Number.NaN : predictLogistic(fit, input)
}

function featuresOf(row: { [name in ScoreName]?: number | null }, features: readonly ScoreName[]): number[] {
  return features.map((name) => row[name] ?? Number.NaN)
}

function predictOutOfFold(
  rows: readonly PlantedRow[],
  inputs: readonly number[][],
  good: readonly boolean[],
): number[] {
  const predicted = new Array<number>(rows.length).fill(Number.NaN)
  for (let fold = 0; fold < folds; fold++) {
    const inFold = rows.map(({ origin }) => origin % folds === fold)
    const model = trainLogistic(
      inputs.filter((_, at) => !inFold[at]),
      good.filter((_, at) => !inFold[at]),
    )
    for (const [at, input] of inputs.entries()) if (inFold[at]) predicted[at] = predictLogistic(model, input)
  }
  return predicted
}

function separate(
  score: ScoreName,
  values: readonly number[],
  rows: readonly PlantedRow[],
  seed: number,
): ScoreSeparation {
  const sign = lowIsGood.has(score) ? -1 : 1
  const against = (kinds: readonly PlantedKind[]): Separation => {
    const taken = rows.flatMap(({ kind }, at) => (kind === 'good' || kinds.includes(kind) ? [at] : []))
    const found = separationOf(
      {
        values: taken.map((at) => sign * values[at]!),
        good: taken.map((at) => rows[at]!.kind === 'good'),
        origins: taken.map((at) => rows[at]!.origin),
      },
      seed,
    )
    return { ...found, threshold: sign * found.threshold }
  }
  const kinds = Object.fromEntries(plantedKinds.map((kind) => [kind, against([kind])])) as ScoreSeparation['kinds']
  return { score, better: sign < 0 ? 'low' : 'high', all: against(plantedKinds), kinds }
}
