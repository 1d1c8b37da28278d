// What a checkpoint holds beside its PEFT adapter: the optimizer's moments and trainer.json. Read back together.
import { join } from 'node:path'
import { z } from 'zod'
import type { LoraTensor, TrainerState } from '../../binding.js'
import { BtError, messageOf } from '../errors.js'
import { writeFileAtomic } from '../files.js'
import { readAdapter } from '../models/adapter.js'
import { readIfThere } from '../models/json-file.js'
import { readSafetensors, writeSafetensors } from '../models/safetensors.js'
import { parseLosses } from './metrics.js'
import { spikeStateSchema, startSpikes } from './spikes.js'

const loss = z.union([z.number(), z.nan()]).optional()

const standingSchema = z.object({
  /** Optimizer steps done. */
  step: z.int().min(0),
  /** Passes over the data done, with the fraction of the one under way. */
  epoch: z.number(),
  /** Exponential mean of the loss and its weight so far: smoothed = mean / weight. */
  lossMean: z.number(),
  lossWeight: z.number(),
  skippedSteps: z.int().min(0),
  /** Steps whose loss or gradient norm stood out, and what they are measured against; runs begun before had neither. */
  spikes: z.int().min(0).default(0),
  spikeState: spikeStateSchema.default(() => ({ ...startSpikes })),
  tokens: z.int().min(0),
  /** Milliseconds in steps, and seconds of wall time, over all sittings. */
  stepMilliseconds: z.number(),
  seconds: z.number(),
  baseLoss: loss,
  validationLoss: loss,
  /** Lowest validation loss after an epoch so far. */
  bestLoss: loss,
  /** The adapter in the output folder: after which step, with which validation loss. */
  selectedStep: z.int().min(0),
  selectedLoss: loss,
  /** Bytes, resident and on the device. */
  peakMemory: z.number(),
  peakDeviceMemory: z.number(),
})

/** Everything but weights and moments that the run's next step and its reports depend on. */
export type Standing = z.output<typeof standingSchema>

export const startStanding: Readonly<Standing> = {
  step: 0,
  epoch: 0,
  lossMean: 0,
  lossWeight: 0,
  skippedSteps: 0,
  spikes: 0,
  spikeState: startSpikes,
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
const trainerSchema = z.object({
  standing: standingSchema,
  optimizerStep: z.int().min(0),
  scale: z.number(),
  growthTracker: z.int().min(0),
})
type TrainerFile = z.output<typeof trainerSchema>

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
 * @throws {BtError} BT_CHECKPOINT when a part is missing or damaged; what reading adapters and safetensors throws
 */
export async function readState(folder: string): Promise<SavedState> {
  const { standing, optimizerStep, scale, growthTracker } = await readTrainerFile(join(folder, trainerFile))
  const { tensors } = await readAdapter(folder)
  const moments = await readSafetensors(join(folder, optimizerFile))
  const [expAvg, expAvgSq] = ['exp_avg', 'exp_avg_sq'].map((name) => {
    const found = moments.tensors.find((tensor) => tensor.name === name)
    if (found) return found.data
    throw unusable(`${join(folder, optimizerFile)}: no ${name}`)
  })
  return {
    standing,
    tensors,
    state: { optimizerStep, scale, growthTracker, expAvg: expAvg!, expAvgSq: expAvgSq! },
  }
}

async function readTrainerFile(path: string): Promise<TrainerFile> {
  const text = await readIfThere(path)
  if (text === undefined) throw unusable(`${path}: no such file`)
  try {
    return trainerSchema.parse(parseLosses(text))
  } catch (error) {
    if (error instanceof z.ZodError) throw unusable(`${path}: ${z.prettifyError(error)}`)
    if (error instanceof SyntaxError) throw unusable(`${path} is no JSON: ${messageOf(error)}`)
    throw error
  }
}

function unusable(what: string): BtError {
  return new BtError('BT_CHECKPOINT', what, {
    remedy: 'Remove this checkpoint folder: the run goes on from the one before.',
  })
}
