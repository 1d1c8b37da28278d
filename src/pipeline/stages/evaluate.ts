// evaluate: how likely the models take held-out responses to be, each against M_0 and against the control, with paired
// intervals: rows are drawn with replacement, the same ones for both models.

import { Drops } from '../../data/drops.js'
import { readRecords } from '../../data/records.js'
import { writeFileAtomic } from '../../files.js'
import { score } from '../../generate/score.js'
import { intervalOf, resampled } from '../../metrics/bootstrap.js'
import { pairedDifference } from '../../metrics/paired.js'
import type { Difference } from '../../metrics/types.js'
import { adapterFiles, comparisonFile, heldOutFile, heldOutScores, modelFolder, modelName } from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage, StageContext } from '../stage.js'
import { drain } from './drain.js'

/** Log-likelihood of held-out responses given their instructions, nats a token; more is better. */
export interface ModelComparison {
  rows: number
  tokens: number
  models: { name: string; value: number; interval?: [number, number] }[]
  differences: ({ name: string; baseline: string } & Difference)[]
}

const resamples = 1000

export function evaluateStage(recipe: Recipe): Stage {
  const forward = Array.from({ length: recipe.iterations + 1 }, (_, iteration) => modelName(iteration))
  const trained = [...forward, ...(recipe.control ? ['control'] : [])]
  const models = ['base', ...trained]
  return {
    name: 'evaluate',
    title: 'compare the models on held-out pairs',
    kind: 'evaluate',
    folder: 'evaluation',
    reads: [...trained.flatMap(adapterFiles), heldOutFile],
    usesModel: true,
    options: { resamples },
    outputs: [comparisonFile],
    async expect(rows) {
      const { rows: count, tokens } = rows(heldOutFile)
      return { rowsIn: count, makes: {}, read: count * tokens * models.length }
    },
    async run(context) {
      for (const model of models) {
        const adapter = model === 'base' ? {} : { adapter: context.at(modelFolder(model)) }
        const summary = await drain(
          score(
            {
              ...adapter,
              model: recipe.model,
              template: 'forward',
              input: context.at(heldOutFile),
              output: context.at(heldOutScores(model)),
            },
            context,
          ),
        )
        if (summary.interrupted) return { summary: {}, interrupted: true }
      }
      const comparison = await compareScores(models, context, recipe)
      await writeFileAtomic(context.at(comparisonFile), `${JSON.stringify(comparison, null, 2)}\n`)
      const last = comparison.models.find(({ name }) => name === modelName(recipe.iterations))
      const first = comparison.models.find(({ name }) => name === 'm0')
      return {
        rowsIn: comparison.rows,
        rowsOut: comparison.rows,
        note: `log p: M_0 ${first?.value.toFixed(3)}, M_${recipe.iterations} ${last?.value.toFixed(3)} nats a token`,
        summary: { ...comparison },
      }
    },
  }
}

async function compareScores(models: string[], { at }: StageContext, recipe: Recipe): Promise<ModelComparison> {
  const rows = await readScores(models.map((model) => at(heldOutScores(model))))
  const width = models.length + 1
  const data = Float64Array.from(rows.flatMap(({ tokens, values }) => [tokens, ...values]))
  const all = rows.map((_, index) => index)
  const perToken = models.map((_, at) => (sums: Float64Array) => sums[at + 1]! / sums[0]!)
  const steps = resampled({ data, width }, all, perToken, { resamples, seed: 0 })
  let step = steps.next()
  while (!step.done) step = steps.next()
  const drawn = step.value
  const total = (at: number) => rows.reduce((sum, { values }) => sum + values[at]!, 0)
  const tokens = rows.reduce((sum, row) => sum + row.tokens, 0)
  const value = (name: string) => total(models.indexOf(name)) / tokens
  const against = (name: string, baseline: string) => ({
    name,
    baseline,
    ...pairedDifference(
      { system: value(name), baseline: value(baseline) },
      drawn[models.indexOf(name)]!,
      drawn[models.indexOf(baseline)]!,
    ),
  })
  const later = Array.from({ length: recipe.iterations }, (_, index) => modelName(index + 1))
  const baselines = ['m0', ...(recipe.control ? ['control'] : [])]
  return {
    rows: rows.length,
    tokens,
    models: models.map((name, at) => ({ name, value: value(name), ...withInterval(intervalOf(drawn[at]!)) })),
    differences: [
      against('m0', 'base'),
      ...later.flatMap((name) => baselines.map((baseline) => against(name, baseline))),
    ],
  }
}

function withInterval(interval: [number, number] | undefined) {
  return interval ? { interval } : {}
}

/** Rows that every model has scored, with their tokens and log-likelihoods. */
async function readScores(files: readonly string[]): Promise<{ tokens: number; values: number[] }[]> {
  const rows = new Map<string, { tokens: number; values: number[] }>()
  for (const [at, file] of files.entries()) {
    for await (const { value } of readRecords(file, { drops: new Drops() })) {
      if (typeof value.logLikelihood !== 'number') continue
      const row = rows.get(String(value.id)) ?? { tokens: Number(value.tokens), values: [] }
      row.values[at] = value.logLikelihood
      rows.set(String(value.id), row)
    }
  }
  return [...rows.values()].filter(({ values }) => files.every((_, at) => values[at] !== undefined))
}
