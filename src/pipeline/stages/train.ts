// The models: one that writes instructions, and those that answer.
import type { TrainEvent, TrainSummary } from '../../train/events.js'
import { type TrainInput, trainSchema } from '../../train/options.js'
import { train } from '../../train/run.js'
import { adapterFiles, mixFile, modelFolder, seedFile } from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage, StageContext, StageResult } from '../stage.js'

export function backwardStage(recipe: Recipe): Stage {
  return trainStage('backward', 'train the model that writes instructions', seedFile, {
    ...recipe.backward,
    model: recipe.model,
    task: 'backward',
  })
}

/** @param name of the model: "m0", "m1", "control" */
export function forwardStage(recipe: Recipe, name: string): Stage {
  const title = name === 'control' ? 'train the control on random rows' : `train ${name.replace('m', 'M_')}`
  return trainStage(name, title, mixFile(name), { ...recipe.forward, model: recipe.model, task: 'forward' })
}

type Options = Omit<TrainInput, 'data' | 'output'>

function trainStage(name: string, title: string, data: string, options: Options): Stage {
  const { epochs, maxTokens, maxSteps, batchSize, gradAccumSteps } = trainSchema.parse({ ...options, data })
  const { device: _device, threads: _threads, recompute: _recompute, ...shaping } = options
  return {
    name,
    title,
    kind: 'train',
    folder: modelFolder(name),
    reads: [data],
    usesModel: true,
    options: shaping,
    outputs: adapterFiles(name),
    async expect(rows) {
      const { rows: count, tokens } = rows(data)
      const perRow = Math.min(maxTokens, tokens + promptTokens)
      const trained = Math.min(count * epochs, maxSteps ? maxSteps * batchSize * gradAccumSteps : Infinity) * perRow
      return { rowsIn: count, makes: {}, trained }
    },
    run: (context) =>
      runTraining({ ...options, data: context.at(data), output: context.at(modelFolder(name)) }, context),
  }
}

/** Tokens of a row beside its texts, about. */
const promptTokens = 40

async function runTraining(options: TrainInput, context: StageContext): Promise<StageResult> {
  const { signal, abort, onProgress, onWarning } = context
  const events = train(options, { onProgress, ...(signal ? { signal } : {}), ...(abort ? { abort } : {}) })
  let rows: number | undefined
  let leftOut = ''
  let next = await events.next()
  while (!next.done) {
    const event = next.value
    if (event.type === 'data') {
      rows = event.train + event.validation
      leftOut = leftOutOf(event)
    }
    if (event.type === 'step') onProgress(stepProgress(event.step, event.steps, event.smoothedLoss))
    if (event.type === 'warning') onWarning(event.message)
    next = await events.next()
  }
  return next.value ? resultOf(next.value, rows, leftOut) : { summary: {}, interrupted: true }
}

/** ", 40 too long, 2 empty": rows that the model did not see, '' where it saw all. */
function leftOutOf({ tooLong, dropped }: TrainEvent & { type: 'data' }): string {
  const counts = dropped.map(({ reason, count }) => `, ${count} ${reason}`)
  return [...(tooLong > 0 ? [`, ${tooLong} too long`] : []), ...counts].join('')
}

function stepProgress(done: number, total: number, loss: number) {
  return { label: 'training', done, total, unit: 'steps' as const, note: `loss ${loss.toFixed(3)}` }
}

function resultOf(summary: TrainSummary, rows: number | undefined, leftOut: string): StageResult {
  const { trainLoss, validationLoss, baseLoss } = summary
  const validation =
    validationLoss === undefined ? '' : `, validation ${validationLoss.toFixed(3)} (base ${baseLoss?.toFixed(3)})`
  return {
    ...(rows === undefined ? {} : { rowsIn: rows }),
    note: `loss ${trainLoss.toFixed(3)}${validation}${leftOut}`,
    summary: { ...summary },
  }
}
