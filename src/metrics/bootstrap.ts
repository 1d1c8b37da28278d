// Intervals by the bootstrap: rows are drawn with replacement, and each metric is computed anew from their summed columns.
import { below, randomAt } from './random.js'

/** Rows of numbers that add up: [rows * width], row-major. */
export interface Columns {
  data: Float64Array
  width: number
}

/** A metric as a function of the columns' sums. NaN where nothing was counted. */
export type FromSums = (sums: Float64Array) => number

/** Sums of the columns over the rows that `rows` lists, each taken once or `times` [rows.length] times. */
export function sumColumns({ data, width }: Columns, rows: ArrayLike<number>, times?: Uint16Array): Float64Array {
  const sums = new Float64Array(width)
  for (let index = 0; index < rows.length; index++) {
    const weight = times ? times[index]! : 1
    if (weight > 0) addRow(sums, data, rows[index]! * width, weight)
  }
  return sums
}

function addRow(sums: Float64Array, data: Float64Array, start: number, weight: number): void {
  for (let column = 0; column < sums.length; column++) sums[column]! += data[start + column]! * weight
}

/**
 * 95% intervals (percentile) of all metrics over the same resamples of `rows`.
 * @param resamples 0 gives undefined for every metric
 * @returns one interval a metric; undefined where no resample gives the metric a value
 */
export function intervals(
  columns: Columns,
  rows: ArrayLike<number>,
  metrics: readonly FromSums[],
  options: { resamples: number; seed: number },
): ([number, number] | undefined)[] {
  const random = randomAt(options.seed, 'bootstrap')
  const values = metrics.map(() => new Float64Array(options.resamples))
  const times = new Uint16Array(rows.length)
  for (let resample = 0; resample < options.resamples; resample++) {
    const first = resample * rows.length
    times.fill(0)
    for (let draw = 0; draw < rows.length; draw++) times[below(random(first + draw), rows.length)]!++
    const sums = sumColumns(columns, rows, times)
    for (const [index, metric] of metrics.entries()) values[index]![resample] = metric(sums)
  }
  return values.map((sample) => {
    const sorted = sample.filter((value) => !Number.isNaN(value)).sort()
    return sorted.length === 0 ? undefined : [percentile(sorted, 2.5), percentile(sorted, 97.5)]
  })
}

/** Percentile of sorted values with linear interpolation, as numpy's default. */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  const place = (percent / 100) * (sorted.length - 1)
  const low = sorted[Math.floor(place)]!
  const high = sorted[Math.ceil(place)]!
  return low + (high - low) * (place - Math.floor(place))
}
