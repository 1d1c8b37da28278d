// dataset: the kept rows as others read them, with a card.
import { fileNames } from '../../dataset/card.js'
import { type DatasetFormat, formatNames } from '../../dataset/options.js'
import { writeDataset } from '../../dataset/write.js'
import { curatedFiles, lineageFile, pairsFile } from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage } from '../stage.js'

const folder = 'data'

export function datasetStage({ dataset, iterations, name }: Recipe): Stage {
  const rows = iterations === 0 ? pairsFile : curatedFiles(iterations).kept
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
