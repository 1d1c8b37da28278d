// Whether two systems differ, from the same resamples of the same rows: the paired bootstrap.
import { intervalOf } from './bootstrap.js'
import type { Difference } from './types.js'

/**
 * The difference of two values with its 95 % interval (percentile) and p-value. The p-value is two-sided: how often a
 * resampled difference lies as far from the mean of all as the true one from zero (the shift method of Noreen, 1989; the
 * true one is counted in). sacrebleu counts one tail alone: about half of it. Systems that do not differ have p = 1.
 * @param value of the system and of the baseline, over all rows
 * @param system [resamples] values of the system; NaN where a resample gave none
 * @param baseline [resamples] values of the baseline in the same resamples
 */
export function pairedDifference(
  value: { system: number; baseline: number },
  system: Float64Array,
  baseline: Float64Array,
): Difference {
  const difference = value.system - value.baseline
  const resampled = system.map((one, at) => one - baseline[at]!).filter((one) => !Number.isNaN(one))
  const interval = intervalOf(resampled)
  if (!interval) return { value: difference }
  const mean = resampled.reduce((sum, one) => sum + one, 0) / resampled.length
  const asFar = resampled.filter((one) => Math.abs(one - mean) >= Math.abs(difference)).length
  return { value: difference, interval, p: (asFar + 1) / (resampled.length + 1) }
}

/** Each with each baseline, every two of them once. */
export function againstEach<T>(all: readonly T[], baselines: readonly T[]): [T, T][] {
  return baselines.flatMap((base, at) => {
    const before = baselines.slice(0, at + 1)
    return all.filter((one) => !before.includes(one)).map((one): [T, T] => [one, base])
  })
}

export interface Outcomes {
  wins: number
  ties: number
  losses: number
}

/** Two values closer than this are a tie: the rounding of a sum. */
const sameWithin = 1e-9

/** Rows in which the system has the higher value, the same, a lower one. Rows in which either has none are left out. */
export function outcomesOf(system: ArrayLike<number>, baseline: ArrayLike<number>): Outcomes {
  const outcomes = { wins: 0, ties: 0, losses: 0 }
  for (let row = 0; row < system.length; row++) {
    const difference = system[row]! - baseline[row]!
    if (Number.isNaN(difference)) continue
    if (Math.abs(difference) <= sameWithin) outcomes.ties++
    else if (difference > 0) outcomes.wins++
    else outcomes.losses++
  }
  return outcomes
}
