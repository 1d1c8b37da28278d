// How values fall: bins of equal width, counted before and after a selection, and drawn as bars for a terminal.
import { countText } from './numbers.js'

/** How many values fall where, before and after a selection. */
export interface Histogram {
  /** [bins + 1] edges, ascending; the last bin holds its upper edge. */
  edges: number[]
  /** [bins] values in each, all and those that were kept. Values beyond the edges stand in the outer bins. */
  all: number[]
  kept: number[]
}

/** Values beyond these shares of a long tail stand in the outer bins: they must not flatten all others. */
const tail = 0.005

/**
 * Counts values in bins of equal width.
 * @param kept of each value whether it was kept
 * @returns undefined where no value is finite
 */
export function histogramOf(values: ArrayLike<number>, kept: ArrayLike<boolean>, bins = 20): Histogram | undefined {
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort()
  if (sorted.length === 0) return undefined
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!
  const [low, high] = sorted.length < 200 ? [at(0), at(1)] : [at(tail), at(1 - tail)]
  const width = (high - low || 1) / bins
  const histogram: Histogram = {
    edges: Array.from({ length: bins + 1 }, (_, edge) => low + edge * width),
    all: Array(bins).fill(0),
    kept: Array(bins).fill(0),
  }
  for (let index = 0; index < values.length; index++) {
    if (!Number.isFinite(values[index])) continue
    const bin = Math.max(0, Math.min(bins - 1, Math.floor((values[index]! - low) / width)))
    histogram.all[bin]!++
    if (kept[index]) histogram.kept[bin]!++
  }
  return histogram
}

/** Eighths of a sign, from none to all of it. */
const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█']

/**
 * A histogram as lines: lower edge, a bar whose full part was kept and whose light part was not, and counts.
 * @param width columns of the longest bar
 */
export function histogramText(title: string, { edges, all, kept }: Histogram, width = 40): string {
  const most = Math.max(1, ...all)
  const labels = edges.slice(0, -1).map((edge) => edgeText(edge, edges.at(-1)! - edges[0]!))
  const labelWidth = Math.max(...labels.map((label) => label.length))
  const lines = all.map((count, bin) => {
    const full = fullBar((width * kept[bin]!) / most)
    const light = '░'.repeat(Math.max(0, Math.round((width * count) / most) - full.length))
    const counts = kept[bin] === count ? countText(count) : `${countText(kept[bin]!)} of ${countText(count)}`
    return `${labels[bin]!.padStart(labelWidth)} ${full}${light}${full || light ? ' ' : ''}${counts}`
  })
  return [title, ...lines].join('\n')
}

function fullBar(columns: number): string {
  const whole = Math.floor(columns)
  return '█'.repeat(whole) + eighths[Math.round(8 * (columns - whole))]!
}

/** As many decimals as tell bins apart. */
function edgeText(edge: number, span: number): string {
  const decimals = Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(Math.abs(span) || 1))))
  const text = edge.toFixed(decimals)
  return Number(text) === 0 ? (0).toFixed(decimals) : text
}

const levels = [...'▁▂▃▄▅▆▇█']

/** Counts as a row of signs, the highest as high as a sign is; a space where there is none. */
export function sparkline(counts: readonly number[], most = Math.max(...counts)): string {
  return counts
    .map((count) => (count === 0 ? ' ' : levels[Math.min(7, Math.floor((8 * (count - 1)) / Math.max(1, most)))]!))
    .join('')
}
