// The stages of a run as a diagram: columns by depth, arrows as thick as the rows that flow along them.
import { linkHorizontal } from 'd3-shape'
import { formatDuration } from '../units.js'
import { type Html, html } from './html.js'
import { countText } from './numbers.js'
import type { RunStage } from './run.js'

const box = { width: 104, height: 46, gapX: 34, gapY: 18 }

interface Node {
  stage: RunStage
  x: number
  y: number
}

/** An SVG; the table below it says the same in words. */
export function flowDiagram(stages: readonly RunStage[]): Html {
  const nodes = placed(stages)
  const byName = new Map(nodes.map((node) => [node.stage.name, node]))
  const width = Math.max(...nodes.map(({ x }) => x)) + box.width + 2
  const height = Math.max(...nodes.map(({ y }) => y)) + box.height + 2
  const most = Math.max(1, ...stages.map(({ rowsOut }) => rowsOut ?? 0))
  const links = nodes.flatMap((node) =>
    sourcesOf(node.stage).flatMap((name) => {
      const from = byName.get(name)
      return from ? [linkOf(from, node, most)] : []
    }),
  )
  const words = stages.map((stage) => {
    const after = sourcesOf(stage)
    return after.length > 0 ? `${stage.name} after ${after.join(' and ')}` : stage.name
  })
  return html`<svg viewBox="0 0 ${width} ${height}" role="img"><title>How rows flow from stage to stage</title>
<desc>${words.join('; ')}</desc>${links}${nodes.map(drawn)}</svg>`
}

function sourcesOf({ after = [] }: RunStage): string[] {
  return after.map((one) => (typeof one === 'string' ? one : one.stage))
}

/** Column: one after the last of those that it reads. Rows within a column in the order of the run. */
function placed(stages: readonly RunStage[]): Node[] {
  const depth = new Map<string, number>()
  const filled = new Map<number, number>()
  return stages.map((stage) => {
    const column = Math.max(-1, ...sourcesOf(stage).map((name) => depth.get(name) ?? -1)) + 1
    depth.set(stage.name, column)
    const row = filled.get(column) ?? 0
    filled.set(column, row + 1)
    return { stage, x: 1 + column * (box.width + box.gapX), y: 1 + row * (box.height + box.gapY) }
  })
}

function linkOf(from: Node, to: Node, most: number): Html {
  const rows = from.stage.rowsOut
  const line = linkHorizontal()({
    source: [from.x + box.width, from.y + box.height / 2],
    target: [to.x, to.y + box.height / 2],
  })
  const thick = (1 + 6 * Math.sqrt((rows ?? 0) / most)).toFixed(1)
  const title = `${from.stage.name} to ${to.stage.name}${rows === undefined ? '' : `: ${countText(rows)} rows`}`
  return html`<path d="${line ?? ''}" stroke-width="${thick}"><title>${title}</title></path>`
}

function drawn({ stage, x, y }: Node): Html {
  const { name, title, status, rowsOut, seconds } = stage
  const parts = [
    rowsOut === undefined ? '' : `${countText(rowsOut)} rows`,
    seconds === undefined ? '' : formatDuration(seconds),
  ]
  const below = status === 'waiting' ? 'not run yet' : parts.filter((part) => part !== '').join(' · ')
  return html`<g class="${status}"><title>${name}: ${title}</title>
<rect x="${x}" y="${y}" width="${box.width}" height="${box.height}" rx="7"/>
<text x="${x + 8}" y="${y + 19}">${name}</text><text class="soft" x="${x + 8}" y="${y + 36}">${below}</text></g>`
}
