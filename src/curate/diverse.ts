// Rows that are far from one another: the farthest-first traversal (Gonzalez 1985), which covers all rows within twice the
// least radius that so many centres can have. Distances are taken between directions in a space of few dimensions.
import { randomAt } from '../metrics/random.js'
import type { Progress } from '../progress.js'

/** Dimensions that hidden states are projected to. */
export const vectorWidth = 64

/** A vector a row, side by side. */
export interface Vectors {
  /** [rows * vectorWidth]; NaN for a row without texts, which is not to be chosen from. */
  data: Float32Array
}

/**
 * Projects vectors by random signs, which keeps their distances but for some percent (Achlioptas 2003).
 * @param width of each vector
 */
export function makeProjection(width: number): (vector: Float32Array) => Float32Array {
  const random = randomAt(0, 'projection')
  const signs = Int8Array.from({ length: width * vectorWidth }, (_, at) => (random(at) & 1 ? 1 : -1))
  return (vector) => {
    const projected = new Float32Array(vectorWidth)
    for (let to = 0; to < vectorWidth; to++) {
      let sum = 0
      for (let from = 0; from < width; from++) sum += signs[to * width + from]! * vector[from]!
      projected[to] = sum / Math.sqrt(vectorWidth)
    }
    return projected
  }
}

/** The named rows' vectors about their mean, each of length 1: hidden states of all texts have much in common. */
export function directionsOf({ data }: Vectors, rows: readonly number[]): Float32Array {
  const mean = new Float64Array(vectorWidth)
  for (const row of rows)
    for (let at = 0; at < vectorWidth; at++) mean[at]! += data[row * vectorWidth + at]! / rows.length
  const directions = new Float32Array(rows.length * vectorWidth)
  for (const [place, row] of rows.entries()) {
    const centred = Array.from(mean, (value, at) => data[row * vectorWidth + at]! - value)
    const length = Math.hypot(...centred) || 1
    directions.set(
      centred.map((value) => value / length),
      place * vectorWidth,
    )
  }
  return directions
}

/**
 * Picks points one after the other, each the farthest from those before it; ties go to the first. Yields
 * after each pick.
 * @param directions [points * vectorWidth]
 * @param first the point to begin with
 */
export function* farthestPoints(directions: Float32Array, count: number, first: number): Generator<Progress, number[]> {
  const points = directions.length / vectorWidth
  // Squared distance to the nearest pick; -1 for a pick itself.
  const nearest = new Float32Array(points).fill(Number.POSITIVE_INFINITY)
  const picks: number[] = []
  for (let next = first; picks.length < Math.min(count, points); ) {
    picks.push(next)
    nearest[next] = -1
    let farthest = -1
    let distance = -1
    for (let point = 0; point < points; point++) {
      if (nearest[point]! < 0) continue
      const squared = squaredDistance(directions, point, next)
      if (squared < nearest[point]!) nearest[point] = squared
      if (nearest[point]! > distance) {
        distance = nearest[point]!
        farthest = point
      }
    }
    yield { label: 'choosing diverse rows', done: picks.length, total: Math.min(count, points), unit: 'rows' }
    next = farthest
  }
  return picks
}

function squaredDistance(directions: Float32Array, one: number, other: number): number {
  const [a, b] = [one * vectorWidth, other * vectorWidth]
  let sum = 0
  for (let at = 0; at < vectorWidth; at++) {
    const difference = directions[a + at]! - directions[b + at]!
    sum += difference * difference
  }
  return sum
}
