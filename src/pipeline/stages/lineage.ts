// lineage: what every row is made from, as one Parquet file over the files of all stages.
import { buildLineage } from '../../dataset/lineage.js'
import { lineageInputsOf } from '../../dataset/run-files.js'
import {
  curatedFiles,
  lineageFile,
  mixFile,
  modelName,
  pairsFile,
  rewrittenFile,
  seedFile,
  segmentsFile,
} from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage } from '../stage.js'

export function lineageStage({ iterations, control, rewrite }: Recipe): Stage {
  const models = iterations === 0 ? [] : Array.from({ length: iterations + 1 }, (_, number) => modelName(number))
  const mixes = [...models, ...(control && iterations > 0 ? ['control'] : [])].map(mixFile)
  const scored = Array.from({ length: iterations }, (_, index) => curatedFiles(index + 1).scored)
  const rewritten = rewrite === false ? [] : Array.from({ length: iterations }, (_, index) => rewrittenFile(index + 1))
  return {
    name: 'lineage',
    title: 'write down where each row comes from',
    kind: 'data',
    folder: 'lineage',
    reads: [seedFile, segmentsFile, pairsFile, ...scored, ...rewritten, ...mixes],
    usesModel: false,
    options: {},
    outputs: [lineageFile],
    async expect(rows) {
      return { rowsIn: rows(seedFile).rows + rows(pairsFile).rows, makes: {} }
    },
    async run({ at }) {
      const summary = await buildLineage(await lineageInputsOf(at('.')), at(lineageFile))
      const origins = Object.entries(summary.origins).map(([origin, count]) => `${count} ${origin}`)
      return { rowsIn: summary.rows, rowsOut: summary.rows, note: origins.join(', '), summary: { ...summary } }
    },
  }
}
