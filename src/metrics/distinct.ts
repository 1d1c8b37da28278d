// Distinct-1 and distinct-2 (Li et al., 2016): how varied the written texts are as a whole.
import type { EvaluationRow, Measurement, Measurements } from './types.js'
import { words } from './words.js'

/**
 * Distinct n-grams over all n-grams of all texts, in percent, for the written texts and, beside them, the true ones.
 * It falls as texts are added, so only sets of the same size compare. It has no interval: a resample repeats rows, and
 * is less varied than any set of as many different rows.
 */
export function distinct(rows: readonly EvaluationRow[]): Measurements {
  const written = rows.map((row) => words(row.prediction))
  const truth = rows.flatMap((row) => (row.reference === undefined ? [] : [words(row.reference)]))
  const measured: Measurements = {}
  for (const [name, order] of [
    ['distinct1', 1],
    ['distinct2', 2],
  ] as const) {
    const value = share(written, order)
    if (value === undefined) continue
    const measurement: Measurement = { value }
    const references = share(truth, order)
    // Beside a set of another size the true texts' share would mislead.
    if (references !== undefined && truth.length === rows.length) measurement.references = { value: references }
    measured[name] = measurement
  }
  return measured
}

/** Undefined where no text has an n-gram. */
function share(texts: readonly string[][], order: 1 | 2): number | undefined {
  const seen = new Set<string>()
  let total = 0
  for (const tokens of texts) {
    for (let at = 0; at + order <= tokens.length; at++) {
      seen.add(order === 1 ? tokens[at]! : `${tokens[at]} ${tokens[at + 1]}`)
      total++
    }
  }
  return total === 0 ? undefined : (100 * seen.size) / total
}
