// A run of the loop as one HTML page that needs nothing else: how rows flowed from stage to stage, scores before and after
// the selection, losses, comparisons, samples, settings. Pure: data in, text out.

import { formatDuration } from '../units.js'
import { drawChart, type Series } from './chart.js'
import { Html, html } from './html.js'
import { countText, percentText } from './numbers.js'
import type {
  Interval,
  Measured,
  RunComparison,
  RunCuration,
  RunHistogram,
  RunLosses,
  RunReport,
  RunSample,
  RunStage,
  ScoreQuality,
  StageStatus,
} from './run.js'
import { flowDiagram } from './run-flow.js'
import { runStyle } from './run-style.js'
import { trainingStyle } from './training-style.js'

/** The whole document. Whatever texts a run holds, they show as they are and do nothing. */
export function runPage(report: RunReport): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${report.title} · run report</title>
<style>${new Html(trainingStyle)}${new Html(runStyle)}</style>
</head>
<body>
<main>
<h1>${report.title}<span class="state">${isFinished(report) ? 'finished' : 'not finished'}</span></h1>
<p class="subtitle">${report.subtitle}</p>
<dl class="tiles">${(report.summary ?? []).map(({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<h2>Stages</h2>
<div class="card flow">${flowDiagram(report.stages)}</div>
${stageTable(report.stages)}
${comparisons(report)}
${(report.curations ?? []).map(curation)}
${losses(report.losses ?? [])}
<h2>Settings</h2>
<div class="card"><dl class="options">
${(report.settings ?? []).map(({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
</dl></div>
<footer>Written by <code>bt-native run</code> after each stage. <code>bt-native trace ID --run FOLDER</code> tells where a row
comes from; <code>lineage.parquet</code> has all of them.</footer>
</main>
</body>
</html>
`.text
}

const statusWords: Record<StageStatus, string> = {
  done: 'done',
  skipped: 'done before',
  running: 'not finished',
  failed: 'failed',
  waiting: 'not run yet',
}

function stageTable(stages: readonly RunStage[]): Html {
  const count = (value: number | undefined) =>
    html`<td class="number">${value === undefined ? '' : countText(value)}</td>`
  const row = (
    stage: RunStage,
  ) => html`<tr class="${stage.status}"><td><strong>${stage.name}</strong> ${stage.title}</td>
<td>${statusWords[stage.status]}</td>${count(stage.rowsIn)}${count(stage.rowsOut)}
<td class="number">${stage.seconds === undefined ? '' : formatDuration(stage.seconds)}</td>
<td>${stage.error ?? stage.note}${droppedOf(stage)}</td></tr>
`
  return html`<div class="card wide"><table>
<tr><th>stage</th><th></th><th class="number">rows in</th><th class="number">rows out</th><th class="number">time</th><th></th></tr>
${stages.map(row)}</table></div>`
}

function droppedOf({ dropped = [] }: RunStage): Html | undefined {
  if (dropped.length === 0) return undefined
  const all = dropped.reduce((sum, { count }) => sum + count, 0)
  return html`<details><summary>${countText(all)} left out</summary>
<ul>${dropped.map(({ reason, count }) => html`<li>${reason}: ${countText(count)}</li>`)}</ul></details>`
}

function isFinished({ stages }: RunReport): boolean {
  return stages.every(({ status }) => status === 'done' || status === 'skipped')
}

function comparisons({ comparisons: all = [] }: RunReport): Html | undefined {
  if (all.length === 0) return undefined
  return html`<h2>What the models reach</h2>
<div class="charts">${all.map(comparison)}</div>`
}

function comparison({ title, unit = '', note, systems, differences = [] }: RunComparison): Html {
  const digits = unit.startsWith('nats') ? 3 : 1
  const named = differences.map(({ name, baseline, p, ...one }) => ({
    ...one,
    name: `${name} − ${baseline}`,
    note: one.interval ? verdict(one.interval, p) : undefined,
  }))
  return html`${forest(title, unit, systems, digits, undefined, note)}
${named.length > 0 ? forest('Differences', `${unit}, the same rows for both`, named, digits + 1, 0) : undefined}`
}

function verdict([low, high]: Interval, p: number | undefined): string {
  const clear = low > 0 ? 'better' : high < 0 ? 'worse' : 'not clear of zero'
  return p === undefined ? clear : `${clear}, p ${p < 0.001 ? '< 0.001' : p.toFixed(3)}`
}

type Row = Measured & { note?: string | undefined }

/** Points with their intervals, one below the other. */
function forest(title: string, unit: string, rows: readonly Row[], digits: number, zero?: number, note?: string): Html {
  const ends = rows.flatMap(({ value, interval }) => [value, ...(interval ?? [])])
  const low = Math.min(...ends, zero ?? Number.POSITIVE_INFINITY)
  const high = Math.max(...ends, zero ?? Number.NEGATIVE_INFINITY)
  const at = (value: number) => Number((4 + (92 * (value - low)) / (high - low || 1)).toFixed(2))
  const line = ({ name, value, interval, note }: Row) => {
    const words = interval
      ? `${value.toFixed(digits)} [${interval.map((end) => end.toFixed(digits)).join(', ')}]`
      : value.toFixed(digits)
    const whisker =
      interval &&
      html`<i class="whisker" style="left:${at(interval[0])}%;width:${at(interval[1]) - at(interval[0])}%"></i>`
    const mark = zero === undefined ? undefined : html`<i class="zero" style="left:${at(zero)}%"></i>`
    return html`<tr><th scope="row">${name}</th><td class="track"><div aria-hidden="true">${mark}${whisker}<i class="point" style="left:${at(value)}%"></i></div></td>
<td class="number">${words}${note && html`<br><span class="note">${note}</span>`}</td></tr>
`
  }
  return html`<figure class="chart"><figcaption><strong>${title}</strong> <span class="unit">${unit}</span></figcaption>
<table class="forest">${rows.map(line)}</table>${note && html`<p class="note">${note}</p>`}</figure>`
}

function curation({ iteration, rows, kept, histograms = [], calibration = [], samples = [] }: RunCuration): Html {
  return html`<h2>Rating ${iteration}: ${countText(kept)} of ${countText(rows)} kept</h2>
<div class="histograms">${histograms.map((one) => histogram(one))}</div>
${calibrationTable(calibration)}
${samples.length > 0 ? html`<h3>Some of the rows</h3>${samples.map(sample)}` : undefined}`
}

function histogram({ score, edges, all, kept }: RunHistogram): Html {
  const most = Math.max(1, ...all)
  const width = 100 / all.length
  const bars = all.map((count, bin) => {
    const x = (bin * width).toFixed(2)
    const bar = (value: number, style: string) =>
      html`<rect class="${style}" x="${x}" y="${(50 - (50 * value) / most).toFixed(2)}" width="${(width * 0.9).toFixed(2)}" height="${((50 * value) / most).toFixed(2)}"/>`
    const title = `${edgeText(edges[bin]!)} to ${edgeText(edges[bin + 1]!)}: ${kept[bin]} of ${count} kept`
    return html`<g><title>${title}</title>${bar(count, 'all')}${bar(kept[bin]!, 'kept')}</g>`
  })
  const total = all.reduce((sum, count) => sum + count, 0)
  return html`<figure class="chart histogram"><figcaption><strong>${score}</strong></figcaption>
<svg viewBox="0 0 100 50" preserveAspectRatio="none" role="img" aria-label="${score}: ${total} rows from ${edgeText(edges[0]!)} to ${edgeText(edges.at(-1)!)}">${bars}</svg>
<div class="ends"><span>${edgeText(edges[0]!)}</span><span>${edgeText(edges.at(-1)!)}</span></div></figure>
`
}

function edgeText(value: number): string {
  return Math.abs(value) >= 100 ? countText(Math.round(value)) : String(Number(value.toPrecision(2)))
}

function calibrationTable(rows: readonly ScoreQuality[]): Html | undefined {
  if (rows.length === 0) return undefined
  const row = ({ score, auc, interval, precision, recall }: ScoreQuality) => html`<tr><td>${score}</td>
<td class="number">${auc.toFixed(3)}${interval && ` [${interval.map((end) => end.toFixed(3)).join(', ')}]`}</td>
<td class="number">${percentText(precision)}</td><td class="number">${percentText(recall)}</td></tr>
`
  return html`<div class="card wide"><table><caption>Against bad pairs that were planted: instructions of other rows, cut responses,
other languages. Precision and recall at the threshold with the best F1.</caption>
<tr><th>score</th><th class="number">AUC</th><th class="number">precision</th><th class="number">recall</th></tr>
${rows.map(row)}</table></div>`
}

/** Characters that a sample shows before it is unfolded, and at most. */
const shortSample = 240
const longestSample = 4000

function sample({ id, instruction, response, kept, why, scores }: RunSample): Html {
  const numbers = scores.map(({ name, value }) => `${name} ${Number(value.toPrecision(3))}`).join(' · ')
  const text = response.length > longestSample ? `${response.slice(0, longestSample)}…` : response
  const begins = text.replace(/\s+/g, ' ').slice(0, shortSample)
  return html`<div class="card sample ${kept ? 'kept' : 'left-out'}"><p><strong>${instruction.slice(0, longestSample)}</strong></p>
<details><summary>${begins}</summary><p>${text}</p></details>
<p class="note"><b>${kept ? 'kept' : 'left out'}</b>: ${why}. ${numbers} · <code>${id}</code></p></div>
`
}

const colours = ['main', 'second', 'third', 'fourth', 'fifth', 'sixth']

function losses(all: readonly RunLosses[]): Html | undefined {
  const drawn = all.filter(({ training }) => training.length > 0)
  if (drawn.length === 0) return undefined
  const series = drawn.flatMap(({ model, training, validation }, at): Series[] => {
    const style = colours[at % colours.length]!
    return [
      { label: model, style, points: training },
      { label: '', style, as: 'dots', points: validation },
    ]
  })
  const last = Math.max(...drawn.flatMap(({ training }) => training.map(([step]) => step)))
  return html`<h2>Losses</h2><div class="charts">${drawChart({
    title: 'Loss',
    unit: 'nats a token: lines are training, smoothed; dots validation',
    series,
    x: { label: 'step', from: 0, to: last },
    y: { scale: 'around' },
  })}</div>`
}
