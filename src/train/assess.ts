// How good the adapter has become, and what follows: which one is the best so far, which is handed over, whether to go on.
import { join } from 'node:path'
import { type WriteAdapterOptions, writeAdapter } from '../models/adapter.js'
import type { TrainEvent, ValidationEvent } from './events.js'
import { adapterOf, type Sitting } from './sitting.js'
import { validationLoss } from './validate.js'
import { meanRougeL, writeGreedily } from './written.js'

/** Folders in a run's output folder that hold the best and the last adapter that were validated. */
export const bestFolder = 'best'
export const lastFolder = 'last'

/**
 * Loss over the validation rows (and ROUGE-L of what is written for some of them, with --best-by rouge-l), noted and
 * compared with the best so far; undefined where there are none.
 * @throws the signal's reason, where one is given and it is aborted; BT_ABORTED
 */
export async function validate(sitting: Sitting, signal?: AbortSignal): Promise<ValidationEvent | undefined> {
  const { standing, validation, options, onProgress } = sitting
  if (validation.length === 0) return undefined
  const started = performance.now()
  const loss = await validationLoss(sitting.trainer, validation, { onProgress, signal })
  const rougeL = options.bestBy === 'rouge-l' ? await writtenRougeL(sitting, signal) : undefined
  const { step, epoch } = standing
  if (step === 0) standing.baseLoss = loss
  standing.validationLoss = loss
  standing.rougeL = rougeL
  const best = step > 0 && judge(sitting, rougeL ?? loss)
  const baseLoss = standing.baseLoss ?? Number.NaN
  const seconds = (performance.now() - started) / 1000
  const scores = { validationLoss: loss, ...(rougeL === undefined ? {} : { rougeL }) }
  await sitting.metrics.write({ step, epoch, ...scores, best, seconds })
  return { type: 'validation', step, epoch, loss, rougeL, baseLoss, best, stale: standing.stale, seconds }
}

async function writtenRougeL(sitting: Sitting, signal?: AbortSignal): Promise<number> {
  const { model, lora, validation, options, onProgress, maxPositions } = sitting
  const rows = validation.slice(0, options.bestRows)
  const tools = await sitting.writingTools()
  const writer = { model, lora, stopTokens: tools.stopTokens, maxPositions }
  return meanRougeL(
    rows,
    await writeGreedily(rows, writer, { onProgress, signal, label: 'writing to validate' }),
    tools,
  )
}

/**
 * Notes a score; whether it is the best so far. As transformers' EarlyStoppingCallback: any better score makes the best,
 * only one that is better by more than minChange makes the run worth going on with.
 */
function judge({ standing, options }: Sitting, score: number): boolean {
  const gain = gainOver(standing.bestScore, score, options.bestBy === 'loss')
  standing.stale = gain > options.minChange ? 0 : standing.stale + 1
  if (!(gain > 0)) return false
  standing.bestScore = score
  standing.bestStep = standing.step
  return true
}

/** By how much a score is better than the best so far; NaN is better than nothing. */
function gainOver(best: number | undefined, score: number, lowerIsBetter: boolean): number {
  if (!Number.isFinite(score)) return Number.NEGATIVE_INFINITY
  if (best === undefined) return Number.POSITIVE_INFINITY
  return lowerIsBetter ? best - score : score - best
}

/**
 * Validates, writes last/ and, where it is the best, best/, and hands over the adapter that --select asks for.
 * standing.stoppedEarly says whether patience is at its end.
 */
export async function* assess(sitting: Sitting): AsyncGenerator<TrainEvent, void> {
  const { options, plan, standing } = sitting
  const validation = await validate(sitting)
  if (validation) yield validation
  const { patience } = options
  if (patience > 0 && standing.stale >= patience && standing.step < plan.steps) standing.stoppedEarly = true
  const ends = standing.step === plan.steps || standing.stoppedEarly
  // Without one finite validation loss the last adapter is all there is.
  const onlyChoice = ends && standing.selectedStep === 0
  if (onlyChoice && validation && !validation.best && options.select === 'best') {
    const message = `no validation gave a finite score: the adapter is the one after step ${standing.step}`
    yield { type: 'warning', message }
  }
  const adapter = adapterOf(sitting, await sitting.lora.tensors())
  await writeAdapter(join(options.output, lastFolder), adapter)
  if (validation?.best) await writeAdapter(join(options.output, bestFolder), adapter)
  if (!validation || validation.best || onlyChoice || options.select === 'last') {
    await handOver(sitting, adapter, validation?.loss)
    yield { type: 'adapter', step: standing.step, epoch: standing.epoch, folder: options.output }
  }
  if (standing.stoppedEarly) {
    const { step, bestStep, bestScore } = standing
    const { minChange, bestBy } = options
    yield { type: 'early-stop', step, steps: plan.steps, patience, minChange, bestBy, bestStep, bestScore }
  }
}

/** Writes the adapter into the output folder, where a reader sees the old one or the new one. */
async function handOver({ standing, options }: Sitting, adapter: WriteAdapterOptions, loss?: number): Promise<void> {
  standing.selectedStep = standing.step
  standing.selectedLoss = loss
  await writeAdapter(options.output, adapter)
}
