// curate-k: the pairs rated by the last forward model; the good ones kept.
import { defaultCalibration } from '../../curate/options.js'
import { curate } from '../../curate/run.js'
import { adapterFiles, curatedFiles, modelFolder, modelName, pairsFile, seedFile } from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage } from '../stage.js'
import { drain } from './drain.js'

export function curateStage(recipe: Recipe, iteration: number): Stage {
  const { device: _device, threads: _threads, ...shaping } = curateOptionsOf(recipe, iteration)
  const judge = modelName(iteration - 1)
  const { kept, scored, calibration } = curatedFiles(iteration)
  return {
    name: `curate-${iteration}`,
    title: `rate the pairs with ${judge.replace('m', 'M_')}, keep the best`,
    kind: 'score',
    folder: `curate-${iteration}`,
    reads: [...adapterFiles(judge), ...adapterFiles('backward'), pairsFile, seedFile],
    usesModel: true,
    options: shaping,
    outputs: shaping.calibrate ? [kept, scored, calibration] : [kept, scored],
    async expect(rows) {
      const { rows: count, tokens } = rows(pairsFile)
      const planted = 4 * (shaping.calibrate === true ? defaultCalibration : (shaping.calibrate ?? 0))
      const makes = { [kept]: { rows: Math.round(count * (shaping.top ?? 0.5)), tokens } }
      // Rated, after the instruction, after none, and the instruction after the response: four passes.
      return { rowsIn: count, makes, read: (count + planted) * tokens * 4 }
    },
    async run(context) {
      const rows = curate(
        {
          ...curateOptionsOf(recipe, iteration),
          model: recipe.model,
          adapter: context.at(modelFolder(judge)),
          backward: context.at(modelFolder('backward')),
          backwardModel: recipe.model,
          input: context.at(pairsFile),
          ...(shaping.calibrate ? { reference: context.at(seedFile) } : {}),
          output: context.at(kept),
        },
        context,
      )
      const summary = await drain(rows)
      return {
        rowsIn: summary.rows,
        rowsOut: summary.kept,
        dropped: summary.dropped,
        note: `kept ${summary.kept} of ${summary.rows}`,
        summary: { ...summary },
        interrupted: summary.interrupted,
      }
    },
  }
}

/** Of a list, those of the iteration; the last ones hold for all that follow. */
export function curateOptionsOf({ curate: options }: Recipe, iteration: number) {
  return Array.isArray(options) ? options[Math.min(iteration, options.length) - 1]! : options
}
