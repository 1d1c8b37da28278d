// Long series made short enough to draw, without losing what stands out.

/** A point of a series. */
export type Point = readonly [x: number, y: number]

/**
 * At most about `most` points of a series in order of x: of each stretch of equal length its lowest and its highest, in
 * their order, so that no peak is lost. First and last stay.
 */
export function thin(points: readonly Point[], most: number): readonly Point[] {
  if (points.length <= most) return points
  const stretches = Math.max(1, Math.floor(most / 2) - 1)
  const inner = points.slice(1, -1)
  const kept = [points[0]!]
  for (let stretch = 0; stretch < stretches; stretch++) {
    const start = Math.floor((stretch * inner.length) / stretches)
    const end = Math.floor(((stretch + 1) * inner.length) / stretches)
    let [low, high] = [start, start]
    for (let at = start + 1; at < end; at++) {
      if (inner[at]![1] < inner[low]![1]) low = at
      if (inner[at]![1] > inner[high]![1]) high = at
    }
    for (const at of new Set([Math.min(low, high), Math.max(low, high)])) kept.push(inner[at]!)
  }
  return [...kept, points.at(-1)!]
}
