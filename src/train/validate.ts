// The loss over rows that are not trained on.
import type { Trainer } from '../../binding.js'
import type { PackableRow } from '../data/packing.js'
import type { OnProgress } from '../progress.js'
import { packRows } from './plan.js'

/** Tokens of one batch: bounds the memory of a forward pass, no more. */
const batchTokens = 2048

/**
 * Mean loss in nats per scored token over all rows: no dropout, no gradient.
 * @throws BT_ABORTED when the runtime was told to, and the signal's reason between two batches
 */
export async function validationLoss(
  trainer: Pick<Trainer, 'evaluate'>,
  rows: PackableRow[],
  control: { onProgress?: OnProgress; signal?: AbortSignal } = {},
): Promise<number> {
  let lossSum = 0
  let scoredTokens = 0
  let done = 0
  for (const indices of batchesByLength(rows)) {
    control.signal?.throwIfAborted()
    const result = await trainer.evaluate(packRows(rows, indices))
    lossSum += result.lossSum
    scoredTokens += result.scoredTokens
    done += indices.length
    control.onProgress?.({ label: 'validation', done, total: rows.length, unit: 'rows' })
  }
  return lossSum / scoredTokens
}

/** All row indices, longest first, in batches of at most batchTokens tokens (a longer row stands alone). */
export function batchesByLength(rows: PackableRow[]): Int32Array[] {
  const sorted = rows.map((_, index) => index).toSorted((a, b) => rows[b]!.tokens.length - rows[a]!.tokens.length)
  const batches: number[][] = []
  let room = 0
  for (const index of sorted) {
    const length = rows[index]!.tokens.length
    if (batches.length === 0 || length > room) {
      batches.push([])
      room = batchTokens
    }
    batches.at(-1)!.push(index)
    room -= length
  }
  return batches.map((batch) => Int32Array.from(batch))
}
