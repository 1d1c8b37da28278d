// What a run's curations show: how each score falls before and after every selection, and what the scores are worth on
// planted bad pairs.
import { scaleLinear } from 'd3-scale'
import { type Html, html } from './html.js'
import { countOf, countText } from './numbers.js'
import type { RunCuration, RunHistogram, ScoreQuality, Separating } from './run.js'

/** A card a score; in it one histogram an iteration, all over the same range. */
export function scoreHistograms(curations: readonly RunCuration[]): Html | undefined {
  const scores = [...new Set(curations.flatMap(({ histograms = [] }) => histograms.map(({ score }) => score)))]
  if (scores.length === 0) return undefined
  const cards = scores.map((score) => {
    const rounds = curations.flatMap(({ iteration, histograms = [] }) => {
      const found = histograms.find((one) => one.score === score && one.all.length > 0)
      return found ? [{ iteration, histogram: found }] : []
    })
    return rounds.length > 0 ? scoreCard(score, rounds) : undefined
  })
  return html`<p class="note">Bars are rows: <span class="key before">before</span> and <span class="key after">after the
selection</span>.</p>
<div class="histograms">${cards}</div>`
}

interface Round {
  iteration: number
  histogram: RunHistogram
}

function scoreCard(score: string, rounds: readonly Round[]): Html {
  const edges = rounds.flatMap(({ histogram }) => [histogram.edges[0]!, histogram.edges.at(-1)!])
  const [low, high] = [Math.min(...edges), Math.max(...edges)]
  const x = scaleLinear([low, high > low ? high : low + 1], [0, 100])
  const ticks = x.ticks(4)
  const format = x.tickFormat(4)
  return html`<figure class="chart histogram"><figcaption><strong>${score}</strong></figcaption>
${rounds.map((round) => bars(score, round, x))}
<div class="x-labels" aria-hidden="true">${ticks.map((tick) => html`<span${endOf(x(tick))} style="left:${round(x(tick))}%">${format(tick)}</span>`)}</div>
<details><summary>numbers</summary>${rounds.map(numbersTable)}</details></figure>
`
}

/** Words at the edges stay within the card. */
const endOf = (at: number): Html => (at > 94 ? html` class="end"` : at < 6 ? html` class="start"` : html``)

/** Height of an SVG that is stretched; 100 wide. */
const height = 60

function bars(score: string, { iteration, histogram }: Round, x: (value: number) => number): Html {
  const { edges, all, kept } = histogram
  const most = Math.max(1, ...all)
  const [rows, left] = [all, kept].map((counts) => counts.reduce((sum, count) => sum + count, 0)) as [number, number]
  const bar = (bin: number, count: number, style: string) => {
    const [from, to] = [x(edges[bin]!), x(edges[bin + 1]!)]
    const tall = (height * count) / most
    return (
      count > 0 &&
      html`<rect class="${style}" x="${round(from)}" y="${round(height - tall)}" width="${round(Math.max(0.3, (to - from) * 0.92))}" height="${round(tall)}"/>`
    )
  }
  const title = `${score}, iteration ${iteration}: ${countText(left)} of ${countOf(rows, 'row')} kept`
  return html`<p class="round">iteration ${iteration} <span>${countText(left)} of ${countText(rows)}</span></p>
<svg viewBox="0 0 100 ${height}" preserveAspectRatio="none" role="img" aria-label="${title}">
${all.map((count, bin) => {
  const words = `${valueText(edges[bin]!)} to ${valueText(edges[bin + 1]!)}: ${countText(kept[bin]!)} of ${countText(count)} kept`
  return count > 0 && html`<g><title>${words}</title>${bar(bin, count, 'before')}${bar(bin, kept[bin]!, 'after')}</g>`
})}
</svg>`
}

function numbersTable({ iteration, histogram: { edges, all, kept } }: Round): Html {
  return html`<table><caption>iteration ${iteration}</caption>
<tr><th scope="col">from</th><th scope="col">to</th><th scope="col" class="number">before</th><th scope="col" class="number">after</th></tr>
${all.map(
  (count, bin) =>
    html`<tr><td>${valueText(edges[bin]!)}</td><td>${valueText(edges[bin + 1]!)}</td><td class="number">${countText(count)}</td><td class="number">${countText(kept[bin]!)}</td></tr>
`,
)}</table>`
}

/** An AUC that is worth marking. */
const goodAuc = 0.9

/** A table a calibration: AUC, precision and recall of each score against all planted pairs, then against each kind. */
export function calibrationTables(curations: readonly RunCuration[]): Html | undefined {
  const calibrated = curations.filter(({ calibration = [] }) => calibration.length > 0)
  if (calibrated.length === 0) return undefined
  return html`<h2 id="calibration">What the scores are worth</h2>
<p class="note">Against bad pairs that were planted among good ones. AUC: how often a good pair has the better score, 0.5 is
chance; marked from ${goodAuc.toFixed(2)}. Precision and recall of keeping the good ones at the threshold with the highest F1.</p>
${calibrated.map(({ iteration, calibration = [] }) => calibrationTable(iteration, calibration))}`
}

function calibrationTable(iteration: number, scores: readonly ScoreQuality[]): Html {
  const kinds = [...new Set(scores.flatMap(({ kinds = {} }) => Object.keys(kinds)))]
  const groups = ['all', ...kinds]
  const three = ['AUC', 'precision', 'recall']
  return html`<div class="card wide" role="region" tabindex="0" aria-label="calibration of iteration ${iteration}"><table class="calibration">
<caption>iteration ${iteration}</caption>
<tr><td></td>${groups.map((kind) => html`<th scope="colgroup" colspan="3" class="group">${kind === 'all' ? 'all planted pairs' : kind}</th>`)}</tr>
<tr><th scope="col">score</th>${groups.map(() => three.map((name, at) => html`<th scope="col" class="number${at === 0 && ' group'}">${name}</th>`))}</tr>
${scores.map(
  (
    score,
  ) => html`<tr><th scope="row">${score.score}</th>${cells(score)}${kinds.map((kind) => cells(score.kinds?.[kind]))}</tr>
`,
)}</table></div>`
}

function cells(found: Separating | undefined): Html {
  if (!found) return html`<td class="group"></td><td></td><td></td>`
  const { auc, interval, precision, recall } = found
  const between = interval && html`<br><span class="note">${interval[0].toFixed(2)} to ${interval[1].toFixed(2)}</span>`
  const value = !Number.isFinite(auc)
    ? '–'
    : auc >= goodAuc
      ? html`<b class="marked">${auc.toFixed(3)}</b>`
      : auc.toFixed(3)
  return html`<td class="number group">${value}${between}</td><td class="number">${precision.toFixed(2)}</td><td class="number">${recall.toFixed(2)}</td>`
}

function valueText(value: number): string {
  const text = Math.abs(value) >= 100 ? countText(Math.round(value)) : String(Number(value.toPrecision(3)))
  return text.replace('-', '−')
}

function round(value: number): number {
  return Number(value.toFixed(2))
}
