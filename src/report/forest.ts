// Measured systems as a forest plot: a table whose rows have a point with its interval on one scale, and the numbers beside.
import { scaleLinear } from 'd3-scale'
import { type Html, html } from './html.js'
import type { Interval, RunComparison } from './run.js'
import { intervalOf, measureText, verdictOf, verdictWords } from './run-words.js'

interface ForestRow {
  name: string
  value: number
  interval?: Interval | undefined
  /** What stands below the numbers. */
  note?: Html | undefined
  style: 'system' | 'control' | 'better' | 'worse' | 'unclear'
}

/** The systems on one scale, then their differences around zero. */
export function forestPlot(comparison: RunComparison): Html {
  const { title, unit = '', note, systems, differences = [], better = 'high' } = comparison
  const styles = { better: 'better', worse: 'worse', 'not clear': 'unclear' } as const
  const compared = differences.map((one) => {
    const verdict = verdictOf(one, better)
    const p =
      one.p !== undefined && html`<br> <span class="note">p ${one.p < 0.001 ? '< 0.001' : one.p.toFixed(3)}</span>`
    return {
      ...{ value: one.value, interval: one.interval, name: `${one.name} − ${one.baseline}` },
      note: html`${verdict && verdictWords[verdict]}${p}`,
      style: verdict ? styles[verdict] : ('unclear' as const),
    }
  })
  const rows = systems.map(({ control, ...one }) => ({
    ...one,
    note: control ? html`control` : undefined,
    style: control ? ('control' as const) : ('system' as const),
  }))
  const measured = unit === '' ? '' : `${unit}; `
  return html`<figure class="chart forest-plot"><figcaption><strong>${title}</strong>
<span class="unit">${measured}${better === 'high' ? 'more' : 'less'} is better</span></figcaption>
${forestTable(`${title}: each`, rows)}
${compared.length > 0 && html`<p class="part">Differences <span class="unit">paired, on the same rows</span></p>${forestTable(`${title}: differences`, compared, 0)}`}
${note !== undefined && html`<p class="note">${note}</p>`}</figure>
`
}

/** @param zero where a line is drawn from top to bottom, if the rows are around it */
function forestTable(label: string, rows: readonly ForestRow[], zero?: number): Html {
  const text = measureText(rows)
  const ends = rows.flatMap(({ value, interval = [] }) => [value, ...interval]).filter(Number.isFinite)
  if (zero !== undefined) ends.push(zero)
  const [low, high] = ends.length > 0 ? [Math.min(...ends), Math.max(...ends)] : [0, 1]
  const margin = 0.04 * (high - low) || 0.5
  const x = scaleLinear([low - margin, high + margin], [0, 100])
  const ticks = x.ticks(4)
  const format = x.tickFormat(4)
  const at = (value: number) => Number(x(value).toFixed(2))
  const lines = ticks.map((tick) => html`<path class="tick" d="M${at(tick)} 0V10"/>`)
  const zeroLine = zero !== undefined && html`<path class="zero" d="M${at(zero)} 0V10"/>`
  const row = ({ name, value, interval, note, style }: ForestRow) => {
    const whisker =
      interval?.every(Number.isFinite) && html`<path class="whisker" d="M${at(interval[0])} 5H${at(interval[1])}"/>`
    const point = Number.isFinite(value) && html`<path class="point" d="M${at(value)} 5h0"/>`
    return html`<tr class="${style}"><th scope="row">${name}</th>
<td class="track" aria-hidden="true"><svg viewBox="0 0 100 10" preserveAspectRatio="none">${lines}${zeroLine}${whisker}${point}</svg></td>
<td class="number"><b>${text(value)}</b><br><span class="note">${intervalOf({ name, value, interval }, text)}</span></td>
<td class="verdict">${note}</td></tr>
`
  }
  return html`<table class="forest" aria-label="${label}">${rows.map(row)}
<tr class="axis" aria-hidden="true"><td></td><td class="track"><div class="x-labels">${ticks.map((tick) => html`<span style="left:${at(tick)}%">${format(tick)}</span>`)}</div></td><td></td><td></td></tr></table>`
}
