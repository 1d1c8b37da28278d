// augment: an instruction for each text of the corpus.
import { generateSchema } from '../../generate/options.js'
import { generate } from '../../generate/run.js'
import { adapterFiles, modelFolder, pairsFile, segmentsFile } from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage } from '../stage.js'
import { drain } from './drain.js'

export function augmentStage({ augment, model }: Recipe): Stage {
  const { device: _device, threads: _threads, batchSize: _batchSize, cacheMemory: _memory, ...shaping } = augment
  const { limit, n, maxTokens } = generateSchema.parse({ ...augment, input: segmentsFile })
  return {
    name: 'augment',
    title: 'write an instruction for each text',
    kind: 'write',
    folder: 'augment',
    reads: [...adapterFiles('backward'), segmentsFile],
    usesModel: true,
    options: shaping,
    outputs: [pairsFile],
    async expect(rows) {
      const segments = rows(segmentsFile)
      const count = Math.min(segments.rows, limit ?? Infinity)
      const makes = { [pairsFile]: { rows: count, tokens: segments.tokens + instructionTokens } }
      return {
        rowsIn: count,
        makes,
        read: count * Math.min(maxTokens, segments.tokens),
        written: count * n * instructionTokens,
      }
    },
    async run(context) {
      const rows = generate(
        {
          ...augment,
          model,
          adapter: context.at(modelFolder('backward')),
          input: context.at(segmentsFile),
          output: context.at(pairsFile),
        },
        context,
      )
      const summary = await drain(rows)
      const { rows: rowsOut, dropped, interrupted, faulty } = summary
      return {
        rowsIn: rowsOut,
        rowsOut,
        dropped,
        note: faulty > 0 ? `${faulty} marked by the guard` : 'all clean',
        summary: { ...summary },
        interrupted,
      }
    },
  }
}

/** Tokens of an instruction, about. */
const instructionTokens = 24
