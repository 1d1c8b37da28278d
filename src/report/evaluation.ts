// An evaluation as tables: for the terminal and as a Markdown document. Nothing is computed here.
import { firstWordsCount } from '../metrics/controls.js'
import type {
  ControlName,
  Estimate,
  Evaluation,
  EvaluationRow,
  Measurement,
  Measurements,
  MetricName,
} from '../metrics/types.js'
import { markdownSamples } from './samples.js'
import { markdownTable, renderTable, type TableColumn, type TableOptions } from './table.js'

interface MetricWords {
  name: MetricName
  label: string
  unit: 'score' | 'percent' | 'count'
  /** What it means, in a few words. */
  meaning?: string
}

/** Metrics that compare with the true texts, in the order of the tables. */
const comparing: MetricWords[] = [
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
const plain: MetricWords[] = [
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

const controlTitles: Record<ControlName, string> = {
  shuffled: 'shuffled',
  constant: 'constant',
  firstWords: `first ${firstWordsCount} words`,
}

interface Table {
  columns: TableColumn[]
  cells: string[][]
}

/** All tables of an evaluation for the terminal, then its notes. */
export function renderEvaluation(evaluation: Evaluation, options: TableOptions = {}): string {
  const draw = ({ columns, cells }: Table) => renderTable(columns, cells, options)
  const tables = [comparingTable(evaluation.metrics), plainTable(evaluation.metrics), sourceTable(evaluation)]
  const notes = evaluation.notes.map((note) => `- ${note}`).join('\n')
  return [summaryLine(evaluation), ...tables.filter(({ cells }) => cells.length > 0).map(draw), notes]
    .filter((part) => part !== '')
    .join('\n\n')
}

/** The evaluation as a Markdown document, with `samples` beside the true texts. */
export function markdownEvaluation(evaluation: Evaluation, samples: readonly EvaluationRow[], files: string[]): string {
  const { metrics, notes, options } = evaluation
  const section = (title: string, { columns, cells }: Table) =>
    cells.length === 0 ? [] : [`## ${title}`, markdownTable(columns, cells)]
  return `${[
    '# Evaluation',
    `${summaryLine(evaluation)} Files: ${files.map((file) => `\`${file.replaceAll('`', "'")}\``).join(', ')}.`,
    notes.map((note) => `- ${note}`).join('\n'),
    ...section('Against the true texts', comparingTable(metrics, true)),
    ...section('By themselves', plainTable(metrics)),
    ...section('By source', sourceTable(evaluation)),
    ...(samples.length > 0 ? ['## Samples', markdownSamples(samples)] : []),
    '## How it was measured',
    [
      '- ROUGE as rouge_score without stemming, mean F1 over rows; BLEU (13a, exponential smoothing) and chrF (order 6, beta 2) of the corpus, as sacrebleu. All 0 to 100.',
      `- Controls: outputs of other rows (${options.shuffles} shufflings); one question for every row, "${options.constant}"; the first ${firstWordsCount} words of the text that was given.`,
      `- Intervals: 95 %, percentile bootstrap over rows, ${options.bootstrap.toLocaleString('en-US')} resamples, seed ${options.seed}. Distinct-n has none: resamples repeat rows.`,
    ].join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n')}\n`
}

function summaryLine({ rows, referenced }: Evaluation): string {
  const count = (value: number) => `${value.toLocaleString('en-US')} ${value === 1 ? 'row' : 'rows'}`
  return referenced === rows
    ? `${count(rows)}, all with a true text.`
    : `${count(rows)}, ${referenced} with a true text.`
}

const right = (title: string): TableColumn => ({ title, align: 'right' })

function comparingTable(metrics: Measurements, controlIntervals = false): Table {
  const controls = (Object.keys(controlTitles) as ControlName[]).filter((name) => metrics.rougeL?.controls?.[name])
  const control = (found: Measurement, name: ControlName, words: MetricWords) => {
    const estimate = found.controls?.[name]
    const range = controlIntervals ? intervalText(estimate, words) : ''
    return valueText(estimate, words) + (range === '' ? '' : ` (${range})`)
  }
  return {
    columns: [
      { title: 'against the true texts', wrap: false },
      right('outputs'),
      right('95 % interval'),
      ...controls.map((name) => right(controlTitles[name])),
    ],
    cells: rowsOf(comparing, metrics, (words, found) => [
      words.label,
      valueText(found, words),
      intervalText(found, words),
      ...controls.map((name) => control(found, name, words)),
    ]),
  }
}

function plainTable(metrics: Measurements): Table {
  const references = metrics.meanWords?.references !== undefined
  return {
    columns: [
      { title: 'by themselves', wrap: false },
      right('outputs'),
      right('95 % interval'),
      ...(references ? [right('true texts')] : []),
      { title: 'meaning' },
    ],
    cells: rowsOf(plain, metrics, (words, found) => [
      words.label,
      valueText(found, words),
      intervalText(found, words),
      ...(references ? [valueText(found.references, words)] : []),
      words.meaning ?? '',
    ]),
  }
}

const bySource: MetricName[] = ['rougeL', 'bleu', 'chrf', 'missingEnd', 'leaks', 'loops', 'copies', 'meanWords']

function sourceTable({ sources, metrics }: Evaluation): Table {
  const shown = [...comparing, ...plain].filter(({ name }) => bySource.includes(name) && metrics[name])
  const columns = [{ title: 'source' }, right('rows')]
  for (const words of shown) {
    columns.push(right(words.label))
    if (words.name === 'rougeL') columns.push(right('95 % interval'), right('shuffled'))
  }
  const cells = sources.map((source) => [
    source.source,
    source.rows.toLocaleString('en-US'),
    ...shown.flatMap((words) => {
      const found = source.metrics[words.name]
      const value = valueText(found, words)
      return words.name === 'rougeL'
        ? [value, intervalText(found, words), valueText(found?.controls?.shuffled, words)]
        : [value]
    }),
  ])
  return { columns, cells }
}

function rowsOf(
  table: readonly MetricWords[],
  metrics: Measurements,
  cells: (words: MetricWords, found: Measurement) => string[],
): string[][] {
  return table.flatMap((words) => {
    const found = metrics[words.name]
    return found ? [cells(words, found)] : []
  })
}

function valueText(estimate: Estimate | undefined, { unit }: MetricWords): string {
  if (!estimate) return ''
  return unit === 'percent' ? `${estimate.value.toFixed(1)} %` : estimate.value.toFixed(1)
}

function intervalText(estimate: Estimate | undefined, { unit }: MetricWords): string {
  if (!estimate?.interval) return ''
  const [low, high] = estimate.interval
  return `${low.toFixed(1)} – ${high.toFixed(1)}${unit === 'percent' ? ' %' : ''}`
}
