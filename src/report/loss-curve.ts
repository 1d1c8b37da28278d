// The loss of a run as a few lines for the terminal: a curve of braille dots with its scale. Own code: the packages that draw
// curves of text have a resolution of one character, not of eight dots.
import type { TrainingReport } from './training.js'

export interface CurveOptions {
  /** Columns and rows of characters that the curve may take, scale included. */
  width?: number
  height?: number
}

/** Bits of the dots of a braille sign, by row and column. */
const dotBits = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const

/**
 * The smoothed training loss over the steps, validation losses as "●".
 * @returns lines without colours; none for a run with less than two steps that have a finite loss
 */
export function lossCurve(
  { steps, validations }: Pick<TrainingReport, 'steps' | 'validations'>,
  { width = 72, height = 8 }: CurveOptions = {},
): string[] {
  const points = steps.flatMap(({ step, smoothedLoss }) =>
    smoothedLoss === null ? [] : [[step, smoothedLoss] as const],
  )
  if (points.length < 2) return []
  const [first, last] = [points[0]![0], points.at(-1)![0]]
  const marks = validations.flatMap(({ step, validationLoss }) =>
    validationLoss === null || step < first ? [] : [[step, validationLoss] as const],
  )
  const values = Float64Array.from([...points, ...marks], ([, value]) => value).sort()
  const [low, high] = [values[0]!, values.at(-1)!]
  const labels = Array.from({ length: height }, (_, row) => high - ((high - low) * row) / (height - 1))
  const gutter = Math.max(...labels.map((label) => label.toFixed(2).length)) + 1
  const columns = Math.max(10, width - gutter - 1)
  const canvas = new Canvas(columns, height)
  const x = (step: number) => (step - first) / (last - first)
  const y = (value: number) => (high === low ? 0 : (high - value) / (high - low))
  canvas.curve(points.map(([step, value]) => [x(step), y(value)]))
  for (const [step, value] of marks) canvas.mark(x(step), y(value))
  const rows = canvas.rows().map((row, at) => {
    const label = at === 0 || at === height - 1 || at % 3 === 0 ? labels[at]!.toFixed(2) : ''
    return `${label.padStart(gutter - 1)} ${label ? '┤' : '│'}${row}`.trimEnd()
  })
  const ends = `step ${first.toLocaleString('en-US')}`
  const end = last.toLocaleString('en-US')
  const axis = `${' '.repeat(gutter + 1)}${ends}${end.padStart(Math.max(0, columns - ends.length))}`
  return [...rows, axis]
}

/** Dots, two by four to a character; positions run from 0 to 1, y downwards. */
class Canvas {
  private readonly bits: Uint8Array
  private readonly marks = new Set<number>()

  constructor(
    private readonly columns: number,
    private readonly height: number,
  ) {
    this.bits = new Uint8Array(columns * height)
  }

  /** A line through points in order of x, its steep parts filled. */
  curve(points: [x: number, y: number][]): void {
    const across = 2 * this.columns - 1
    let next = 0
    let before: number | undefined
    for (let at = 0; at <= across; at++) {
      while (next < points.length - 1 && points[next]![0] * across < at) next++
      const row = this.rowOf(between(points[Math.max(0, next - 1)]!, points[next]!, at / across))
      const from = before ?? row
      for (let dot = Math.min(from, row); dot <= Math.max(from, row); dot++) this.set(at, dot)
      before = row
    }
  }

  mark(x: number, y: number): void {
    const column = Math.min(this.columns - 1, Math.floor(x * this.columns))
    this.marks.add(Math.floor(this.rowOf(y) / 4) * this.columns + column)
  }

  rows(): string[] {
    return Array.from({ length: this.height }, (_, row) =>
      Array.from({ length: this.columns }, (_, column) => {
        const at = row * this.columns + column
        if (this.marks.has(at)) return '●'
        return this.bits[at] === 0 ? ' ' : String.fromCodePoint(0x2800 + this.bits[at]!)
      }).join(''),
    )
  }

  private rowOf(y: number): number {
    return Math.round(Math.max(0, Math.min(1, y)) * (4 * this.height - 1))
  }

  private set(across: number, down: number): void {
    const at = Math.floor(down / 4) * this.columns + Math.floor(across / 2)
    this.bits[at]! |= dotBits[down % 4]![across % 2]!
  }
}

/** Height of the line from one point to another at `x`, which lies between them. */
function between([x0, y0]: [number, number], [x1, y1]: [number, number], x: number): number {
  return x1 === x0 ? y1 : y0 + ((y1 - y0) * (x - x0)) / (x1 - x0)
}
