// check: what the backward model writes for held-out responses, against the instructions that people wrote.
import { writeFileAtomic } from '../../files.js'
import { generate } from '../../generate/run.js'
import { evaluateAsync } from '../../metrics/evaluate.js'
import { readEvaluation } from '../../metrics/predictions.js'
import { defaultAsk } from '../../text/template.js'
import { adapterFiles, heldOutFile, instructionsFile, modelFolder } from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage } from '../stage.js'
import { drain } from './drain.js'

/** Held-out rows that are written for at most: enough for an interval of a few points of ROUGE-L. */
const mostRows = 200

const writtenFile = 'check/written.jsonl'

export function checkStage({ model, augment, backward }: Recipe): Stage {
  const { device, threads, precision, maxTokens } = augment
  const machine = { device, threads, precision, maxTokens }
  return {
    name: 'check',
    title: 'write instructions for held-out responses, and compare',
    kind: 'evaluate',
    folder: 'check',
    reads: [...adapterFiles('backward'), heldOutFile],
    usesModel: true,
    options: { greedy: true, mostRows, precision, maxTokens },
    outputs: [instructionsFile, writtenFile],
    async expect(rows) {
      const { rows: all, tokens } = rows(heldOutFile)
      const count = Math.min(all, mostRows)
      return { rowsIn: count, makes: {}, read: count * tokens, written: count * 24 }
    },
    async run(context) {
      const written = context.at(writtenFile)
      const summary = await drain(
        generate(
          {
            ...Object.fromEntries(Object.entries(machine).filter(([, value]) => value !== undefined)),
            model,
            adapter: context.at(modelFolder('backward')),
            input: context.at(heldOutFile),
            output: written,
            limit: mostRows,
            greedy: true,
          },
          context,
        ),
      )
      if (summary.interrupted) return { summary: {}, interrupted: true }
      const { signal, onProgress } = context
      const control = { onProgress, ...(signal ? { signal } : {}) }
      const { rows } = await readEvaluation({ predictions: [written], task: 'backward', ...(signal ? { signal } : {}) })
      const asks = [backward.ask ?? defaultAsk.backward]
      const evaluation = await evaluateAsync(rows, { bootstrap: 1000, seed: 0, asks }, control)
      await writeFileAtomic(context.at(instructionsFile), `${JSON.stringify(evaluation, null, 2)}\n`)
      return { rowsIn: rows.length, rowsOut: rows.length, summary: { ...evaluation } }
    },
  }
}
