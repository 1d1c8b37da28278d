// Numbers as a person reads them: thousands separated, units always named. No colour, no layout.
import { formatCount } from '../units.js'

export { formatBytes, formatCount } from '../units.js'

/** Seconds as "42 s", "5:02" or "1:02:03". */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '--:--'
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  const two = (value: number) => String(value).padStart(2, '0')
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor((whole % 3600) / 60)
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}

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
