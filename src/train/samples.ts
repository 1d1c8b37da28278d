// What the adapter in training writes for a few held-back rows, beside what is true: taken at the end of each epoch, kept
// in samples.jsonl. To look at; nothing of the run depends on it.
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Finished, Lora, Model } from '../../binding.js'
import { hasCode, messageOf } from '../errors.js'
import { diskError } from '../files.js'
import { randomAt } from '../metrics/random.js'
import type { TemplateDescription } from '../text/types.js'
import type { TrainEvent } from './events.js'
import { cutBack } from './metrics.js'
import type { TrainOptions } from './options.js'
import type { IdentifiedRow } from './row-cache.js'
import { targetText, type WritingControl, type WritingTools, writeGreedily } from './written.js'

/** One held-back row and what was written for it, greedily. */
export interface Sample {
  id: string
  /** What the model read, as far as it fitted into the prompt. */
  given: string
  /** The true text. */
  reference: string
  /** What the model wrote. */
  prediction: string
  /** `length`: it had not ended after 96 tokens. */
  finish: Finished['reason']
  /** Tokens written, without the end token. */
  tokens: number
}

export interface Sampling {
  /**
   * Writes for the rows with the adapter as it is now and appends a line each to samples.jsonl. Without memory for it,
   * the event is a warning and the run goes on.
   */
  take(at: { step: number; epoch: number }, control?: WritingControl): Promise<TrainEvent>
}

export interface SamplingContext {
  options: Pick<TrainOptions, 'samples' | 'output'>
  /** Tokens that the model reads at most; 0: no limit. */
  maxPositions: number
  template: TemplateDescription
  writingTools: () => Promise<WritingTools>
  model: Pick<Model, 'createSampler'>
  lora: Lora
  /** The held-back rows to choose from. */
  rows: IdentifiedRow[]
  /** Lines of later steps are taken out of samples.jsonl: they will be written again. */
  lastStep: number
}

export const samplesFile = 'samples.jsonl'

/** Chooses the rows, the same ones for the same data; undefined where there are none or none are wanted. */
export async function openSampling(context: SamplingContext): Promise<Sampling | undefined> {
  const path = join(context.options.output, samplesFile)
  await cutBack(path, context.lastStep)
  const rows = chooseRows(context.rows, context.options.samples)
  if (rows.length === 0) return undefined
  let opened: ReturnType<typeof openTexts> | undefined
  return {
    async take(at, control = {}) {
      opened ??= openTexts(context)
      const texts = await opened
      try {
        const { model, lora, maxPositions } = context
        const writer = { model, lora, stopTokens: texts.stopTokens, maxPositions }
        const finished = await writeGreedily(rows, writer, { ...control, label: 'samples' })
        const samples = rows.map((row, index) => sampleOf(row, finished[index]!, texts))
        await append(path, at, samples)
        return { type: 'samples', step: at.step, epoch: at.epoch, samples }
      } catch (error) {
        if (!hasCode(error, 'BT_OUT_OF_MEMORY')) throw error
        return { type: 'warning', message: `no samples after step ${at.step}: ${messageOf(error)}` }
      }
    },
  }
}

/** The rows that samples are written for, the same ones for the same data. */
export function chooseRows(rows: readonly IdentifiedRow[], count: number): IdentifiedRow[] {
  const random = randomAt(0, 'samples')
  const drawn = rows.map((row, index) => ({ row, index, draw: random(index) }))
  const chosen = drawn.toSorted((a, b) => a.draw - b.draw).slice(0, count)
  return chosen.toSorted((a, b) => a.index - b.index).map(({ row }) => row)
}

interface Texts extends WritingTools {
  /** What stands before and after the context in a prompt, control tokens included; undefined where it is not known. */
  around?: [before: string, after: string]
}

async function openTexts({ template, writingTools }: SamplingContext): Promise<Texts> {
  const [before, rest] = template.text?.split('{context}', 2) ?? []
  const after = rest?.split('{target}', 1)[0]
  const around: [string, string] | undefined = before === undefined || after === undefined ? undefined : [before, after]
  return { ...(await writingTools()), around }
}

function sampleOf(row: IdentifiedRow, { tokens, reason }: Finished, texts: Texts): Sample {
  const { tokenizer } = texts
  return {
    id: row.id,
    given: contextOf(row, texts),
    reference: targetText(row, texts),
    prediction: tokenizer.decode(tokens).trim(),
    finish: reason,
    tokens: tokens.length,
  }
}

/** The prompt without the template's words, or with them where the tokenizer does not give them back as they were. */
function contextOf({ tokens, targetStart }: IdentifiedRow, { tokenizer, around }: Texts): string {
  const prompt = tokens.subarray(0, targetStart)
  const text = tokenizer.decode(prompt, { keepControl: true })
  const [before, after] = around ?? []
  if (before === undefined || after === undefined || !text.startsWith(before) || !text.endsWith(after)) {
    return tokenizer.decode(prompt).trim()
  }
  return text.slice(before.length, text.length - after.length).trim()
}

async function append(path: string, { step, epoch }: { step: number; epoch: number }, samples: Sample[]) {
  try {
    await appendFile(path, samples.map((sample) => `${JSON.stringify({ step, epoch, ...sample })}\n`).join(''))
  } catch (error) {
    throw diskError(error, path)
  }
}
