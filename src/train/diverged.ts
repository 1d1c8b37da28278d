// Why a run was given up: what stopped being finite first, in which layer, and in which row.
import type { NotFinite, PackedBatch, StepOptions } from '../../binding.js'
import { scoredSpans } from '../data/packing.js'
import { BtError } from '../errors.js'
import type { Sitting } from './sitting.js'

/** Skipped steps in a row after which a run is given up: enough for FP16's scale to come down from 65536 to below 1. */
export const hopelessSkips = 24

/** Characters of a row's text that a message shows. */
const shownCharacters = 60

/** The error of a run whose last steps were all skipped. */
export async function diverged(sitting: Sitting, microBatches: PackedBatch[], options: StepOptions): Promise<BtError> {
  const found = await sitting.trainer.diagnose(microBatches, options)
  const where = found ? `: ${await describe(found, sitting)}` : '; each row alone is finite, their sum is not'
  return new BtError(
    'BT_DIVERGED',
    `step ${options.step}: no finite gradient in the last ${hopelessSkips} steps${where}`,
    { remedy: 'Lower --learning-rate, or use --precision fp32; the last checkpoint is from before.' },
  )
}

async function describe({ what, layer, row, tensor }: NotFinite, sitting: Sitting): Promise<string> {
  const place = layer < 0 ? 'the embedding' : `layer ${layer}`
  const things = {
    weight: `the weights of ${tensor}`,
    hidden: `what leaves ${place}`,
    loss: 'the loss',
    gradient: `the gradient of ${tensor}`,
  }
  const thing = `${things[what]} is not finite`
  return row === undefined
    ? thing
    : `${thing}, first in row ${sitting.rows[row]!.id} (${await beginningOf(row, sitting)})`
}

/** The first words of a row's first target. */
async function beginningOf(row: number, { rows, writingTools }: Sitting): Promise<string> {
  const { tokens } = rows[row]!
  const [[start, end]] = scoredSpans(rows[row]!) as [[number, number]]
  const { tokenizer } = await writingTools()
  const text = tokenizer.decode(tokens.subarray(start, end)).trim()
  return JSON.stringify(text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text)
}
