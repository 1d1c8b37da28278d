// The optimizer steps of a whole run: which rows each step takes, and in which epoch it stands. A pure function of row
// lengths and options, so a resumed run goes on with the very rows that were next.
import type { PackedBatch } from '../../binding.js'
import { type PackableRow, type PlannedStep, packBatch, planSteps } from '../data/packing.js'
import type { TrainOptions } from './options.js'

type PlanOptions = Pick<TrainOptions, 'batchSize' | 'gradAccumSteps' | 'tokensPerStep' | 'seed' | 'epochs' | 'maxSteps'>

export interface RunPlan {
  /** Optimizer steps of the run. */
  steps: number
  stepsPerEpoch: number
  /** Passes over the data that the run makes; the last may be cut short by maxSteps. */
  epochs: number
  /** Step `step` (from 1). */
  at(step: number): RunStep
}

export interface RunStep {
  /** Passes done after this step, with the fraction of the one under way: 1.25 is a quarter into the second. */
  epoch: number
  /** The last step of an epoch or of the run. */
  endsEpoch: boolean
  microBatches: PackedBatch[]
}

/** @param rows encoded training rows; their indices are the row ids that feed dropout */
export function planRun(rows: PackableRow[], options: PlanOptions): RunPlan {
  const lengths = rows.map((row) => row.tokens.length)
  const { batchSize, gradAccumSteps, tokensPerStep, seed } = options
  const stepsOf = (epoch: number) => planSteps({ lengths, batchSize, gradAccumSteps, tokensPerStep, seed, epoch })

  // How many steps an epoch has depends on its order when steps are filled by tokens.
  const starts = [0]
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    starts.push(starts[epoch]! + stepsOf(epoch).length)
    if (options.maxSteps && starts[epoch + 1]! >= options.maxSteps) break
  }
  const steps = Math.min(starts.at(-1)!, options.maxSteps ?? Number.POSITIVE_INFINITY)

  let current: { epoch: number; steps: PlannedStep[] } | undefined
  return {
    steps,
    stepsPerEpoch: starts[1]!,
    epochs: starts.length - 1,
    at(step) {
      const epoch = starts.findLastIndex((start) => start < step)
      if (current?.epoch !== epoch) current = { epoch, steps: stepsOf(epoch) }
      const inEpoch = step - starts[epoch]!
      return {
        epoch: epoch + inEpoch / current.steps.length,
        endsEpoch: inEpoch === current.steps.length || step === steps,
        microBatches: current.steps[inEpoch - 1]!.microBatches.map((indices) => packRows(rows, indices)),
      }
    },
  }
}

/** The named rows as one packed batch. */
export function packRows(rows: PackableRow[], indices: Int32Array): PackedBatch {
  return packBatch(
    Array.from(indices, (index) => rows[index]!),
    indices,
  )
}
