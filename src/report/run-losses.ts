// The losses of all models of a run in one chart, and as a table.
import { drawChart, type Series } from './chart.js'
import { type Html, html } from './html.js'
import { countText } from './numbers.js'
import type { RunLosses } from './run.js'
import type { Point } from './thin.js'

/** Classes of the style, told apart by colour and by dashes. */
const lines = ['main', 'second', 'third', 'fourth', 'fifth', 'sixth']

export function lossesSection(all: readonly RunLosses[]): Html | undefined {
  const drawn = all.filter(({ training, validation }) => training.length + validation.length > 0)
  if (drawn.length === 0) return undefined
  const last = Math.max(
    ...drawn.flatMap(({ training, validation }) => [...training, ...validation].map(([step]) => step)),
  )
  const chart = drawChart({
    title: 'Loss',
    unit: 'nats per scored token; lines: training, smoothed; dots: validation',
    series: drawn.flatMap(seriesOf),
    x: { label: 'optimizer step', from: 0, to: last },
    y: { scale: 'around' },
  })
  return html`<h2 id="losses">Losses</h2>
<p class="note">Of models that learn to write other things, losses do not compare: a backward model writes instructions, a
forward one responses.</p>
<div class="big losses">${chart}</div>
<details class="numbers"><summary>numbers</summary><div class="card wide"><table>
<tr><th scope="col">model</th>${['steps', 'training, first', 'training, last', 'validation, base', 'validation, last'].map((name) => html`<th scope="col" class="number">${name}</th>`)}</tr>
${drawn.map(lossRow)}</table></div></details>`
}

function seriesOf({ model, training, validation }: RunLosses, at: number): Series[] {
  const style = lines[at % lines.length]!
  const tested = validation.filter(([, loss]) => Number.isFinite(loss))
  return [
    { label: model, style, points: training },
    {
      ...{ label: training.length === 0 ? model : '', style, as: 'dots', points: tested },
      titles: tested.map(([step, loss]) => `${model}, validation after step ${step}: ${loss.toFixed(3)}`),
    },
  ]
}

function lossRow({ model, training, validation }: RunLosses): Html {
  const finite = training.filter(([, loss]) => Number.isFinite(loss))
  const base = validation.find(([step]) => step === 0)
  const tested = validation.findLast(([step]) => step > 0)
  const cell = (point: Point | undefined) => html`<td class="number">${point ? point[1].toFixed(3) : '–'}</td>`
  return html`<tr><th scope="row">${model}</th><td class="number">${countText(training.at(-1)?.[0] ?? 0)}</td>${[finite[0], finite.at(-1), base, tested].map(cell)}</tr>
`
}
