// What a checkpoint holds beside its PEFT adapter: the optimizer's moments and trainer.json. Read back together.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LoraTensor, TrainerState } from '../../binding.js'
import { BtError } from '../errors.js'
import { writeFileAtomic } from '../files.js'
import { readAdapter } from '../models/adapter.js'
import { readSafetensors, writeSafetensors } from '../models/safetensors.js'

/** Everything but weights and moments that the run's next step and its reports depend on. */
export interface Standing {
  /** Optimizer steps done. */
  step: number
  /** Passes over the data done, with the fraction of the one under way. */
  epoch: number
  /** Exponential mean of the loss and its weight so far: smoothed = mean / weight. */
  lossMean: number
  lossWeight: number
  skippedSteps: number
  tokens: number
  /** Milliseconds in steps, and seconds of wall time, over all sittings. */
  stepMilliseconds: number
  seconds: number
  baseLoss?: number
  validationLoss?: number
  /** Lowest validation loss after an epoch so far. */
  bestLoss?: number
  /** The adapter in the output folder: after which step, with which validation loss. */
  selectedStep: number
  selectedLoss?: number
  /** Bytes, resident and on the device. */
  peakMemory: number
  peakDeviceMemory: number
}

export const startStanding: Readonly<Standing> = {
  step: 0,
  epoch: 0,
  lossMean: 0,
  lossWeight: 0,
  skippedSteps: 0,
  tokens: 0,
  stepMilliseconds: 0,
  seconds: 0,
  selectedStep: 0,
  peakMemory: 0,
  peakDeviceMemory: 0,
}

export interface SavedState {
  standing: Standing
  tensors: LoraTensor[]
  state: TrainerState
}

/** Content of trainer.json. */
type TrainerFile = { standing: Standing } & Pick<TrainerState, 'optimizerStep' | 'scale' | 'growthTracker'>

const trainerFile = 'trainer.json'
const optimizerFile = 'optimizer.safetensors'

/** Writes optimizer.safetensors (exp_avg and exp_avg_sq: [P] FP32, in the order of lora.tensors()) and trainer.json. */
export async function writeState(folder: string, standing: Standing, state: TrainerState): Promise<void> {
  const { optimizerStep, scale, growthTracker, expAvg, expAvgSq } = state
  await writeSafetensors(join(folder, optimizerFile), [
    { name: 'exp_avg', shape: [expAvg.length], data: expAvg },
    { name: 'exp_avg_sq', shape: [expAvgSq.length], data: expAvgSq },
  ])
  const file: TrainerFile = { standing, optimizerStep, scale, growthTracker }
  await writeFileAtomic(join(folder, trainerFile), `${JSON.stringify(file, null, 2)}\n`)
}

/**
 * Reads a checkpoint folder back.
 * @throws {BtError} BT_CHECKPOINT when a part is missing; what reading adapters and safetensors throws
 */
export async function readState(folder: string): Promise<SavedState> {
  const { standing, optimizerStep, scale, growthTracker } = JSON.parse(
    await readFile(join(folder, trainerFile), 'utf8'),
  ) as TrainerFile
  const { tensors } = await readAdapter(folder)
  const moments = await readSafetensors(join(folder, optimizerFile))
  const [expAvg, expAvgSq] = ['exp_avg', 'exp_avg_sq'].map((name) => {
    const found = moments.tensors.find((tensor) => tensor.name === name)
    if (found) return found.data
    throw new BtError('BT_CHECKPOINT', `${join(folder, optimizerFile)}: no ${name}`, {
      remedy: 'Remove this checkpoint folder: the run goes on from the one before.',
    })
  })
  return {
    standing,
    tensors,
    state: { optimizerStep, scale, growthTracker, expAvg: expAvg!, expAvgSq: expAvgSq! },
  }
}
