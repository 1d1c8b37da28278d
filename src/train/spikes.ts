// Steps that stand out: how far a loss or a gradient norm lies above what the steps before it had. Pure functions over a
// few numbers, which a checkpoint keeps, so that a resumed run flags the same steps.
import { z } from 'zod'

export const runningSchema = z.object({
  /** Values so far. */
  count: z.int().min(0),
  mean: z.number(),
  /** Of the values around their mean, as far as neighbours tell. */
  variance: z.number().min(0),
  /** The value before. */
  last: z.number(),
})
/** What a series is like so far. */
export type Running = z.output<typeof runningSchema>
export const startRunning: Readonly<Running> = { count: 0, mean: 0, variance: 0, last: 0 }

/** A value this many deviations above the running mean is a spike. */
export const spikeThreshold = 4
/** Values before the first z-score: fewer do not tell what is usual, and the first steps of a run are its wildest. */
const leastCount = 20
/** Values that the mean is about: few, for the loss falls. A plain mean until there are so many, then exponential. */
const meanMemory = 10
/** The same of the variance: many, for it changes little and takes many to tell. */
const varianceMemory = 50
/** A value further out counts as one at so many deviations: a spike hides no other, and a new level slowly gets usual. */
const mostDeviations = 5

export interface Scored {
  /** (value - mean) / deviation of the values before; undefined before there are enough, and for NaN and infinities. */
  z?: number
  running: Running
}

/**
 * Scores a value against those before it, then counts it among them. The variance is half the mean square of the
 * differences of neighbours (von Neumann, 1941), which is blind to the steep fall of a beginning: measured around the mean,
 * that fall would make everything after it look usual.
 * @param least smallest deviation that is believed: in a series that hardly moves, nothing is a spike for being odd in the
 * third decimal
 */
export function score(running: Running, value: number, least: number): Scored {
  if (!Number.isFinite(value)) return { running }
  const { count, mean, variance, last } = running
  if (count === 0) return { running: { count: 1, mean: value, variance: 0, last: value } }
  const deviation = Math.max(Math.sqrt(variance), least)
  const known = count >= leastCount
  const most = known ? mostDeviations * deviation : Number.POSITIVE_INFINITY
  const counted = mean + Math.max(-most, Math.min(most, value - mean))
  return {
    z: known ? (value - mean) / deviation : undefined,
    running: {
      count: count + 1,
      mean: mean + (counted - mean) / Math.min(count + 1, meanMemory),
      variance: variance + ((counted - last) ** 2 / 2 - variance) / Math.min(count, varianceMemory),
      last: counted,
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
  const ofNorm = score(state.logGradNorm, Math.log(gradNorm), 0.2)
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
