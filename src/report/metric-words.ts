// What metrics are called in tables, and how their values are written.
import { firstWordsCount } from '../metrics/controls.js'
import type { ControlName, Estimate, MetricName } from '../metrics/types.js'

export interface MetricWords {
  name: MetricName
  label: string
  unit: 'score' | 'percent' | 'count'
  /** What it means, in a few words. */
  meaning?: string
}

/** Metrics that compare with the true texts, in the order of the tables. */
export const comparing: MetricWords[] = [
  { name: 'rougeL', label: 'ROUGE-L', unit: 'score' },
  { name: 'rougeLPrecision', label: 'ROUGE-L precision', unit: 'score' },
  { name: 'rougeLRecall', label: 'ROUGE-L recall', unit: 'score' },
  { name: 'rouge1', label: 'ROUGE-1', unit: 'score' },
  { name: 'rouge1Precision', label: 'ROUGE-1 precision', unit: 'score' },
  { name: 'rouge1Recall', label: 'ROUGE-1 recall', unit: 'score' },
  { name: 'rouge2', label: 'ROUGE-2', unit: 'score' },
  { name: 'rouge2Precision', label: 'ROUGE-2 precision', unit: 'score' },
  { name: 'rouge2Recall', label: 'ROUGE-2 recall', unit: 'score' },
  { name: 'bleu', label: 'BLEU', unit: 'score' },
  { name: 'chrf', label: 'chrF', unit: 'score' },
]

/** Metrics of the texts by themselves. */
export const plain: MetricWords[] = [
  { name: 'missingEnd', label: 'missing end', unit: 'percent', meaning: 'cut off by the limit of new tokens' },
  { name: 'leaks', label: 'template leaks', unit: 'percent', meaning: "hold text of the prompt's layout" },
  { name: 'loops', label: 'loops', unit: 'percent', meaning: 'over 20 % of their 4-grams repeat' },
  { name: 'copies', label: 'copies', unit: 'percent', meaning: 'hold 8 words in a row of the given text' },
  { name: 'copyRate', label: 'copied words', unit: 'percent', meaning: 'words in such runs, mean over texts' },
  { name: 'longCopies', label: 'long copies', unit: 'percent', meaning: 'hold 16 words in a row of the given text' },
  { name: 'empty', label: 'empty', unit: 'percent', meaning: 'hold nothing' },
  { name: 'distinct1', label: 'distinct-1', unit: 'percent', meaning: 'different words, of all words' },
  { name: 'distinct2', label: 'distinct-2', unit: 'percent', meaning: 'different word pairs, of all pairs' },
  { name: 'meanWords', label: 'words', unit: 'count', meaning: 'mean' },
  { name: 'meanCharacters', label: 'characters', unit: 'count', meaning: 'mean' },
]

export const controlTitles: Record<ControlName, string> = {
  shuffled: 'shuffled',
  constant: 'constant',
  firstWords: `first ${firstWordsCount} words`,
}

/** '' where there is none. */
export function valueText(estimate: Estimate | undefined, { unit }: Pick<MetricWords, 'unit'>): string {
  if (!estimate) return ''
  return fixed(estimate.value) + (unit === 'percent' ? ' %' : '')
}

/** '' where there is none. */
export function intervalText(estimate: Estimate | undefined, { unit }: Pick<MetricWords, 'unit'>): string {
  if (!estimate?.interval) return ''
  const [low, high] = estimate.interval
  return `${fixed(low)} – ${fixed(high)}${unit === 'percent' ? ' %' : ''}`
}

/** One decimal; what rounds to zero has no sign. */
function fixed(value: number): string {
  const text = value.toFixed(1)
  return text === '-0.0' ? '0.0' : text
}
