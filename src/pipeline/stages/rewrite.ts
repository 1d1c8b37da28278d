// rewrite-k: the kept responses written anew by the last forward model; a new one stands where its score does not fall.
import { rewrite } from '../../rewrite/run.js'
import { adapterFiles, curatedFiles, modelFolder, modelName, rewrittenFile } from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage } from '../stage.js'
import { curateOptionsOf } from './curate.js'
import { drain } from './drain.js'

export function rewriteStage(recipe: Recipe, iteration: number): Stage {
  const options = recipe.rewrite === true ? {} : recipe.rewrite || {}
  const { device: _device, threads: _threads, batchSize: _batchSize, ...shaping } = options
  const judge = modelName(iteration - 1)
  const { kept, calibration } = curatedFiles(iteration)
  // The score that chose the rows is the one that must not fall.
  const { calibrate, cycleTokens, reasoning, by } = curateOptionsOf(recipe, iteration)
  const isCalibrated = calibrate !== undefined
  const judging = { ...(isCalibrated ? { cycleTokens, reasoning } : {}), ...(by === undefined ? {} : { by }) }
  const output = rewrittenFile(iteration)
  return {
    name: `rewrite-${iteration}`,
    title: `rewrite the kept responses with ${judge.replace('m', 'M_')}`,
    kind: 'write',
    folder: `rewrite-${iteration}`,
    reads: [...adapterFiles(judge), ...adapterFiles('backward'), kept, ...(isCalibrated ? [calibration] : [])],
    usesModel: true,
    options: { ...judging, ...shaping },
    outputs: [output],
    async expect(rows) {
      const volume = rows(kept)
      const read = volume.rows * volume.tokens * 9
      return { rowsIn: volume.rows, makes: { [output]: volume }, read, written: volume.rows * volume.tokens }
    },
    async run(context) {
      const rows = rewrite(
        {
          ...Object.fromEntries(Object.entries(judging).filter(([, value]) => value !== undefined)),
          ...options,
          model: recipe.model,
          adapter: context.at(modelFolder(judge)),
          backward: context.at(modelFolder('backward')),
          backwardModel: recipe.model,
          input: context.at(kept),
          ...(isCalibrated ? { calibration: context.at(calibration) } : {}),
          output: context.at(output),
        },
        context,
      )
      const summary = await drain(rows)
      const { rows: count, outcomes, dropped, interrupted } = summary
      return {
        ...{ rowsIn: count, rowsOut: count, dropped, interrupted },
        note: `${outcomes.kept ?? 0} responses rewritten`,
        summary: { ...summary },
      }
    },
  }
}
