// Medians and spreads of a few measurements.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** [lowest, highest] */
export function spread(values) {
  return [Math.min(...values), Math.max(...values)]
}
