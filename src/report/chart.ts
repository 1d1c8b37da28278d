// One line chart as HTML: an SVG that stretches with the page, and axis labels as text beside it, so that lines and letters
// keep their size on every width. No script. Scales and paths are d3's.
import { scaleLinear, scaleLog } from 'd3-scale'
import { line } from 'd3-shape'
import { Html, html } from './html.js'
import { type Point, thin } from './thin.js'

export interface Series {
  label: string
  /** A class that the page's style knows: gives the colour. */
  style: string
  /** A line through the points, a thin one, dots, or dots on the x axis whatever their y. Default: a line. */
  as?: 'line' | 'faint' | 'dots' | 'floor'
  /** In order of x; y that is not finite leaves a gap. */
  points: readonly Point[]
  /** Shown when the pointer rests on a dot. */
  titles?: readonly string[]
}

export interface Chart {
  title: string
  unit: string
  series: Series[]
  /** Range of x; ticks are at whole numbers. */
  x: { label: string; from: number; to: number }
  /** Lines from top to bottom, with a word at the top. */
  dividers?: { x: number; label: string }[]
  /** Logarithmic where the values span more than a factor of 30 (and all are above 0); else from 0. */
  y: {
    scale: 'fromZero' | 'around' | 'spanning'
    /** Words of a tick, where the scale's own, all with as many decimals, are not the ones to read. */
    format?: (value: number) => string
  }
}

/** The SVG's own units, whatever its size on the page. */
const size = 1000
const mostPoints = 1200

/** Axis labels are texts beside the SVG, which has its own words for who cannot see it. */
export function drawChart(chart: Chart): Html {
  const x = scaleLinear([chart.x.from, Math.max(chart.x.to, chart.x.from + 1)], [0, size])
  const y = scaleOf(chart)
  const dividers = (chart.dividers ?? []).filter((divider) => x(divider.x) >= 0 && x(divider.x) <= size)
  const drawn = chart.series.filter(({ points }) => points.length > 0)
  const named = drawn.filter(({ label }) => label !== '')
  const xLabels = x
    .ticks(6)
    .filter(Number.isInteger)
    .map((tick) => label('left', x(tick), tick.toLocaleString('en-US')))
  const yLabels = y.ticks.map((tick) => label('top', y.at(tick), y.format(tick)))
  return html`<figure class="chart">
<figcaption><strong>${chart.title}</strong> <span class="unit">${chart.unit}</span>
<span class="legend">${named.length > 1 ? named.map(legendOf) : undefined}</span></figcaption>
<div class="plot"><div class="y-labels" aria-hidden="true">${yLabels}</div>
<div class="area"><div class="dividers">${dividers.map((one) => label('left', x(one.x), one.label))}</div>
<svg viewBox="0 0 ${size} ${size}" preserveAspectRatio="none" role="img" aria-label="${ariaLabel(chart, named)}">
<g class="grid">${y.ticks.map((tick) => html`<path d="M0 ${round(y.at(tick))}H${size}"/>`)}</g>
<g class="dividers">${dividers.map((one) => html`<path d="M${round(x(one.x))} 0V${size}"/>`)}</g>
${drawn.map((series) => draw(series, x, y.at))}
</svg></div>
<div class="x-labels" aria-hidden="true">${xLabels}</div>
<div class="x-title">${chart.x.label}</div></div>
</figure>
`
}

/** Words near the right end stand before their place. */
function label(side: 'left' | 'top', at: number, text: string): Html {
  const end = side === 'left' && at > 0.92 * size ? ' class="end"' : ''
  return html`<span${new Html(end)} style="${side}:${Number(((100 * at) / size).toFixed(2))}%">${text}</span>`
}

function legendOf({ style, as, label }: Series): Html {
  return html`<span class="key ${style} ${as === 'floor' ? 'dots' : (as ?? 'line')}">${label}</span>`
}

function ariaLabel({ title, unit, x }: Chart, drawn: Series[]): string {
  const lasts = drawn.flatMap(({ label, points }) => {
    const last = points.findLast(([, value]) => Number.isFinite(value))
    return last && points.length > 1 ? [`${label} ends at ${Number(last[1].toPrecision(3))}`] : []
  })
  return `${title} (${unit}) over ${x.label}. ${lasts.join(', ')}`
}

function draw(series: Series, x: (value: number) => number, y: (value: number) => number): Html {
  const { points, style, as = 'line' } = series
  if (as === 'dots' || as === 'floor') {
    const dots = points.map(([at, value], index) => {
      const height = as === 'floor' ? size : round(y(value))
      const title = series.titles?.[index]
      // A line of no length with round ends stays round however the SVG is stretched.
      return html`<path d="M${round(x(at))} ${height}h0">${title && html`<title>${title}</title>`}</path>`
    })
    return html`<g class="${style} dots">${dots}</g>`
  }
  const finite = points.filter(([, value]) => Number.isFinite(value))
  // Thinned series have no gaps: where a step gave no number, the line goes on to the next that did.
  const shown = points.length > mostPoints ? thin(finite, mostPoints) : points
  const path = line<Point>(
    ([at]) => x(at),
    ([, value]) => y(value),
  )
    .defined(([, value]) => Number.isFinite(value))
    .digits(1)
  return html`<path class="${style} ${as}" d="${path(shown) ?? ''}"/>`
}

interface Scale {
  at: (value: number) => number
  ticks: number[]
  format: (value: number) => string
}

/** Where a value stands, from the top, and which values get a label. */
function scaleOf({ y, series }: Chart): Scale {
  const measured = series.filter(({ as }) => as !== 'floor')
  const values = measured.flatMap(({ points }) => points.map(([, value]) => value)).filter(Number.isFinite)
  const [low, high] = extent(values)
  if (y.scale === 'spanning' && low > 0 && high / low > 30) {
    const scale = scaleLog([low, high], [size, 0]).nice().clamp(true)
    const ticks = scale.ticks(5)
    // A decade has nine ticks, of which few have room for a label.
    const room = ticks.length > 8 ? ticks.filter((tick) => /^1(e|$)/.test(tick.toExponential(0))) : ticks
    return { at: scale, ticks: room, format: y.format ?? String }
  }
  const bottom = y.scale === 'around' ? low - 0.08 * (high - low) : 0
  const scale = scaleLinear([bottom, high > bottom ? high : bottom + 1], [size, 0])
    .nice(5)
    .clamp(true)
  return { at: scale, ticks: scale.ticks(5), format: y.format ?? scale.tickFormat(5) }
}

/** Lowest and highest but for 0.5 %: one wild value must not flatten all others; it stands at the edge. */
function extent(values: readonly number[]): [number, number] {
  if (values.length === 0) return [0, 1]
  const sorted = Float64Array.from(values).sort()
  const last = values.length > 200 ? Math.floor(0.995 * (sorted.length - 1)) : sorted.length - 1
  return [sorted[0]!, sorted[last]!]
}

function round(value: number): number {
  return Number(value.toFixed(1))
}
