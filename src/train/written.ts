// What the adapter under training writes for held-back rows, and how near that comes to the true texts.
import type { Lora, Model } from '../../binding.js'
import { rougeL } from '../metrics/rouge.js'
import { rougeTokens, Vocabulary } from '../metrics/words.js'
import type { ModelSource } from '../models/types.js'
import type { OnProgress } from '../progress.js'
import type { EncodedRow, TemplateDescription, Tokenizer } from '../text/types.js'

/** From token ids to text and back, as far as writing needs it. */
export interface WritingTools {
  tokenizer: Pick<Tokenizer, 'decode'>
  stopTokens: number[]
}

export interface WrittenText {
  /** By the model, greedily. */
  written: string
  /** The row's own target. */
  wanted: string
}

/** Longest text that is written: bt-native generate's default. */
const maxNewTokens = 96
/** Rows side by side. */
const sequences = 16
/** Decode steps of one native call. */
const stepsPerCall = 8

/** The tokenizer's library is read in for this alone. */
export async function openWritingTools(source: ModelSource, template: TemplateDescription): Promise<WritingTools> {
  const { openTokenizer } = await import('../text/tokenizer.js')
  const { templateFromDescription } = await import('../text/template.js')
  const tokenizer = await openTokenizer(source.tokenizer)
  const { stopTokens } = await templateFromDescription(template, tokenizer, source.tokenizer)
  return { tokenizer, stopTokens }
}

/**
 * Answers the prompts of encoded rows greedily, in their order.
 * @throws BT_ABORTED when the runtime was told to, the signal's reason between two pieces of decoding
 */
export async function writeTexts(
  model: Pick<Model, 'createSampler'>,
  lora: Lora,
  rows: EncodedRow[],
  { tokenizer, stopTokens }: WritingTools,
  control: { onProgress?: OnProgress; signal?: AbortSignal } = {},
): Promise<WrittenText[]> {
  const greedy = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 }
  const longest = Math.max(...rows.map((row) => row.targetStart))
  const size = { maxSequences: Math.min(sequences, rows.length), maxTokens: longest + maxNewTokens }
  const sampler = await model.createSampler({ ...greedy, ...size, stopTokens }, lora)
  const texts: WrittenText[] = []
  let done = 0
  try {
    const prompts = rows.map(({ tokens, targetStart }, id) => ({ id, tokens: tokens.slice(0, targetStart), maxNewTokens }))
    await sampler.add(prompts)
    while (done < rows.length) {
      control.signal?.throwIfAborted()
      const { finished } = await sampler.advance(stepsPerCall)
      for (const { id, tokens } of finished) {
        const { tokens: all, targetStart } = rows[id]!
        const wanted = tokenizer.decode(all.subarray(targetStart, -1)) // the last token is the one that ends it
        texts[id] = { written: tokenizer.decode(tokens).trim(), wanted: wanted.trim() }
        done++
      }
      control.onProgress?.({ label: 'writing for validation', done, total: rows.length, unit: 'rows' })
    }
  } finally {
    await sampler.close()
  }
  return texts
}

/** Mean ROUGE-L F1 of written texts, from 0 to 100. */
export function meanRougeL(texts: WrittenText[]): number {
  const words = new Vocabulary()
  const scores = texts.map(({ written, wanted }) => {
    const [one, other] = [written, wanted].map((text) => words.encode(rougeTokens(text)))
    return rougeL(one!, other!).f1
  })
  return (100 * scores.reduce((sum, score) => sum + score, 0)) / scores.length
}
