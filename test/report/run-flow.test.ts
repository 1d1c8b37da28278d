import { expect, test } from 'vitest'
import { placeInColumn, placeInLayers } from '../../src/report/flow-layout.js'
import { directOf, flowDiagram, flowsOf } from '../../src/report/run-flow.js'
import { demoRun } from './demo-run.js'

const { stages } = demoRun()
const boxes = stages.map(({ name }) => ({ name, width: 190, height: 70 }))
const flows = flowsOf(stages)

test('what flows to a stage is what the one before gave, unless it says how much of that it took', () => {
  const rows = (from: string, to: string) => flows.find((flow) => flow.from === from && flow.to === to)?.rows
  expect(rows('augment', 'curate-1')).toBe(988)
  expect(rows('seed', 'backward')).toBe(3142)
  expect(rows('seed', 'evaluate')).toBe(166)
  expect(rows('m0', 'curate-1')).toBeUndefined()
})

test('stages without a list follow one another; sources that are not there, or the stage itself, are left out', () => {
  const flows = flowsOf([
    { name: 'a', status: 'done' },
    { name: 'b', status: 'done' },
    { name: 'c', status: 'done', after: ['c', 'lost', 'a', 'a'] },
  ])
  expect(flows.map(({ from, to }) => `${from}-${to}`)).toEqual(['a-b', 'a-c'])
})

test('a line is not drawn where a longer way joins the same stages, but is told of', () => {
  const through = [
    { name: 'a', status: 'done' },
    { name: 'b', status: 'done', after: ['a'] },
    { name: 'c', status: 'done', after: ['b'] },
    { name: 'd', status: 'done', after: ['a', 'c'] },
    { name: 'e', status: 'done', after: ['a'] },
  ] as const
  expect(directOf(flowsOf(through)).map(({ from, to }) => `${from}-${to}`)).toEqual(['a-b', 'b-c', 'c-d', 'a-e'])
  const drawing = flowDiagram(through).text
  expect(drawing).not.toContain('<title>a to d')
  expect(drawing).toContain('d after a and c')
})

/** Whether two boxes share a spot. */
const overlap = (a: Box, b: Box) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
interface Box {
  x: number
  y: number
  width: number
  height: number
}

test.each([
  ['layers', placeInLayers],
  ['a column', placeInColumn],
])('in %s no boxes overlap, all lies within, and each line ends at its boxes', (_, place) => {
  const { boxes: placed, lines, width, height } = place(boxes, flows)
  const all = [...placed.values()]
  for (const [at, box] of all.entries()) {
    expect(box.x).toBeGreaterThanOrEqual(0)
    expect(box.x + box.width).toBeLessThanOrEqual(width)
    expect(box.y + box.height).toBeLessThanOrEqual(height)
    for (const other of all.slice(at + 1)) expect(overlap(box, other), `${box.name} ${other.name}`).toBe(false)
  }
  expect(lines).toHaveLength(flows.length)
  const within = ([x, y]: readonly [number, number], box: Box) =>
    x >= box.x - 0.1 && x <= box.x + box.width + 0.1 && y >= box.y - 0.1 && y <= box.y + box.height + 0.1
  for (const { from, to, points } of lines) {
    expect(within(points[0]!, placed.get(from)!), `${from} to ${to}`).toBe(true)
    expect(within(points.at(-1)!, placed.get(to)!), `${from} to ${to}`).toBe(true)
    for (const [x, y] of points) expect(x >= 0 && x <= width && y >= 0 && y <= height).toBe(true)
  }
})

test('in layers each box stands below all that lead to it', () => {
  const { boxes: placed } = placeInLayers(boxes, flows)
  for (const { from, to } of flows) {
    const [above, below] = [placed.get(from)!, placed.get(to)!]
    expect(above.y + above.height, `${from} to ${to}`).toBeLessThan(below.y)
  }
})

test('in a column lanes of different boxes that stand beside one another are apart', () => {
  const { lines } = placeInColumn(boxes, flows)
  const lanes = lines.flatMap(({ from, points }) => {
    if (points.length < 4) return []
    return [{ from, x: points[1]![0], top: points[1]![1], bottom: points[2]![1] }]
  })
  for (const one of lanes) {
    for (const other of lanes) {
      if (one.from === other.from || one.top > other.bottom || other.top > one.bottom) continue
      expect(Math.abs(one.x - other.x), `${one.from} ${other.from}`).toBeGreaterThan(5)
    }
  }
})

test('a stage that leads back to an earlier one is drawn too', () => {
  const looped = [
    { name: 'a', status: 'done', after: ['b'] },
    { name: 'b', status: 'done', after: ['a'] },
  ] as const
  const drawing = flowDiagram(looped).text
  expect(drawing.match(/<title>b to a: the model<\/title>/g)).toHaveLength(2)
})

test('lines are as thick as the rows that go along them, and say how many', () => {
  const drawing = flowDiagram(stages).text
  const thick = (title: string) => Number(new RegExp(`stroke-width="([\\d.]+)"><title>${title}`).exec(drawing)?.[1])
  expect(thick('mix-m1 to m1: 3,554 rows')).toBeCloseTo(14)
  expect(thick('curate-1 to mix-m1: 412 rows')).toBeCloseTo(1.5 + (12.5 * 412) / 3554, 0)
  expect(drawing).toContain('<text x=')
  expect(drawing).toMatch(/<g class="model"><path [^>]*><title>backward to augment: the model/)
})

test('who does not see the diagram hears every stage with where its rows come from', () => {
  const drawing = flowDiagram(stages).text
  expect(drawing).toContain('role="img" aria-labelledby="flow-layers-title" aria-describedby="flow-layers-desc"')
  expect(drawing).toContain('curate-1 after augment (988 rows) and m0 and backward: 8:51, 988 → 412 rows.')
})
