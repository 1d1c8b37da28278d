// Numbers as a person reads them: thousands separated, units always named. No colour, no layout.
import { formatCount } from '../units.js'

export { formatBytes, formatCount, formatDuration } from '../units.js'

/** Parameters or weights: 134515008 -> "134.5 M". */
export function formatMillions(value: number): string {
  if (value < 1e6) return formatCount(value)
  if (value < 1e9) return `${(value / 1e6).toFixed(value < 1e7 ? 2 : 1)} M`
  return `${(value / 1e9).toFixed(2)} B`
}

/** A share as a percentage with one decimal where it is small: 0.118 -> "11.8 %". */
export function formatPercent(share: number): string {
  const percent = share * 100
  if (!Number.isFinite(percent)) return '-'
  return `${percent >= 100 ? percent.toFixed(0) : percent >= 1 ? percent.toFixed(1) : percent.toFixed(2)} %`
}

/** `count` with its noun: (1, "row") -> "1 row", (41, "row") -> "41 rows". */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}
