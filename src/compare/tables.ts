// A comparison of models as tables: for the terminal and as a Markdown document. Nothing is computed here.
import type { Estimate } from '../metrics/types.js'
import { countOf, countText, percentText } from '../report/numbers.js'
import { markdownSystems, pText, renderSystems } from '../report/systems.js'
import { markdownTable, renderTable, type Table, type TableColumn, type TableOptions } from '../report/table.js'
import type { Comparison, Likelihood, Preference } from './types.js'

const right = (title: string): TableColumn => ({ title, align: 'right' })

/** All tables for the terminal, then the notes. */
export function renderComparison(comparison: Comparison, options: TableOptions = {}): string {
  const drawn = tablesOf(comparison).map(({ columns, cells }) => renderTable(columns, cells, options))
  const written = comparison.writing ? renderSystems(comparison.writing, options) : ''
  const notes = notesOn(comparison)
    .map((note) => `- ${note}`)
    .join('\n')
  return [summaryLine(comparison), ...drawn, written, notes].filter((part) => part !== '').join('\n\n')
}

/** The same as a Markdown document. */
export function markdownComparison(comparison: Comparison): string {
  const { writing, models, judgement, options } = comparison
  const files = Object.fromEntries(models.map(({ name }) => [name, [`${name}.written.jsonl`]]))
  const list = models.map(
    ({ name, model, adapter, control }) =>
      `- ${name}: ${model}${adapter ? ` with ${adapter}` : ''}${control ? ' (control)' : ''}`,
  )
  const [likelihoods, differences, preferences] = tablesOf(comparison)
  const section = (title: string, table: Table | undefined) =>
    table && table.cells.length > 0 ? [`## ${title}`, markdownTable(table.columns, table.cells)] : []
  return `${[
    '# Comparison of models',
    summaryLine(comparison),
    list.join('\n'),
    notesOn(comparison)
      .map((note) => `- ${note}`)
      .join('\n'),
    ...section('Log-likelihood of the held-out responses', likelihoods),
    ...section('Differences of log-likelihood', differences),
    ...section('The judge', preferences),
    [
      `- Log-likelihood: mean log p of a token of the response and its end token, nats, over all tokens; rows are drawn whole, ${countText(options.bootstrap)} resamples, the same for all models, seed ${options.seed}. Shuffled: the same responses with the instructions of other rows; gain: what the right instruction adds, paired by response.`,
      ...(writing ? [`- Written greedily, at most ${options.maxNewTokens} tokens.`] : []),
      ...(judgement
        ? [
            `- Judge: ${judgement.model} at ${judgement.endpoint}, ${judgement.byProbability ? "by the letters' probabilities" : 'by the letter that it wrote'}. Both orders are asked: a win is one in both, all else a tie. Rate: wins and half the ties; p against one half.`,
          ]
        : []),
    ].join('\n'),
    ...(writing
      ? [
          markdownSystems(writing, files)
            .replace(/^# .*$/m, '# What the models write')
            .trimEnd(),
        ]
      : []),
  ]
    .filter((part) => part !== '')
    .join('\n\n')}\n`
}

function summaryLine({ models, rows, scored, baselines, data }: Comparison): string {
  const left = scored === rows ? '' : ` (${countText(scored)} that every model could score)`
  return `${countOf(models.length, 'model')} on ${countOf(rows, 'held-out pair')}${left} of ${data}. ${baselines.length === 1 ? 'Baseline' : 'Baselines'}: ${baselines.join(', ')}.`
}

function tablesOf(comparison: Comparison): Table[] {
  const tables = [likelihoodTable(comparison), differenceTable(comparison)]
  if (comparison.judgement) tables.push(preferenceTable(comparison.judgement.preferences))
  return tables.filter(({ cells }) => cells.length > 0)
}

function likelihoodTable({ models }: Comparison): Table {
  const logProb = ({ logProb }: Likelihood) => (logProb ? logProb.value.toFixed(3) : '')
  return {
    columns: [
      { title: 'log p a token, nats' },
      right('responses'),
      right('95 % interval'),
      right('perplexity'),
      right('shuffled'),
      right('gain'),
      right('95 % interval'),
    ],
    cells: models.map(({ name, control, likelihood, shuffled, gain }) => [
      control ? `${name} (control)` : name,
      logProb(likelihood),
      rangeText(likelihood.logProb),
      likelihood.perplexity?.toFixed(2) ?? '',
      logProb(shuffled),
      gain ? signed(gain.value) : '',
      rangeText(gain),
    ]),
  }
}

function differenceTable({ likelihood }: Comparison): Table {
  return {
    columns: [
      { title: 'log p a token, nats' },
      right('difference'),
      right('95 % interval'),
      right('p'),
      right('wins'),
      right('ties'),
      right('losses'),
    ],
    cells: likelihood.map(({ model, baseline, difference, wins, ties, losses }) => [
      `${model} against ${baseline}`,
      signed(difference.value),
      rangeText(difference),
      pText(difference.p),
      ...[wins, ties, losses].map(countText),
    ]),
  }
}

function preferenceTable(preferences: readonly Preference[]): Table {
  return {
    columns: [
      { title: 'the judge' },
      ...['wins', 'ties', 'losses', 'unreadable', 'rate', '95 % interval', 'p', 'first shown'].map(right),
    ],
    cells: preferences.map(({ model, baseline, control, wins, ties, losses, unparsable, rate, first }) => [
      `${model} against ${baseline}${control ? ' (control)' : ''}`,
      ...[wins, ties, losses, unparsable].map(countText),
      rate ? percentText(rate.value) : '',
      rate?.interval ? rate.interval.map(percentText).join(' – ') : '',
      pText(rate?.p),
      first === undefined ? '' : percentText(first),
    ]),
  }
}

function rangeText(estimate: Estimate | null): string {
  return estimate?.interval ? estimate.interval.map((bound) => bound.toFixed(3)).join(' – ') : ''
}

function signed(value: number): string {
  return `${value > 0 ? '+' : ''}${value.toFixed(3)}`
}

/** A judge whose order decides this share of its verdicts more than chance is leaning. */
const leaning = 0.15

function notesOn({ models, judgement, rows, scored }: Comparison): string[] {
  const notes = []
  if (scored < rows)
    notes.push(
      `${countOf(rows - scored, 'pair')} could not be scored by every model: the response does not fit into --max-tokens.`,
    )
  for (const { name, gain } of models) {
    if (gain?.interval && gain.interval[0] <= 0) {
      notes.push(`${name} does not clearly find a response likelier with its instruction than with another.`)
    }
  }
  for (const { model, baseline, control, rate, first, unparsable } of judgement?.preferences ?? []) {
    const pair = `${model} against ${baseline}`
    if (control && rate && (rate.interval?.[1] ?? rate.value) >= 0.5) {
      notes.push(
        `The judge does not clearly prefer an answer of ${baseline} to one that was written for another row: its verdicts say little.`,
      )
    }
    if (first !== undefined && Math.abs(first - 0.5) > leaning) {
      notes.push(
        `${pair}: the judge named the answer shown first in ${percentText(first)} of its verdicts. Ties hold what the order decided.`,
      )
    }
    if (unparsable > 0)
      notes.push(`${pair}: ${countOf(unparsable, 'row')} without a readable verdict, in none of the counts.`)
  }
  return notes
}
