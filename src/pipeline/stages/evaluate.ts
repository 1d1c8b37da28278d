// evaluate: the models on held-out pairs by `compare`, each against M_0 and against the control: how likely they take the true
// responses to be; and, where the recipe asks, what they write and what a judge makes of it.
import { join } from 'node:path'
import { compareFields } from '../../compare/options.js'
import { compare } from '../../compare/run.js'
import type { Comparison, Preference } from '../../compare/types.js'
import { writeFileAtomic } from '../../files.js'
import type { Difference, Estimate, SystemsEvaluation } from '../../metrics/types.js'
import { adapterFiles, comparisonFile, evaluationFolder, heldOutFile, modelFolder, modelName } from '../files.js'
import { evaluateSchema, type Recipe } from '../recipe.js'
import type { Stage, StageResult } from '../stage.js'

/** What was found of each model on the same rows. More is better. */
interface Measured {
  rows: number
  models: ({ name: string; control: boolean } & Estimate)[]
  differences: ({ name: string; baseline: string } & Difference)[]
}

/** Log-likelihood of held-out responses given their instructions, nats a token. */
export interface ModelComparison extends Measured {
  tokens: number
  /** The same of the responses of other rows. */
  shuffled: ({ name: string } & Estimate)[]
  /** ROUGE-L of what the models write, 0 to 100. */
  written?: Measured
  /** What the judge made of it. */
  judged?: { model: string; preferences: Preference[] }
}

export function evaluateStage(recipe: Recipe): Stage {
  const forward = Array.from({ length: recipe.iterations + 1 }, (_, iteration) => modelName(iteration))
  const trained = [...forward, ...(recipe.control ? ['control'] : [])]
  const options = optionsOf(recipe)
  const { writeRows, maxNewTokens = 256 } = options
  return {
    name: 'evaluate',
    title: 'compare the models on held-out pairs',
    kind: 'evaluate',
    folder: evaluationFolder,
    reads: [...trained.flatMap(adapterFiles), heldOutFile],
    usesModel: true,
    options: shapingOf(options),
    outputs: [comparisonFile, join(evaluationFolder, 'compare.json'), join(evaluationFolder, 'compare.md')],
    async expect(rows) {
      const { rows: count, tokens } = rows(heldOutFile)
      const models = trained.length + 1
      // Each response with its instruction and with another's.
      const read = 2 * count * tokens * models
      return { rowsIn: count, makes: {}, read, written: Math.min(count, writeRows) * maxNewTokens * models }
    },
    async run(context) {
      const { comparison } = await compare(
        {
          ...options,
          models: trained.map((name) => `${name}=${context.at(modelFolder(name))}`),
          base: recipe.model,
          baseline: ['m0', ...(recipe.control ? ['control'] : [])],
          data: context.at(heldOutFile),
          output: context.at(evaluationFolder),
        },
        context,
      )
      if (!comparison) return { summary: {}, interrupted: true }
      const found = digestOf(comparison)
      await writeFileAtomic(context.at(comparisonFile), `${JSON.stringify(found, null, 2)}\n`)
      return resultOf(found, recipe)
    },
  }
}

/** Models write only where the recipe says for how many pairs. */
function optionsOf({ evaluate, forward }: Recipe) {
  const { device = 'auto', threads = 0, precision = 'auto' } = forward
  return { ...evaluateSchema.parse(typeof evaluate === 'object' ? evaluate : {}), device, threads, precision }
}

/** What the result is a function of. */
function shapingOf({ judge, precision, ...options }: ReturnType<typeof optionsOf>): Record<string, unknown> {
  const shaping = Object.entries(options).filter(([name]) => {
    return compareFields[name as keyof typeof compareFields]?.meta.shapesResult
  })
  return { ...Object.fromEntries(shaping), judge, precision }
}

function digestOf(comparison: Comparison): ModelComparison {
  const { models, likelihood, scored, writing, judgement } = comparison
  return {
    rows: scored,
    tokens: models[0]!.likelihood.tokens,
    models: models.flatMap(({ name, control, likelihood: { logProb } }) =>
      logProb ? [{ name, control, ...logProb }] : [],
    ),
    differences: likelihood.map(({ model, baseline, difference }) => ({ name: model, baseline, ...difference })),
    shuffled: models.flatMap(({ name, shuffled: { logProb } }) => (logProb ? [{ name, ...logProb }] : [])),
    ...(writing ? { written: writtenOf(writing, comparison) } : {}),
    ...(judgement ? { judged: { model: judgement.model, preferences: judgement.preferences } } : {}),
  }
}

function writtenOf({ rows, systems, differences }: SystemsEvaluation, { models }: Comparison): Measured {
  return {
    rows,
    models: systems.flatMap(({ name, metrics: { rougeL } }, at) => {
      if (!rougeL) return []
      const { value, interval } = rougeL
      return [{ name, control: models[at]!.control, value, ...(interval ? { interval } : {}) }]
    }),
    differences: differences.flatMap(({ system, baseline, metrics: { rougeL } }) =>
      rougeL ? [{ name: system, baseline, ...rougeL }] : [],
    ),
  }
}

function resultOf(found: ModelComparison, { iterations }: Recipe): StageResult {
  const text = (name: string) => found.models.find((model) => model.name === name)?.value.toFixed(3) ?? 'none'
  return {
    rowsIn: found.rows,
    rowsOut: found.rows,
    note: `log p: M_0 ${text('m0')}, M_${iterations} ${text(modelName(iterations))} nats a token`,
    summary: { ...found },
  }
}
