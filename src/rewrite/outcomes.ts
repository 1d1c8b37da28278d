// What became of the rows, counted over all sittings.
import { Drops } from '../data/drops.js'
import { readRecords } from '../data/records.js'
import type { RewriteOutcome, RewriteSummary, RewrittenRow } from './types.js'

export class Outcomes {
  private readonly counts: Partial<Record<RewriteOutcome, number>> = {}
  private readonly sums = { before: 0, after: 0 }

  add({ rewriting, scoreBefore, scoreAfter }: RewrittenRow): void {
    this.counts[rewriting] = (this.counts[rewriting] ?? 0) + 1
    if (rewriting !== 'kept') return
    this.sums.before += scoreBefore!
    this.sums.after += scoreAfter!
  }

  totals(): Pick<RewriteSummary, 'outcomes' | 'before' | 'after'> {
    const { kept = 0 } = this.counts
    const { before, after } = this.sums
    const mean = (sum: number) => (kept > 0 ? Number((sum / kept).toFixed(6)) : null)
    return { outcomes: this.counts, before: mean(before), after: mean(after) }
  }
}

/** Those of an output that is complete. */
export async function storedOutcomes(output: string): Promise<Outcomes> {
  const outcomes = new Outcomes()
  for await (const { value } of readRecords(output, { drops: new Drops() })) {
    outcomes.add(value as unknown as RewrittenRow)
  }
  return outcomes
}
