// Where the boxes and lines of a flow diagram stand: in layers where there is room, below one another where there is not.
// Knows nothing of what they show. Layers are dagre's.
import dagre from '@dagrejs/dagre'

/** Lengths are pixels; a box's place is its upper left corner. */
export interface FlowBox {
  name: string
  width: number
  height: number
}

export interface FlowLine {
  from: string
  to: string
}

export type Spot = readonly [x: number, y: number]

export interface PlacedLine extends FlowLine {
  /** From the box that it leaves to the one that it enters. */
  points: Spot[]
  /** Middle of its words, where there is room for some. */
  label?: Spot
}

export interface Placement {
  width: number
  height: number
  boxes: ReadonlyMap<string, FlowBox & { x: number; y: number }>
  lines: PlacedLine[]
}

const between = { boxes: 16, lines: 12, layers: 44, label: { width: 30, height: 14 } }

/** From top to bottom, each box below all that lead to it. */
export function placeInLayers(boxes: readonly FlowBox[], lines: readonly FlowLine[]): Placement {
  const graph = new dagre.graphlib.Graph()
  graph.setGraph({
    ...{ rankdir: 'TB', marginx: 2, marginy: 2 },
    ...{ nodesep: between.boxes, edgesep: between.lines, ranksep: between.layers },
  })
  for (const { name, width, height } of boxes) graph.setNode(name, { width, height })
  for (const { from, to } of lines) graph.setEdge(from, to, { ...between.label, labelpos: 'c' })
  dagre.layout(graph)
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number }
  const placed = new Map(
    boxes.map((box) => {
      const { x, y } = graph.node(box.name) as { x: number; y: number }
      return [box.name, { ...box, x: x - box.width / 2, y: y - box.height / 2 }] as const
    }),
  )
  const routes = lines.map((line) => {
    const { points, x, y } = graph.edge(line.from, line.to) as {
      points: { x: number; y: number }[]
      x: number
      y: number
    }
    return { line, bends: points.slice(1, -1).map((point) => [point.x, point.y] as const), label: [x, y] as const }
  })
  return { width, height, boxes: placed, lines: routes.map((route) => fromPortToPort(route, routes, placed)) }
}

interface Route {
  line: FlowLine
  /** Between the two boxes. */
  bends: Spot[]
  label: Spot
}

/** Lines leave a box at its lower edge and enter at the upper one, side by side in the order of where they come from. */
function fromPortToPort(
  route: Route,
  all: readonly Route[],
  boxes: ReadonlyMap<string, FlowBox & { x: number; y: number }>,
): PlacedLine {
  const { line, bends, label } = route
  const [from, to] = [boxes.get(line.from)!, boxes.get(line.to)!]
  const port = (end: 'from' | 'to', box: FlowBox & { x: number }) => {
    const towards = ({ bends, line }: Route) => {
      const other = boxes.get(end === 'from' ? line.to : line.from)!
      return (end === 'from' ? bends[0] : bends.at(-1))?.[0] ?? other.x + other.width / 2
    }
    const sharing = all.filter((one) => one.line[end] === line[end]).toSorted((a, b) => towards(a) - towards(b))
    return box.x + (box.width * (sharing.indexOf(route) + 1)) / (sharing.length + 1)
  }
  const start: Spot = [port('from', from), from.y + from.height]
  const end: Spot = [port('to', to), to.y]
  // From one layer to the next the one bend is the place of the words.
  if (bends.length === 1)
    return { ...line, points: [start, end], label: [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2] }
  return { ...line, points: [start, ...bends, end], label }
}

const lane = 13
const gap = 30
/** Between the lines that leave or enter one box at its side. */
const apart = 9

/**
 * One column in the order of the boxes. A line to the next box goes straight down; all others of one box share a lane at the
 * left and branch off it.
 */
export function placeInColumn(boxes: readonly FlowBox[], lines: readonly FlowLine[]): Placement {
  const order = new Map(boxes.map(({ name }, at) => [name, at]))
  const long = lines.filter(({ from, to }) => order.get(to)! - order.get(from)! !== 1)
  const lanes = lanesOf(boxes, long, order)
  const left = lane * (Math.max(-1, ...lanes.values()) + 1) + (long.length > 0 ? 10 : 0)
  const placed = new Map<string, FlowBox & { x: number; y: number }>()
  let y = 2
  for (const box of boxes) {
    placed.set(box.name, { ...box, x: left, y })
    y += box.height + gap
  }
  const pathOf = (line: FlowLine): PlacedLine => {
    const [from, to] = [placed.get(line.from)!, placed.get(line.to)!]
    if (!long.includes(line)) {
      const [x, start] = [from.x + from.width / 2, from.y + from.height]
      return {
        ...line,
        points: [
          [x, start],
          [x, to.y],
        ],
        label: [x + 40, (start + to.y) / 2],
      }
    }
    const entering = long.filter((other) => other.to === line.to)
    const x = left - 10 - lane * lanes.get(line.from)! - lane / 2 + 4
    const leaves = from.y + from.height - 14
    const enters = to.y + 14 + apart * entering.indexOf(line)
    return {
      ...line,
      points: [
        [from.x, leaves],
        [x, leaves],
        [x, enters],
        [to.x, enters],
      ],
    }
  }
  const width = left + Math.max(0, ...boxes.map((box) => box.width)) + 2
  return { width, height: Math.max(2, y - gap + 2), boxes: placed, lines: lines.map(pathOf) }
}

/** The lane of each box that needs one, 0 next to the boxes: those whose lines stand beside one another have different ones. */
function lanesOf(
  boxes: readonly FlowBox[],
  long: readonly FlowLine[],
  order: ReadonlyMap<string, number>,
): Map<string, number> {
  const taken: { from: number; to: number }[][] = []
  const spans = boxes.flatMap(({ name }) => {
    const ends = long.filter(({ from }) => from === name).map(({ to }) => order.get(to)!)
    const own = order.get(name)!
    return ends.length === 0 ? [] : [{ name, from: Math.min(own, ...ends), to: Math.max(own, ...ends) }]
  })
  const shortFirst = spans.toSorted((a, b) => a.to - a.from - (b.to - b.from) || a.from - b.from)
  return new Map(
    shortFirst.map(({ name, from, to }) => {
      let free = taken.findIndex((others) => others.every((other) => to < other.from || other.to < from))
      if (free < 0) free = taken.push([]) - 1
      taken[free]!.push({ from, to })
      return [name, free]
    }),
  )
}
