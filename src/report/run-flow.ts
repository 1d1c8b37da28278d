// The stages of a run as a flow diagram: boxes with what each did, lines as thick as the rows that go along them. Drawn twice,
// in layers for wide pages and in one column for narrow ones; the style shows one of the two.
import { scaleLinear } from 'd3-scale'
import { curveBumpY, line } from 'd3-shape'
import {
  type FlowLine,
  type PlacedLine,
  type Placement,
  placeInColumn,
  placeInLayers,
  type Spot,
} from './flow-layout.js'
import { Html, html } from './html.js'
import { countOf, countText } from './numbers.js'
import type { RunStage, StageStatus } from './run.js'
import { isDone, rowsText, timeText } from './run-words.js'
import { oneLine, wrapText } from './table.js'

/** A line with the rows that go along it; undefined where it is a model that goes, or nothing yet. */
interface Flow extends FlowLine {
  rows: number | undefined
  /** Something has gone along it. */
  made: boolean
}

/** Both diagrams. What they show stands in the table of the stages too. */
export function flowDiagram(stages: readonly RunStage[]): Html {
  const flows = flowsOf(stages)
  const wide = stages.map((stage) => boxOf(stage, 192))
  const narrow = stages.map((stage) => boxOf(stage, 250))
  const direct = directOf(flows)
  return html`${draw('layers', placeInLayers(wide, direct), wide, flows)}
${draw('column', placeInColumn(narrow, direct), narrow, flows)}`
}

/** Flows less those between stages that others join already: the seed is read nearly everywhere. */
export function directOf<Line extends FlowLine>(flows: readonly Line[]): Line[] {
  const next = new Map<string, string[]>()
  for (const { from, to } of flows) next.set(from, [...(next.get(from) ?? []), to])
  const reached = (from: string, seen = new Set<string>()): Set<string> => {
    for (const to of next.get(from) ?? []) if (!seen.has(to)) reached(to, seen.add(to))
    return seen
  }
  const after = new Map([...next.keys()].map((name) => [name, reached(name)]))
  return flows.filter(({ from, to }) => !next.get(from)!.some((other) => other !== to && after.get(other)?.has(to)))
}

/** Lines between stages that there are, each once. */
export function flowsOf(stages: readonly RunStage[]): Flow[] {
  const named = new Map(stages.map((stage) => [stage.name, stage]))
  return stages.flatMap(({ name, after }, at) => {
    const before = after ?? (at > 0 ? [stages[at - 1]!.name] : [])
    const sources = new Map<string, number | undefined>()
    for (const one of before)
      sources.set(...(typeof one === 'string' ? ([one, undefined] as const) : ([one.stage, one.rows] as const)))
    return [...sources].flatMap(([from, rows]) => {
      const source = named.get(from)
      return source && from !== name ? [{ from, to: name, rows: rows ?? source.rowsOut, made: isDone(source) }] : []
    })
  })
}

interface Box {
  name: string
  stage: RunStage
  width: number
  height: number
  title: string[]
  /** What stands at its foot: rows, or an error. */
  foot: string
}

const lineHeight = 15
/** Pixels of a letter of 12 pixels, about. */
const letter = 6.3
const padding = 12

function boxOf(stage: RunStage, width: number): Box {
  const columns = Math.floor((width - 2 * padding) / letter)
  const words = oneLine(stage.title ?? '', 3 * columns - 8)
  const title = words === '' ? [] : wrapText(words, columns).slice(0, 3)
  const foot = stage.error === undefined ? rowsText(stage) : oneLine(stage.error, columns - 5)
  const height = 30 + lineHeight * title.length + (foot === '' ? 0 : 19) + 6
  return { name: stage.name, stage, width, height, title, foot }
}

function draw(kind: 'layers' | 'column', placement: Placement, boxes: readonly Box[], flows: readonly Flow[]): Html {
  const { width, height, lines } = placement
  const most = Math.max(1, ...flows.map(({ rows }) => rows ?? 0))
  const thickness = scaleLinear([0, most], [1.5, kind === 'layers' ? 14 : 9])
  const drawn = lines.map((one) => {
    const flow = flows.find(({ from, to }) => from === one.from && to === one.to)!
    return lineMarkup(one, flow, flow.rows === undefined ? 1.5 : thickness(flow.rows), kind)
  })
  const id = `flow-${kind}`
  const size = `width="${Math.ceil(width)}" height="${Math.ceil(height)}" viewBox="0 0 ${Math.ceil(width)} ${Math.ceil(height)}"`
  return html`<svg class="${kind}" ${new Html(size)} role="img" aria-labelledby="${id}-title" aria-describedby="${id}-desc">
<title id="${id}-title">The stages of the run and what flows between them</title>
<desc id="${id}-desc">${descriptionOf(boxes, flows)}</desc>
<g class="lines">${drawn}</g>
${boxes.map((box) => boxMarkup(box, placement.boxes.get(box.name)!))}
</svg>`
}

function descriptionOf(boxes: readonly Box[], flows: readonly Flow[]): string {
  return boxes
    .map(({ name, stage }) => {
      const sources = flows
        .filter(({ to }) => to === name)
        .map(({ from, rows }) => `${from}${rows === undefined ? '' : ` (${countOf(rows, 'row')})`}`)
      const after = sources.length > 0 ? ` after ${sources.join(' and ')}` : ''
      return `${name}${after}: ${[statusText(stage), rowsText(stage)].filter((part) => part !== '').join(', ')}.`
    })
    .join(' ')
}

function lineMarkup({ from, to, points, label }: PlacedLine, { rows, made }: Flow, thick: number, kind: string): Html {
  const what = rows === undefined ? (made ? 'the model' : 'nothing yet') : countOf(rows, 'row')
  const title = `${from} to ${to}: ${what}`
  const path = kind === 'layers' ? smooth(points) : rounded(points)
  const words =
    label &&
    rows !== undefined &&
    html`<text x="${round(label[0])}" y="${round(label[1] + 4)}">${countText(rows)}</text>`
  return html`<g class="${rows === undefined ? 'model' : 'rows'}"><path d="${path}" stroke-width="${round(thick)}"><title>${title}</title></path>
<path class="head" d="${headOf(points, thick)}"/>${words}</g>
`
}

const smooth = (points: readonly Spot[]) => line<Spot>().curve(curveBumpY).digits(1)(points) ?? ''

/** Straight pieces with round corners. */
function rounded(points: readonly Spot[]): string {
  const corner = 7
  const parts = points.map(([x, y], at) => {
    const [before, after] = [points[at - 1], points[at + 1]]
    if (!before || !after) return `${before ? 'L' : 'M'}${round(x)} ${round(y)}`
    const toward = ([toX, toY]: Spot) => {
      const length = Math.hypot(toX - x, toY - y) || 1
      const reach = Math.min(corner, length / 2) / length
      return `${round(x + (toX - x) * reach)} ${round(y + (toY - y) * reach)}`
    }
    return `L${toward(before)}Q${round(x)} ${round(y)} ${toward(after)}`
  })
  return parts.join('')
}

/** A triangle whose tip is the line's end. */
function headOf(points: readonly Spot[], thick: number): string {
  const [x, y] = points.at(-1)!
  const [beforeX, beforeY] = points.at(-2)!
  const half = Math.max(5, thick / 2 + 3)
  const long = half * 1.2
  // Lines enter from above, in a column also from the left.
  if (Math.abs(y - beforeY) < 1)
    return `M${round(x)} ${round(y)}L${round(x - Math.sign(x - beforeX) * long)} ${round(y - half)}V${round(y + half)}Z`
  return `M${round(x)} ${round(y)}L${round(x - half)} ${round(y - long)}H${round(x + half)}Z`
}

function boxMarkup({ name, stage, width, height, title, foot }: Box, { x, y }: { x: number; y: number }): Html {
  const inner = x + padding
  const bottom = y + height - 11
  const nameWords = oneLine(name, Math.floor((width - 2 * padding - 28 - letter * statusText(stage).length) / 8))
  return html`<g class="box ${stage.status}"><title>${oneLine(`${name}: ${stage.title ?? ''}`, 300)}</title>
<rect x="${round(x)}" y="${round(y)}" width="${width}" height="${height}" rx="7"/>
<g transform="translate(${round(inner + 8)} ${round(y + 19)})">${badges[stage.status]}</g>
<text class="name" x="${round(inner + 23)}" y="${round(y + 23.5)}">${nameWords}</text>
<text class="soft end" x="${round(x + width - padding)}" y="${round(y + 23.5)}">${statusText(stage)}</text>
${title.map((words, at) => html`<text class="soft" x="${round(inner)}" y="${round(y + 43 + lineHeight * at)}">${words}</text>`)}
${foot !== '' && html`<text class="foot" x="${round(inner)}" y="${round(bottom)}">${foot}</text>`}</g>
`
}

/** "3:21" of a stage that is done, else how it stands. */
function statusText(stage: RunStage): string {
  return isDone(stage) && stage.seconds !== undefined ? timeText(stage) : stage.status
}

/** Told apart by form: a filled disc with a tick, a ring with a part, a cross, a ring. */
const badges: Record<StageStatus, Html> = {
  done: new Html('<circle class="full" r="8"/><path class="on" d="M-3.6 .3L-1 3L3.8 -2.8"/>'),
  running: new Html('<circle class="ring" r="7.2"/><path class="part" d="M-2.4 -4L4.2 0L-2.4 4Z"/>'),
  failed: new Html('<circle class="full" r="8"/><path class="on" d="M-3 -3L3 3M3 -3L-3 3"/>'),
  waiting: new Html('<circle class="ring" r="7.2"/>'),
}

function round(value: number): number {
  return Number(value.toFixed(1))
}
