// Numbers with thousands separated and bytes in decimal units, for messages.

/** 1342 -> "1,342"; 0.5 -> "0.5" (at most `digits` decimals). */
export function formatCount(value: number, digits = 0): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: digits })
}

/** Bytes in decimal units: 1900000000 -> "1.9 GB". */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value >= 10 || unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`
}

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

const byteUnits: Record<string, number> = { '': 0, k: 1, m: 2, g: 3, t: 4 }

/** "8GB", "7.5 GiB", "900M" or a plain number as bytes; undefined for anything else. */
export function parseBytes(text: string): number | undefined {
  const [, amount, prefix, binary] = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*$/i.exec(text) ?? []
  if (amount === undefined) return undefined
  return Math.floor(Number(amount) * (binary ? 1024 : 1000) ** byteUnits[prefix!.toLowerCase()]!)
}
