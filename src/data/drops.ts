// Counting what is left out, by reason, with the first places of each. Nothing is dropped anywhere in the package
// without passing here.
import { BtError } from '../errors.js'
import type { DropCount } from './types.js'

/** A line or record that cannot be read. */
export interface Malformed {
  /** "file.jsonl:12" */
  place: string
  why: string
}

/** Reason under which unreadable lines and records are counted. */
export const malformedReason = 'malformed'

export class Drops {
  private readonly byReason = new Map<string, DropCount>()
  /** The first hundred unreadable records, each with what is wrong. */
  readonly malformed: Malformed[] = []
  total = 0

  constructor(private readonly options: { strict?: boolean; examples?: number } = {}) {}

  /** @param place "file.jsonl:12", with a word or two where that helps */
  add(reason: string, place: string): void {
    const entry = this.byReason.get(reason) ?? { reason, count: 0, examples: [] }
    this.byReason.set(reason, entry)
    entry.count++
    this.total++
    if (entry.examples.length < (this.options.examples ?? 5)) entry.examples.push(place)
  }

  /** @throws {BtError} BT_DATA_MALFORMED at the first one with `strict` */
  addMalformed(place: string, why: string): void {
    if (this.options.strict) {
      throw new BtError('BT_DATA_MALFORMED', `${place}: ${why}`, {
        remedy: 'Mend the line, or leave out --strict to count such lines and go on.',
      })
    }
    this.add(malformedReason, place)
    if (this.malformed.length < 100) this.malformed.push({ place, why })
  }

  count(reason: string): number {
    return this.byReason.get(reason)?.count ?? 0
  }

  /** All reasons in the order in which they first came up. */
  counts(): DropCount[] {
    return [...this.byReason.values()].map((entry) => ({ ...entry, examples: [...entry.examples] }))
  }
}
