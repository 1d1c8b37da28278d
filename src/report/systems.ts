// Several systems on the same rows as tables: for the terminal and as a Markdown document. Nothing is computed here.
import { firstWordsCount } from '../metrics/controls.js'
import type {
  ControlName,
  Difference,
  Estimate,
  Measurements,
  MetricName,
  SystemDifferences,
  SystemEvaluation,
  SystemsEvaluation,
} from '../metrics/types.js'
import { comparing, controlTitles, intervalText, type MetricWords, plain, valueText } from './metric-words.js'
import { countOf, countText } from './numbers.js'
import { markdownTable, renderTable, type Table, type TableColumn, type TableOptions } from './table.js'

/** Places of unmatched rows that are named. */
const namedRows = 5

interface Section {
  title: string
  table: Table
}

/** All tables for the terminal, then the notes. */
export function renderSystems(evaluation: SystemsEvaluation, options: TableOptions = {}): string {
  const notes = notesText(evaluation)
  const tables = sectionsOf(evaluation, false)
  const drawn = tables.map(({ table: { columns, cells } }) => renderTable(columns, cells, options))
  return [summaryLine(evaluation), ...drawn, notes].filter((part) => part !== '').join('\n\n')
}

/** The same as a Markdown document, precision and recall too. */
export function markdownSystems(evaluation: SystemsEvaluation, files: Record<string, string[]>): string {
  const { options } = evaluation
  const named = Object.entries(files).map(([name, paths]) => `${name}: ${paths.map(codeText).join(', ')}`)
  return `${[
    '# Evaluation',
    summaryLine(evaluation),
    named.map((line) => `- ${line}`).join('\n'),
    notesText(evaluation),
    ...sectionsOf(evaluation, true).flatMap(({ title, table }) => [
      `## ${title}`,
      markdownTable(table.columns, table.cells),
    ]),
    '## How it was measured',
    [
      '- ROUGE as rouge_score without stemming, mean F1 over rows; BLEU (13a, exponential smoothing) and chrF (order 6, beta 2) of the corpus, as sacrebleu. All 0 to 100.',
      `- Controls: outputs of other rows (${options.shuffles} shufflings); one text for every row, "${options.constant}"; the first ${firstWordsCount} words of the text that was given.`,
      `- Differences: paired bootstrap, ${countText(options.bootstrap)} resamples of rows, the same for all systems, seed ${options.seed}; 95 % percentile interval; p two-sided, not corrected for the number of tests. Distinct-n is not tested: resamples repeat rows.`,
      "- Wins, ties and losses: rows whose ROUGE-L is higher than, equal to, lower than the baseline's.",
    ].join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n')}\n`
}

function codeText(path: string): string {
  return `\`${path.replaceAll('`', "'")}\``
}

function summaryLine({ rows, referenced, systems, matchedBy, baseline }: SystemsEvaluation): string {
  const how = { id: 'id', text: 'given text', order: 'order' }[matchedBy]
  const truth = referenced === rows ? 'all with a true text' : `${countText(referenced)} with a true text`
  return `${countOf(systems.length, 'system')} on the same ${countOf(rows, 'row')} (matched by ${how}), ${truth}. Baseline: ${baseline}.`
}

function notesText({ notes, unmatched }: SystemsEvaluation): string {
  const left = unmatched.map(({ system, rows }) => {
    const more = rows.length > namedRows ? `, and ${countText(rows.length - namedRows)} more` : ''
    return `Left out of ${system}: ${rows.slice(0, namedRows).join(', ')}${more}.`
  })
  return [...notes, ...left].map((note) => `- ${note}`).join('\n')
}

function sectionsOf(evaluation: SystemsEvaluation, everything: boolean): Section[] {
  const sections = [
    { title: 'Against the true texts', table: comparingTable(evaluation) },
    { title: 'By themselves', table: plainTable(evaluation) },
    { title: 'By source', table: sourceTable(evaluation) },
    { title: 'Row by row', table: outcomesTable(evaluation) },
    ...evaluation.differences.map((differences) => ({
      title: `${differences.system} against ${differences.baseline}`,
      table: differencesTable(evaluation, differences, everything),
    })),
  ]
  return sections.filter(({ table }) => table.cells.length > 0)
}

const right = (title: string): TableColumn => ({ title, align: 'right' })

const shownComparing: MetricName[] = ['rougeL', 'rouge1', 'rouge2', 'bleu', 'chrf']

/** A line a system, then what texts that know nothing of the row reach. */
function comparingTable({ systems, baseline }: SystemsEvaluation): Table {
  const shown = comparing.filter(({ name }) => shownComparing.includes(name) && systems[0]!.metrics[name])
  const columns: TableColumn[] = [{ title: 'against the true texts' }]
  for (const words of shown) {
    columns.push(right(words.label))
    if (words.name === 'rougeL') columns.push(right('95 % interval'))
  }
  const line = (title: string, estimateOf: (name: MetricName) => Estimate | undefined): string[][] => {
    if (!estimateOf('rougeL')) return []
    const cells = shown.flatMap((words) => {
      const estimate = estimateOf(words.name)
      const value = valueText(estimate, words)
      return words.name === 'rougeL' ? [value, intervalText(estimate, words)] : [value]
    })
    return [[title, ...cells]]
  }
  const control = ({ metrics }: SystemEvaluation, name: ControlName) => {
    return (metric: MetricName) => metrics[metric]?.controls?.[name]
  }
  const base = systems.find(({ name }) => name === baseline)!
  return {
    columns,
    cells: [
      ...systems.flatMap(({ name, metrics }) => line(name, (metric) => metrics[metric])),
      ...systems.flatMap((system) => line(`${system.name}, shuffled`, control(system, 'shuffled'))),
      ...(['constant', 'firstWords'] as const).flatMap((name) => line(controlTitles[name], control(base, name))),
    ],
  }
}

const shownPlain: MetricName[] = [
  'missingEnd',
  'leaks',
  'loops',
  'copies',
  'empty',
  'distinct1',
  'distinct2',
  'meanWords',
]

/** A line a system, then the true texts'. */
function plainTable({ systems }: SystemsEvaluation): Table {
  const shown = plain.filter(({ name }) => shownPlain.includes(name) && systems.some(({ metrics }) => metrics[name]))
  const line = (title: string, of: (name: MetricName) => Estimate | undefined) => [
    title,
    ...shown.map((words) => valueText(of(words.name), words)),
  ]
  const { metrics: first } = systems[0]!
  return {
    columns: [{ title: 'by themselves', wrap: false }, ...shown.map(({ label }) => right(label))],
    cells: [
      ...systems.map(({ name, metrics }) => line(name, (metric) => metrics[metric])),
      ...(first.meanWords?.references ? [line('true texts', (metric) => first[metric]?.references)] : []),
    ],
  }
}

/** ROUGE-L of each system by source. */
function sourceTable({ systems }: SystemsEvaluation): Table {
  const words = comparing.find(({ name }) => name === 'rougeL')!
  if (!systems[0]!.metrics.rougeL) return { columns: [], cells: [] }
  return {
    columns: [{ title: 'ROUGE-L by source' }, right('rows'), ...systems.map(({ name }) => right(name))],
    cells: systems[0]!.sources.map(({ source, rows }, at) => [
      source,
      countText(rows),
      ...systems.map(({ sources }) => valueText(sources[at]?.metrics.rougeL, words)),
    ]),
  }
}

function outcomesTable({ differences }: SystemsEvaluation): Table {
  const compared = differences.filter(({ wins, ties, losses }) => wins + ties + losses > 0)
  return {
    columns: [{ title: 'ROUGE-L of each row' }, right('wins'), right('ties'), right('losses')],
    cells: compared.map(({ system, baseline, wins, ties, losses }) => [
      `${system} against ${baseline}`,
      ...[wins, ties, losses].map(countText),
    ]),
  }
}

function differencesTable(
  { systems }: SystemsEvaluation,
  { system, baseline, metrics }: SystemDifferences,
  everything: boolean,
): Table {
  const metricsOf = (name: string): Measurements => systems.find((one) => one.name === name)!.metrics
  const [ours, theirs] = [metricsOf(system), metricsOf(baseline)]
  const shown = [...comparing, ...plain].filter(({ name }) => {
    return metrics[name] && (everything || [...shownComparing, ...shownPlain].includes(name))
  })
  return {
    columns: [
      { title: `${system} against ${baseline}` },
      right(baseline),
      right(system),
      right('difference'),
      right('95 % interval'),
      right('p'),
    ],
    cells: shown.map((words) => {
      const found = metrics[words.name]!
      return [
        words.label,
        valueText(theirs[words.name], words),
        valueText(ours[words.name], words),
        ...differenceCells(found, words),
      ]
    }),
  }
}

/** Difference, interval and p of a metric. */
function differenceCells(found: Difference, words: Pick<MetricWords, 'unit'>): string[] {
  return [signed(found.value, valueText(found, words)), intervalText(found, words), pText(found.p)]
}

function signed(value: number, text: string): string {
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text
}

/** '' where there is none; a p below a thousandth as such. */
export function pText(p: number | undefined): string {
  if (p === undefined) return ''
  return p < 0.001 ? '< 0.001' : p.toFixed(3)
}
