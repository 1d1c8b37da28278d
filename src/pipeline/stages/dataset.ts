// dataset: the kept rows as others read them, with a card.
import { fileNames } from '../../dataset/card.js'
import { type DatasetFormat, formatNames } from '../../dataset/options.js'
import { writeDataset } from '../../dataset/write.js'
import { lineageFile, pairsFile } from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage } from '../stage.js'
import { keptFile } from './mix.js'

const folder = 'data'

export function datasetStage(recipe: Recipe): Stage {
  const { dataset, iterations, name } = recipe
  const rows = iterations === 0 ? pairsFile : keptFile(recipe, iterations)
  const formats: DatasetFormat[] = dataset.formats ?? [...formatNames]
  const options = { ...dataset, formats, title: dataset.title ?? name }
  return {
    name: 'dataset',
    title: 'write the kept rows as a data set, with a card',
    kind: 'data',
    folder,
    reads: [rows, lineageFile],
    usesModel: false,
    options,
    outputs: [...formats.map((format) => `${folder}/${fileNames[format]}`), `${folder}/README.md`],
    async expect(volume) {
      return { rowsIn: volume(rows).rows, makes: {} }
    },
    async run({ at, onProgress, signal }) {
      const summary = await writeDataset(
        { ...options, input: [at(rows)], output: at(folder), run: at('.') },
        { onProgress, ...(signal ? { signal } : {}) },
      )
      return {
        rowsIn: summary.rows,
        rowsOut: summary.rows,
        dropped: summary.dropped,
        note: formats.join(', '),
        summary: { ...summary },
      }
    },
  }
}
