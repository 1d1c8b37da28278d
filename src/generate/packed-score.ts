// Log-probabilities of many rows, packed: what `score`, a program, or curation asks of a model.
import type { Lora, Model } from '../../binding.js'
import { type PackableRow, packBatch } from '../data/packing.js'

/** What else rowLogProbs() may be told. */
export interface PackedScoreOptions {
  lora?: Lora
  /** Tokens of one packed batch; a longer row stands alone. 4,096 by default. */
  batchTokens?: number
}

/**
 * log p of each scored token of each row (those from targetStart to the end) given what stands before it in its row, nats, for
 * rows packed end to end in their order.
 * @returns for each row [length - targetStart]
 * @throws {BtError} BT_ROW_EMPTY for a row without a token to score; what model.logProbs throws
 */
export async function rowLogProbs(
  model: Pick<Model, 'logProbs'>,
  rows: readonly PackableRow[],
  { lora, batchTokens = 4096 }: PackedScoreOptions = {},
): Promise<Float32Array[]> {
  const found: Float32Array[] = []
  for (const batch of batchesOf(rows, batchTokens)) {
    const numbers = Int32Array.from(batch, (_, index) => found.length + index)
    const logProbs = await model.logProbs(packBatch(batch, numbers), lora)
    let start = 0
    for (const { tokens, targetStart } of batch) {
      const end = start + tokens.length - targetStart
      found.push(logProbs.slice(start, end))
      start = end
    }
  }
  return found
}

function* batchesOf(rows: readonly PackableRow[], batchTokens: number): Generator<PackableRow[]> {
  let batch: PackableRow[] = []
  let room = batchTokens
  for (const row of rows) {
    if (batch.length > 0 && row.tokens.length > room) {
      yield batch
      batch = []
      room = batchTokens
    }
    batch.push(row)
    room -= row.tokens.length
  }
  if (batch.length > 0) yield batch
}
