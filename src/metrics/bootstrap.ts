// The bootstrap: rows are drawn with replacement, and each metric is computed anew from their summed columns.
import { below, randomAt } from './random.js'

/** Rows of numbers that add up: [rows * width], row-major. */
export interface Columns {
  data: Float64Array
  width: number
}

/** A metric as a function of the columns' sums. NaN where nothing was counted. */
export type FromSums = (sums: Float64Array) => number

/** Sums of the columns over the rows that `rows` lists. */
export function sumColumns({ data, width }: Columns, rows: ArrayLike<number>): Float64Array {
  const sums = new Float64Array(width)
  for (let index = 0; index < rows.length; index++) {
    const start = rows[index]! * width
    for (let column = 0; column < width; column++) sums[column]! += data[start + column]!
  }
  return sums
}

/** Rows that are added to all resamples before the next ones are read: 170 columns of them stay in a core's cache. */
const blockRows = 256
/** Resamples that are worked on together: bounds the memory of their draws. */
const groupSize = 100

/**
 * Values of all metrics over the same resamples of `rows`. Yields how many resamples are done. The draws are a function of
 * the seed and the number of rows: two tables of as many rows are drawn alike, so that their values pair up.
 * @returns for each metric [resamples]; NaN where a resample gives it no value
 */
export function* resampled(
  columns: Columns,
  rows: ArrayLike<number>,
  metrics: readonly FromSums[],
  options: { resamples: number; seed: number },
): Generator<number, Float64Array[]> {
  const values = metrics.map(() => new Float64Array(options.resamples))
  for (let first = 0; first < options.resamples; first += groupSize) {
    const count = Math.min(groupSize, options.resamples - first)
    for (const [index, sums] of (yield* resampledSums(columns, rows, { first, count, seed: options.seed })).entries()) {
      for (const [which, metric] of metrics.entries()) values[which]![first + index] = metric(sums)
    }
    yield first + count
  }
  return values
}

/** 95% interval (percentile) of resampled values; undefined where none of them is a number. */
export function intervalOf(values: Float64Array): [number, number] | undefined {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort()
  return sorted.length === 0 ? undefined : [percentile(sorted, 2.5), percentile(sorted, 97.5)]
}

/** Sums of the columns over `count` resamples, from the one of number `first` on. */
function* resampledSums(
  { data, width }: Columns,
  rows: ArrayLike<number>,
  { first, count, seed }: { first: number; count: number; seed: number },
): Generator<number, Float64Array[]> {
  const random = randomAt(seed, 'bootstrap')
  const size = rows.length
  const sums = Array.from({ length: count }, () => new Float64Array(width))
  const times = Array.from({ length: count }, (_, index) => {
    const drawn = new Uint16Array(size)
    const start = (first + index) * size
    for (let draw = 0; draw < size; draw++) drawn[below(random(start + draw), size)]!++
    return drawn
  })
  for (let begin = 0; begin < size; begin += blockRows) {
    const end = Math.min(size, begin + blockRows)
    for (const [index, drawn] of times.entries()) addRows(sums[index]!, data, rows, drawn, begin, end)
    yield first
  }
  return sums
}

/** Adds rows begin .. end, each as often as it was drawn: four at a time, so that a sum is read and written a quarter as often. */
function addRows(
  sums: Float64Array,
  data: Float64Array,
  rows: ArrayLike<number>,
  times: Uint16Array,
  begin: number,
  end: number,
): void {
  const width = sums.length
  const starts = [0, 0, 0, 0]
  const weights = [0, 0, 0, 0]
  let gathered = 0
  for (let row = begin; row < end || gathered > 0; row++) {
    const weight = row < end ? times[row]! : 0
    if (row < end && weight === 0) continue
    // Past the end the last few are filled up with rows that count nothing.
    starts[gathered] = row < end ? rows[row]! * width : 0
    weights[gathered] = weight
    gathered++
    if (gathered < 4) continue
    gathered = 0
    const [a, b, c, d] = starts as [number, number, number, number]
    const [wa, wb, wc, wd] = weights as [number, number, number, number]
    for (let column = 0; column < width; column++) {
      sums[column]! += data[a + column]! * wa + data[b + column]! * wb + data[c + column]! * wc + data[d + column]! * wd
    }
  }
}

/** Percentile of sorted values with linear interpolation, as numpy's default. */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  const place = (percent / 100) * (sorted.length - 1)
  const low = sorted[Math.floor(place)]!
  const high = sorted[Math.ceil(place)]!
  return low + (high - low) * (place - Math.floor(place))
}
