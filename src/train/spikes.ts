// Steps that stand out: how far a loss or a gradient norm lies above what the steps before it had. Pure functions over a
// state of three numbers, which a checkpoint keeps, so that a resumed run flags the same steps.
import { z } from 'zod'

/** Running mean and variance of a series, and how many values they are of. */
export const runningSchema = z.object({ count: z.int().min(0), mean: z.number(), variance: z.number().min(0) })
export type Running = z.output<typeof runningSchema>
export const startRunning: Readonly<Running> = { count: 0, mean: 0, variance: 0 }

/** A value this many deviations above the running mean is a spike. */
export const spikeThreshold = 4
/** Values before the first z-score: fewer do not tell what is usual, and the first steps of a run are its wildest. */
const leastCount = 20
/** Plain mean and variance of so many values; from then on exponential ones with weight 1 / memory for the new value. */
const memory = 50
/** A value further out counts as one at so many deviations: a spike hardly moves the mean, a new level slowly does. */
const mostDeviations = 3

export interface Scored {
  /** (value - mean) / deviation of the values before; undefined before there are enough, and for NaN and infinities. */
  z?: number
  running: Running
}

/**
 * Scores a value against those before it, then counts it among them (West's update of mean and variance, with a weight).
 * @param least smallest deviation that is believed: in a series that hardly moves, nothing is a spike for being odd in the
 * third decimal
 */
export function score(running: Running, value: number, least: number): Scored {
  if (!Number.isFinite(value)) return { running }
  const { count, mean, variance } = running
  const deviation = Math.max(Math.sqrt(variance), least)
  const known = count >= leastCount
  const weight = 1 / Math.min(count + 1, memory)
  const most = known ? mostDeviations * deviation : Number.POSITIVE_INFINITY
  const delta = Math.max(-most, Math.min(most, value - mean))
  return {
    z: known ? (value - mean) / deviation : undefined,
    running: {
      count: count + 1,
      mean: mean + weight * delta,
      variance: (1 - weight) * (variance + weight * delta * delta),
    },
  }
}

/** Running numbers of a run's steps: part of its standing. */
export const spikeStateSchema = z.object({ loss: runningSchema, logGradNorm: runningSchema })
export type SpikeState = z.output<typeof spikeStateSchema>
export const startSpikes: Readonly<SpikeState> = { loss: startRunning, logGradNorm: startRunning }

/** What stands in a step's event and metrics line. */
export interface StepScores {
  /** Deviations of the loss above its running mean; absent in the first 20 steps and where the loss is not finite. */
  lossZ?: number
  /** The same of the gradient norm's logarithm: norms differ by factors. Absent where the step was skipped. */
  gradNormZ?: number
  /** One of the two is above 4. */
  spike: boolean
}

/** Scores a step and counts it. */
export function scoreStep(
  state: SpikeState,
  { loss, gradNorm }: { loss: number; gradNorm: number },
): { scores: StepScores; state: SpikeState } {
  const ofLoss = score(state.loss, loss, 0.02 * Math.abs(state.loss.mean))
  const ofNorm = score(state.logGradNorm, Math.log(gradNorm), 0.05)
  const [lossZ, gradNormZ] = [ofLoss.z, ofNorm.z]
  const spike = [lossZ, gradNormZ].some((z) => z !== undefined && z > spikeThreshold)
  return { scores: { lossZ, gradNormZ, spike }, state: { loss: ofLoss.running, logGradNorm: ofNorm.running } }
}

/** Row ids that a message names; all of them stand in the event. */
const namedRows = 16

/** The warning of a spike: which step, how far out, and the rows that it was computed from. */
export function spikeWarning(
  step: { step: number; loss: number; gradNorm: number } & StepScores,
  before: SpikeState,
  rows: readonly string[],
): string {
  const parts = []
  if ((step.lossZ ?? 0) > spikeThreshold) {
    parts.push(`loss ${step.loss.toFixed(2)} (z ${step.lossZ!.toFixed(1)}, usual ${before.loss.mean.toFixed(2)})`)
  }
  if ((step.gradNormZ ?? 0) > spikeThreshold) {
    const usual = Math.exp(before.logGradNorm.mean)
    parts.push(`gradient norm ${short(step.gradNorm)} (z ${step.gradNormZ!.toFixed(1)}, usual ${short(usual)})`)
  }
  const more = rows.length > namedRows ? ` and ${rows.length - namedRows} more` : ''
  return `step ${step.step}: ${parts.join(' and ')}. Its rows: ${rows.slice(0, namedRows).join(' ')}${more}`
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)))
}
