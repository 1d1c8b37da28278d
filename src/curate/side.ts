// One model with what lays out its rows and scores them.
import type { Model, Sampler } from '../../binding.js'
import type { PackableRow } from '../data/packing.js'
import { type Loaded, type Located, loraOptions } from '../generate/load.js'
import type { Machine } from '../generate/machine.js'
import { rowLogProbs } from '../generate/packed-score.js'
import type { PromptTemplate } from '../text/types.js'
import type { ScorerOptions } from './options.js'

/** Tokens of the longest sequence: a prompt and what is written after it, with the beginning of an answer. */
export function longestOf({ maxTokens, reasoning, cycleTokens }: ScorerOptions): number {
  return maxTokens + answerRoom + Math.max(reasoning, cycleTokens)
}

/** Tokens that the beginning of an answer and texts cut at other places may take beyond maxTokens. */
export const answerRoom = 32

export interface Side {
  sampler: Sampler
  located: Located
  template: PromptTemplate
  /** The task's prompt with nothing in the place of the text. */
  blank: Int32Array
}

/** Models that judge pairs. */
export interface Judge {
  options: ScorerOptions
  side: Side
  other?: Side | undefined
  /** Tokens of a rating's question beside the two texts. */
  ratingOverhead: number
}

export async function sideOf(
  { machine, model, lora }: Loaded,
  located: Located,
  options: ScorerOptions,
): Promise<Side> {
  const { template } = located
  const law = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 }
  const writes = template.task === 'forward' && (options.reasoning > 0 || options.cycleTokens > 0)
  // A GPU's scores need no cache.
  const room =
    machine.device === 'cuda' && !writes
      ? { maxSequences: 1, maxTokens: 2 }
      : { maxSequences: 16, maxTokens: longestOf(options) }
  const sampler = await model.createSampler({ ...law, ...room, stopTokens: template.stopTokens }, lora)
  return { sampler, located, template, blank: await template.blankPrompt() }
}

/** The backward model shares the forward one's base where that is the same. */
export async function backwardSide(
  machine: Machine,
  base: Model,
  forward: Located,
  located: Located,
  options: ScorerOptions,
): Promise<Side> {
  const { config, files, tensors, hash } = located.source
  const model =
    hash === forward.source.hash
      ? base
      : await machine.runtime.loadModel({ config, files, tensors, dtype: machine.dtype, lazy: true })
  const lora = located.adapter && (await model.attachLora({ ...loraOptions(located.adapter), seed: 0 }))
  return sideOf({ machine, model, ...(lora ? { lora } : {}) }, located, options)
}

/** log p of the scored tokens of each row, nats. */
export function logProbsOf(
  { sampler }: Side,
  rows: readonly PackableRow[],
  { batchTokens }: ScorerOptions,
): Promise<Float32Array[]> {
  return rowLogProbs(sampler, rows, { batchTokens })
}

/**
 * The same of the rows that pairs have, by the rows' names; a pair without rows has nothing. Rows of one name are scored
 * together: they are of like lengths.
 */
export async function logProbsByName<Name extends string>(
  side: Side,
  pairs: readonly (Partial<Record<Name, PackableRow>> | null)[],
  names: readonly Name[],
  options: ScorerOptions,
): Promise<Partial<Record<Name, Float32Array>>[]> {
  const found = pairs.map(() => ({}) as Partial<Record<Name, Float32Array>>)
  for (const name of names) {
    const rows = pairs.flatMap((pair, at) => (pair?.[name] ? [{ at, row: pair[name] }] : []))
    const scored = await logProbsOf(
      side,
      rows.map(({ row }) => row),
      options,
    )
    for (const [place, { at }] of rows.entries()) found[at]![name] = scored[place]!
  }
  return found
}

/** Of log-probabilities. */
export function sum(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0)
}
