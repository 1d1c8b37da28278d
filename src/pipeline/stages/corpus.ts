// corpus: texts to write instructions for, free of what the models are compared on.
import { findCorpus } from '../../segment/corpus.js'
import { prepareCorpus } from '../../segment/run.js'
import { heldOutFile, segmentsFile } from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage } from '../stage.js'
import { volumeOf } from './seed.js'

export function corpusStage({ corpus, seed }: Recipe): Stage {
  const { input, against = [], memory, ...options } = corpus
  const heldOut = seed.heldOut === 0 ? [] : [heldOutFile]
  const filesOf = async () => (await findCorpus(input, [])).files.map(({ path }) => path)
  return {
    name: 'corpus',
    title: 'cut the corpus into texts',
    kind: 'data',
    folder: 'corpus',
    reads: heldOut,
    files: async () => [...(await filesOf()), ...against],
    usesModel: false,
    options,
    outputs: [segmentsFile],
    async expect() {
      const volume = await volumeOf(await filesOf())
      return { rowsIn: volume.rows, makes: { [segmentsFile]: { rows: volume.rows, tokens: 420 } } }
    },
    async run({ at, signal, onProgress }) {
      const control = { onProgress, ...(signal ? { signal } : {}) }
      const prepared = await prepareCorpus(
        {
          ...options,
          ...(memory === undefined ? {} : { memory }),
          input,
          against: [...against, ...heldOut.map(at)].length > 0 ? [...against, ...heldOut.map(at)] : undefined,
          output: at(segmentsFile),
          dropped: at('corpus/dropped.jsonl'),
        },
        control,
      )
      await prepared.close()
      const { summary } = prepared
      return {
        rowsIn: summary.documents,
        rowsOut: summary.kept,
        dropped: summary.dropped,
        note: `${summary.kept} texts of ${summary.documents} documents`,
        summary: { ...summary },
        interrupted: summary.interrupted,
      }
    },
  }
}
