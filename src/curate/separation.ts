// How well a number tells good pairs from bad ones: AUC with its interval, and precision and recall at the threshold with the
// highest F1.
import { percentile } from '../metrics/bootstrap.js'
import { below, randomAt } from '../metrics/random.js'

/** How well one number tells good pairs from bad ones. */
export interface Separation {
  /** Probability that a good pair has more than a bad one, ties counted half. */
  auc: number
  /** 95 %, bootstrap over good pairs with what was made of them. */
  interval: [low: number, high: number]
  /** Of keeping what is not below the threshold: share of the kept that is good, and of the good that is kept. */
  precision: number
  recall: number
  threshold: number
}

/** Values of which more is better; NaN counts as less than any. */
export interface Labelled {
  values: ArrayLike<number>
  good: ArrayLike<boolean>
  /** Which resampled unit each belongs to, from 0. */
  origins: ArrayLike<number>
}

const resamples = 1000

/** @param cases with good and bad ones */
export function separationOf(cases: Labelled, seed: number): Separation {
  const ranked = rank(cases)
  const ones = new Float64Array(cases.values.length).fill(1)
  return {
    auc: weightedAuc(ranked, cases, ones),
    interval: intervalOf(ranked, cases, seed),
    ...bestThreshold(ranked, cases),
  }
}

/** Places of the cases from the lowest value to the highest, and where runs of equal values end. */
interface Ranked {
  order: Uint32Array
  ends: number[]
}

function rank({ values }: Labelled): Ranked {
  const worth = Float64Array.from(values, (value) => (Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value))
  const order = Uint32Array.from(worth.keys()).sort((a, b) =>
    worth[a] === worth[b] ? a - b : worth[a]! < worth[b]! ? -1 : 1,
  )
  const ends: number[] = []
  for (let at = 1; at <= order.length; at++) {
    if (at === order.length || worth[order[at]!] !== worth[order[at - 1]!]) ends.push(at)
  }
  return { order, ends }
}

/** NaN without a good or a bad case of any weight. */
function weightedAuc({ order, ends }: Ranked, { good }: Labelled, weights: ArrayLike<number>): number {
  let badBelow = 0
  let goodAll = 0
  let won = 0
  let start = 0
  for (const end of ends) {
    let goodHere = 0
    let badHere = 0
    for (; start < end; start++) {
      const one = order[start]!
      if (good[one]) goodHere += weights[one]!
      else badHere += weights[one]!
    }
    won += goodHere * (badBelow + badHere / 2)
    badBelow += badHere
    goodAll += goodHere
  }
  return won / (goodAll * badBelow)
}

function intervalOf(ranked: Ranked, cases: Labelled, seed: number): [number, number] {
  const units = Math.max(...Array.from(cases.origins)) + 1
  const random = randomAt(seed, 'AUC')
  const weights = new Float64Array(cases.values.length)
  const found = new Float64Array(resamples)
  for (let resample = 0; resample < resamples; resample++) {
    const times = new Uint16Array(units)
    for (let draw = 0; draw < units; draw++) times[below(random(resample * units + draw), units)]!++
    for (let one = 0; one < weights.length; one++) weights[one] = times[cases.origins[one]!]!
    found[resample] = weightedAuc(ranked, cases, weights)
  }
  const sorted = found.filter((value) => !Number.isNaN(value)).sort()
  return [percentile(sorted, 2.5), percentile(sorted, 97.5)]
}

function bestThreshold({ order, ends }: Ranked, { good, values }: Labelled) {
  const goodAll = Array.from(good).filter(Boolean).length
  let best = { f1: -1, precision: 0, recall: 0, threshold: Number.NaN }
  let kept = 0
  let keptGood = 0
  for (let run = ends.length - 1; run >= 0; run--) {
    for (let at = run > 0 ? ends[run - 1]! : 0; at < ends[run]!; at++) {
      kept++
      if (good[order[at]!]) keptGood++
    }
    const [precision, recall] = [keptGood / kept, keptGood / goodAll]
    const f1 = keptGood === 0 ? 0 : (2 * precision * recall) / (precision + recall)
    if (f1 > best.f1) best = { f1, precision, recall, threshold: values[order[ends[run]! - 1]!]! }
  }
  const { precision, recall, threshold } = best
  return { precision, recall, threshold }
}
