// What the adapter in training writes for held-back rows, and how near that comes to the true texts.
import type { Finished, Lora, Model } from '../../binding.js'
import { scoredSpans } from '../data/packing.js'
import { rougeL } from '../metrics/rouge.js'
import { rougeTokens, Vocabulary } from '../metrics/words.js'
import type { ModelSource } from '../models/types.js'
import type { OnProgress } from '../progress.js'
import type { EncodedRow, TemplateDescription, Tokenizer } from '../text/types.js'

/** From token ids to text, as far as writing needs it. */
export interface WritingTools {
  tokenizer: Pick<Tokenizer, 'decode'>
  stopTokens: number[]
}

export interface WritingControl {
  onProgress?: OnProgress
  /** Stops between two pieces of decoding with its reason. */
  signal?: AbortSignal
}

/** Longest text that is written: enough for nearly every instruction. */
export const mostTokens = 96
/** Rows side by side. */
export const sequences = 16
/** Decode steps of one native call. */
const stepsPerCall = 8

/** The tokenizer's library is read in for this alone. */
export async function openWritingTools(
  source: Pick<ModelSource, 'tokenizer'>,
  template: TemplateDescription,
): Promise<WritingTools> {
  const { openTokenizer } = await import('../text/tokenizer.js')
  const { templateFromDescription } = await import('../text/template.js')
  const tokenizer = await openTokenizer(source.tokenizer)
  const { stopTokens } = await templateFromDescription(template, tokenizer, source.tokenizer)
  return { tokenizer, stopTokens }
}

export interface Writer {
  model: Pick<Model, 'createSampler'>
  lora: Lora
  stopTokens: number[]
  /** Tokens that the model reads at most; 0: no limit. */
  maxPositions: number
}

/**
 * Answers the prompts of encoded rows greedily, each row's first where it has several.
 * @returns in the order of the rows; `id` is a row's index
 * @throws BT_ABORTED when the runtime was told to, the signal's reason, BT_OUT_OF_MEMORY
 */
export async function writeGreedily(
  rows: readonly EncodedRow[],
  { model, lora, stopTokens, maxPositions }: Writer,
  { onProgress, signal, label }: WritingControl & { label: string },
): Promise<Finished[]> {
  const room = maxPositions || Number.POSITIVE_INFINITY
  const prompts = rows.map(({ tokens, targetStart }, id) => ({
    id,
    tokens: tokens.slice(0, targetStart),
    maxNewTokens: Math.min(mostTokens, room - targetStart),
  }))
  const maxTokens = Math.max(...prompts.map(({ tokens, maxNewTokens }) => tokens.length + maxNewTokens))
  const greedy = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 }
  const maxSequences = Math.min(sequences, rows.length)
  const sampler = await model.createSampler({ ...greedy, maxSequences, maxTokens, stopTokens }, lora)
  try {
    await sampler.add(prompts)
    const finished: Finished[] = []
    while (finished.length < rows.length) {
      signal?.throwIfAborted()
      finished.push(...(await sampler.advance(stepsPerCall)).finished)
      onProgress?.({ label, done: finished.length, total: rows.length, unit: 'rows' })
    }
    return finished.toSorted((a, b) => a.id - b.id)
  } finally {
    await sampler.close()
  }
}

/** A row's own target as text, the first where it has several. Its last token is the one that ends it. */
export function targetText(row: EncodedRow, { tokenizer }: Pick<WritingTools, 'tokenizer'>): string {
  const [[start, end]] = scoredSpans(row) as [[number, number]]
  return tokenizer.decode(row.tokens.subarray(start, end - 1)).trim()
}

/** Mean ROUGE-L F1 of what was written for rows, from 0 to 100. */
export function meanRougeL(rows: readonly EncodedRow[], written: readonly Finished[], tools: WritingTools): number {
  const words = new Vocabulary()
  const scores = rows.map((row, index) => {
    const texts = [tools.tokenizer.decode(written[index]!.tokens).trim(), targetText(row, tools)]
    const [one, other] = texts.map((text) => words.encode(rougeTokens(text)))
    return rougeL(one!, other!).f1
  })
  return (100 * scores.reduce((sum, score) => sum + score, 0)) / scores.length
}
