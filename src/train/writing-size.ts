// What a sampler holds at most while a run writes for held-back rows: counted, nothing is written here.
import type { ModelConfig } from '../../binding.js'
import { sum } from './footprint.js'
import type { TrainOptions } from './options.js'
import type { IdentifiedRow } from './row-cache.js'
import { chooseRows } from './samples.js'
import { mostTokens, sequences } from './written.js'

export interface WritingSize {
  /** Tokens whose keys and values are kept at a time. */
  cached: number
  /** Tokens of the prompts that are read together. */
  read: number
}

/** Tokens of prompts that native/sample/sampler.cc reads together; a longer prompt goes alone. */
const readTogether = 2048

/** Of the samples, or of the rows that --best-by rouge-l writes for: what takes more. Undefined where nothing is written. */
export function writingSize(
  { samples, bestBy, bestRows }: Pick<TrainOptions, 'samples' | 'bestBy' | 'bestRows'>,
  validation: readonly IdentifiedRow[],
  { maxPositions }: Pick<ModelConfig, 'maxPositions'>,
): WritingSize | undefined {
  const sets = [chooseRows(validation, samples), bestBy === 'rouge-l' ? validation.slice(0, bestRows) : []]
  const sizes = sets.filter((rows) => rows.length > 0).map((rows) => sizeOf(rows, maxPositions || Infinity))
  return sizes.toSorted((a, b) => b.cached - a.cached)[0]
}

function sizeOf(rows: readonly IdentifiedRow[], room: number): WritingSize {
  const prompts = rows.map(({ targetStart }) => targetStart).toSorted((a, b) => b - a)
  const together = prompts.slice(0, sequences)
  const cached = sum(together.map((prompt) => Math.min(room, prompt + mostTokens)))
  return { cached, read: Math.max(prompts[0]!, Math.min(sum(together), readTogether)) }
}
