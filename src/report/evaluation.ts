// An evaluation as tables: for the terminal and as a Markdown document. Nothing is computed here.
import { firstWordsCount } from '../metrics/controls.js'
import type { ControlName, Evaluation, EvaluationRow, Measurement, Measurements, MetricName } from '../metrics/types.js'
import { comparing, controlTitles, intervalText, type MetricWords, plain, valueText } from './metric-words.js'
import { markdownSamples } from './samples.js'
import { markdownTable, renderTable, type Table, type TableColumn, type TableOptions } from './table.js'

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
