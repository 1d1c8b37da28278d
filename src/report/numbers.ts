// Numbers as a reader of a report takes them: thousands separated, shares in percent.

export function countText(value: number): string {
  return value.toLocaleString('en-US')
}

/** (1, "row") -> "1 row", (41, "row") -> "41 rows". */
export function countOf(value: number, noun: string): string {
  return `${countText(value)} ${noun}${value === 1 ? '' : 's'}`
}

/** 0.1184 -> "11.8 %"; a share too small for that keeps two decimals. */
export function percentText(share: number): string {
  const percent = share * 100
  if (!Number.isFinite(percent)) return '-'
  return `${percent.toFixed(percent === 0 || percent >= 99.95 ? 0 : percent >= 1 ? 1 : 2)} %`
}
