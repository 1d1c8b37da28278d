// Lengths of many texts, and the few numbers that tell what they are like.
import { characterCount } from './normalise.js'

/** Characters (code points). */
export interface LengthSummary {
  mean: number
  median: number
  /** 95 of 100 are at most this long. */
  p95: number
  max: number
}

export class Lengths {
  private readonly values: number[] = []

  add(text: string): void {
    this.values.push(characterCount(text))
  }

  /** All zero when there was no text. */
  summary(): LengthSummary {
    const sorted = Float64Array.from(this.values).sort()
    const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
    const sum = sorted.reduce((total, value) => total + value, 0)
    return { mean: sum / Math.max(1, sorted.length), median: at(0.5), p95: at(0.95), max: at(1) }
  }
}
