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
  /** Which exchange of a conversation is written for: its first if not given. */
  turns?: 'first' | 'last'
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

async function* stream({ input, column, limit, task, turns }: InputOptions, drops: Drops): AsyncGenerator<TextRow> {
  const side = task === 'backward' ? 'response' : 'instruction'
  for await (const { index, text, extra, exchanges } of readTexts(input, { drops, column, side, turns })) {
    const { id, source, system } = extra
    const told = exchanges && task === 'forward' && typeof system === 'string' ? normaliseText(system) : ''
    const reference = referenceColumns[task].map((name) => extra[name]).find((value) => typeof value === 'string')
    yield {
      index,
      id:
        typeof id === 'string' && id !== ''
          ? id
          : sha256(exchanges?.length ? JSON.stringify([exchanges, text]) : text).slice(0, 16),
      text,
      ...(exchanges ? { exchanges } : {}),
      ...(told ? { system: told } : {}),
      ...(reference ? { reference: normaliseText(reference) } : {}),
      ...(typeof source === 'string' ? { source } : {}),
      lineage: lineageOf(extra),
    }
    // Not at the next row: a pipe may never give one.
    if (index + 1 === limit) return
  }
}
