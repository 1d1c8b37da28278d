// A training run as one HTML page that needs nothing else: curves, numbers, samples, settings. Pure: data in, text out.
import { type Html, html } from './html.js'
import { card, factTable, firstWords, optionList, pageOf, tiles } from './page.js'
import type { Fact, ReportSample, ReportStep, TrainingReport } from './training.js'
import { trainingCurves } from './training-curves.js'
import { trainingStyle } from './training-style.js'

/** The whole document. Whatever texts a run holds, they show as they are and do nothing. */
export function trainingPage(report: TrainingReport): string {
  const state = report.finished ? 'finished' : `after step ${report.lastStep.toLocaleString('en-US')}, not finished`
  const body = html`<h1>${report.title}<span class="state">${state}</span></h1>
<p class="subtitle">${report.subtitle}</p>
${tiles(report.summary)}
${trainingCurves(report)}
${spikes(report.steps)}
${samples(report.samples)}
<h2>What it was made from</h2>
<div class="facts">
${card('Model', factTable(report.model))}
${card('Data', factTable(report.data))}
${card('Template', template(report.template))}
</div>
<h2>Options</h2>
<p class="note">Marked: not the default.</p>
<div class="card">${optionList(report.options)}</div>
<footer>Written by bt-native from metrics.jsonl, samples.jsonl and bt_native.json beside this file.
<code>bt-native report</code> writes it again.</footer>`
  return pageOf({ title: `${report.title} · training report`, style: trainingStyle, body })
}

/** Spikes that are listed; all are marked in the curves. */
const mostSpikes = 50

function spikes(steps: readonly ReportStep[]): Html | undefined {
  const wild = steps.filter(({ spike }) => spike)
  if (wild.length === 0) return undefined
  const height = (step: ReportStep) => Math.max(step.lossZ ?? 0, step.gradNormZ ?? 0)
  const shown = wild.toSorted((a, b) => height(b) - height(a)).slice(0, mostSpikes)
  const more =
    wild.length > shown.length ? ` The ${shown.length} highest of ${wild.length.toLocaleString('en-US')}.` : ''
  return html`<h2>Steps that stood out</h2>
<p class="note">z: how many deviations the loss, and the logarithm of the gradient norm, lay above the running mean of the
steps before. Above 4 a step stands out.${more}</p>
<div class="card"><table>
<tr>${['step', 'loss', 'z', 'gradient norm', 'z'].map((name) => html`<th class="number">${name}</th>`)}</tr>
${shown.map(spikeRow)}</table></div>`
}

function spikeRow({ step, loss, lossZ, gradNorm, gradNormZ, rows }: ReportStep): Html {
  const cell = (value: number | null | undefined, digits: number) => {
    return html`<td class="number">${value === null ? 'not finite' : value?.toFixed(digits)}</td>`
  }
  const numbers = [cell(step, 0), cell(loss, 3), cell(lossZ, 1), cell(gradNorm, 2), cell(gradNormZ, 1)]
  return html`<tr class="spike">${numbers}</tr>
<tr><td colspan="5"><span class="note">rows</span> <code>${rows?.join(' ')}</code></td></tr>
`
}

function samples(all: readonly ReportSample[]): Html | undefined {
  if (all.length === 0) return undefined
  const rows = [...new Set(all.map(({ id }) => id))].map((id) => all.filter((sample) => sample.id === id))
  return html`<h2>Samples</h2>
<p class="note">Written greedily for held-back rows, at most 96 tokens.</p>
${rows.map(sampleCard)}`
}

function sampleCard(row: readonly ReportSample[]): Html {
  const { given, reference } = row[0]!
  return html`<div class="card sample"><details><summary>${firstWords(given)}</summary><p>${given}</p></details>
<table><tr class="true"><td>true</td><td><p>${reference}</p></td></tr>
${row.map(sampleRow)}</table></div>
`
}

function sampleRow({ step, epoch, prediction, finish }: ReportSample): Html {
  const when = step === 0 ? 'base model' : Number.isInteger(epoch) ? `epoch ${epoch}` : `step ${step}`
  const end = finish === 'stop' ? undefined : html` <span class="note">[${endings[finish] ?? finish}]</span>`
  return html`<tr><td>${when}</td><td><p>${prediction === '' ? '(nothing)' : prediction}${end}</p></td></tr>
`
}

const endings: Record<string, string> = { length: 'no end', 'not-finite': 'the logits were not finite' }

/** The prompt itself stands below, with its line ends. */
function template(facts: readonly Fact[]): Html {
  const laidOut = facts.filter(({ value }) => value.includes('\n'))
  const rest = facts.filter((fact) => !laidOut.includes(fact))
  return html`${factTable(rest)}${laidOut.map(({ value }) => html`<pre>${value}</pre>`)}`
}
