// seed: the rows that people wrote, cleaned, and those of them that no model sees.
import { stat } from 'node:fs/promises'
import { preprocess } from '../../data/preprocess.js'
import { heldOutFile, seedFile } from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage, StageContext } from '../stage.js'

export function seedStage({ seed }: Recipe): Stage {
  const { data, heldOut, ...filters } = seed
  const isFile = typeof heldOut === 'string'
  return {
    name: 'seed',
    title: 'clean the seed',
    kind: 'data',
    folder: 'seed',
    reads: [],
    files: async () => (isFile ? [...data, heldOut] : data),
    usesModel: false,
    options: { heldOut: isFile ? 'a file' : heldOut, ...filters },
    outputs: heldOut === 0 ? [seedFile] : [seedFile, heldOutFile],
    async expect() {
      const volume = await volumeOf(data)
      const kept = isFile ? volume.rows : Math.round(volume.rows * (1 - heldOut))
      const held = isFile ? await volumeOf([heldOut]) : { ...volume, rows: volume.rows - kept }
      return { rowsIn: volume.rows, makes: { [seedFile]: { ...volume, rows: kept }, [heldOutFile]: held } }
    },
    async run(context) {
      const options = { ...filters, ...watching(context) }
      const report = await preprocess({
        ...options,
        inputs: data,
        output: context.at(seedFile),
        ...(isFile ? {} : { validation: heldOut, validationOutput: context.at(heldOutFile) }),
      })
      const heldBack = isFile
        ? (await preprocess({ ...options, inputs: [heldOut], output: context.at(heldOutFile) })).kept
        : report.validation
      return {
        rowsIn: report.read,
        rowsOut: report.train,
        dropped: report.dropped,
        note: `${heldBack} rows held out`,
        summary: { ...report },
      }
    },
  }
}

function watching({ signal, onProgress }: StageContext) {
  return { signal, onProgress }
}

/** Bytes of a row and of a token of text, about: what files of unknown content are reckoned by. */
const bytesPerRow = 1200
const bytesPerToken = 4.3

/** Rows and tokens of files, guessed from their sizes. */
export async function volumeOf(paths: readonly string[]): Promise<{ rows: number; tokens: number }> {
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size))
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  return { rows: Math.max(1, Math.round(bytes / bytesPerRow)), tokens: bytesPerRow / bytesPerToken }
}
