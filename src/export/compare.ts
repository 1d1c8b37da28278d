// The exported model, read back from disk, beside the base model with the adapter: the same rows through both.
import type { Model } from '../../binding.js'
import { packBatch } from '../data/packing.js'
import { type Located, loraOptions } from '../generate/load.js'
import type { Machine } from '../generate/machine.js'
import type { ModelSource } from '../models/types.js'
import type { OnProgress } from '../progress.js'
import type { EncodedRow } from '../text/types.js'
import type { ComparedRows } from './prompts.js'
import type { ExportComparison } from './types.js'

export interface CompareControl {
  signal?: AbortSignal
  onProgress?: OnProgress
}

/**
 * One model is loaded at a time; of the first the logits are kept.
 * @throws {BtError} BT_OUT_OF_MEMORY, BT_ABORTED, and what loading throws
 */
export async function compareModels(
  { machine, located, exported, compared }: Compared,
  control: CompareControl,
): Promise<ExportComparison> {
  const { rows, from } = compared
  const total = 2 * rows.length
  let done = 0
  const seen = () => control.onProgress?.({ label: 'comparing', done: ++done, total, unit: 'rows' })
  const unmerged: Float32Array[] = []
  await withModel(machine, located.source, async (model) => {
    const { adapter } = located
    const lora = adapter && (await model.attachLora({ ...loraOptions(adapter), seed: 0 }))
    for (const row of rows) {
      control.signal?.throwIfAborted()
      unmerged.push(await model.logits(packBatch([row], [0]), lora))
      seen()
    }
  })
  const sums = { positions: 0, largest: 0, same: 0, unmerged: 0, exported: 0 }
  await withModel(machine, exported, async (model) => {
    for (const [index, row] of rows.entries()) {
      control.signal?.throwIfAborted()
      addRow(sums, row, unmerged[index]!, await model.logits(packBatch([row], [0])))
      seen()
    }
  })
  return {
    prompts: from,
    rows: rows.length,
    positions: sums.positions,
    precision: machine.precision,
    largestLogitDifference: sums.largest,
    meanLogProb: { unmerged: sums.unmerged / sums.positions, exported: sums.exported / sums.positions },
    sameTopToken: sums.same / sums.positions,
  }
}

export interface Compared {
  machine: Machine
  located: Located
  /** The result, opened anew. */
  exported: ModelSource
  compared: ComparedRows
}

async function withModel(machine: Machine, source: ModelSource, work: (model: Model) => Promise<void>): Promise<void> {
  const { config, files, tensors } = source
  const model = await machine.runtime.loadModel({ config, files, tensors, dtype: machine.dtype })
  try {
    await work(model)
  } finally {
    await model.close()
  }
}

interface Sums {
  positions: number
  largest: number
  same: number
  unmerged: number
  exported: number
}

/** Logits are [positions, vocab], one position for each token from the target's first on. */
function addRow(sums: Sums, { tokens, targetStart }: EncodedRow, before: Float32Array, after: Float32Array): void {
  const positions = tokens.length - targetStart
  const vocab = before.length / positions
  for (let i = 0; i < positions; i++) {
    const [one, other] = [before.subarray(i * vocab, (i + 1) * vocab), after.subarray(i * vocab, (i + 1) * vocab)]
    for (let id = 0; id < vocab; id++) {
      const difference = Math.abs(one[id]! - other[id]!)
      // A NaN on one side is the largest difference there is.
      if (!(difference <= sums.largest)) sums.largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference
    }
    const [first, second] = [best(one), best(other)]
    if (first === second) sums.same++
    const token = tokens[targetStart + i]!
    sums.unmerged += logProb(one, token, one[first]!)
    sums.exported += logProb(other, token, other[second]!)
  }
  sums.positions += positions
}

function best(logits: Float32Array): number {
  let found = 0
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[found]!) found = id
  return found
}

/** log softmax of one entry, in FP64. */
function logProb(logits: Float32Array, token: number, largest: number): number {
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - largest)
  return logits[token]! - largest - Math.log(sum)
}
