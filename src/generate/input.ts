// Rows to write for: the data folder's texts, with the true answer where the input holds one.
import { Drops } from '../data/drops.js'
import { lineageOf } from '../data/lineage.js'
import { normaliseText } from '../data/normalise.js'
import { readTexts } from '../data/texts.js'
import type { DropCount } from '../data/types.js'
import { sha256 } from '../files.js'
import type { Task } from '../text/types.js'
import type { TextRow } from './types.js'

export interface InputOptions {
  input: string
  /** Column that holds the text. */
  column?: string
  limit?: number
  task: Task
}

export interface InputRows {
  rows: AsyncIterable<TextRow>
  /** Records that gave no row, so far: unreadable lines, empty texts. */
  dropped(): DropCount[]
}

/** Columns that hold the true answer, the first that is there wins. */
const referenceColumns: Record<Task, string[]> = {
  backward: ['instruction', 'prompt', 'question', 'query'],
  forward: ['response', 'output', 'completion', 'answer'],
}

/** Reads the input row by row; throws while reading what readTexts throws. */
export function readInput(options: InputOptions): InputRows {
  const drops = new Drops()
  return { rows: stream(options, drops), dropped: () => drops.counts() }
}

async function* stream({ input, column, limit, task }: InputOptions, drops: Drops): AsyncGenerator<TextRow> {
  const side = task === 'backward' ? 'response' : 'instruction'
  for await (const { index, text, extra } of readTexts(input, { drops, column, side })) {
    const { id, source } = extra
    const reference = referenceColumns[task].map((name) => extra[name]).find((value) => typeof value === 'string')
    yield {
      index,
      id: typeof id === 'string' && id !== '' ? id : sha256(text).slice(0, 16),
      text,
      ...(reference ? { reference: normaliseText(reference) } : {}),
      ...(typeof source === 'string' ? { source } : {}),
      lineage: lineageOf(extra),
    }
    // Not at the next row: a pipe may never give one.
    if (index + 1 === limit) return
  }
}
