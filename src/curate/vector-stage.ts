// Vectors of all rows into a work log of their own, which goes on where it was: what diversity is judged by.
import { join } from 'node:path'
import { makeProjection, type Vectors, vectorWidth } from './diverse.js'
import { type CuratePaths, logRows } from './outputs.js'
import { keyOfPair } from './rows.js'
import {
  finishedStage,
  type OpenScorer,
  type StageControl,
  type StageOptions,
  type StageResult,
  type StageWork,
  scoredRows,
  scoreStage,
} from './score-stage.js'
import { vectorTokens } from './vectors.js'

/** Each row's vector as base64 of its 32-bit numbers, in the machine's order; null for an empty text. */
const vectorWork = (): StageWork => {
  let project: ReturnType<typeof makeProjection> | undefined
  return {
    async rowsOf(pairs, scorer) {
      const vectors = await scorer.vectors(pairs)
      return pairs.map((pair, at) => {
        const vector = vectors[at]
        if (!vector) return { key: keyOfPair(pair), vector: null }
        project ??= makeProjection(vector.length)
        return { key: keyOfPair(pair), vector: Buffer.from(project(vector).buffer).toString('base64') }
      })
    },
    keyOf: ({ key }) => key as string,
  }
}

/**
 * Vectors of the rows in the work log of scores.
 * @returns undefined where the signal ended it
 */
export async function vectorStage(
  paths: CuratePaths,
  rows: number,
  { open, stage, control }: { open: OpenScorer; stage: StageOptions; control: StageControl },
): Promise<{ vectors: Vectors; result: StageResult } | undefined> {
  const { model, precision } = stage.fingerprint
  const own: StageOptions = {
    log: join(paths.work, 'vectors.jsonl'),
    input: stage.input,
    stamp: { path: 'scores', bytes: rows, modified: 0, limit: null },
    total: rows,
    force: stage.force,
    fingerprint: { vectors: vectorWidth, tokens: vectorTokens, model, precision },
    work: vectorWork(),
  }
  const opened: OpenScorer = async () => {
    const { scorer } = await open()
    return { scorer, fingerprint: { ...own.fingerprint, precision: scorer.machine.precision } }
  }
  const before = await finishedStage(own)
  const result =
    before === undefined
      ? await scoreStage(scoredRows(paths.scores, rows), opened, own, control)
      : { rows: before, written: 0, interrupted: false }
  if (result.interrupted) return undefined
  const data = new Float32Array(rows * vectorWidth).fill(Number.NaN)
  let index = 0
  for await (const { vector } of logRows(own.log, rows)) {
    if (typeof vector === 'string') {
      const bytes = Uint8Array.from(Buffer.from(vector, 'base64'))
      data.set(new Float32Array(bytes.buffer), index * vectorWidth)
    }
    index++
  }
  return { vectors: { data }, result }
}
