// Written texts beside the true ones: which to show, and how they look in a terminal and in Markdown.
import { randomAt } from '../metrics/random.js'
import { rougeLOf } from '../metrics/score.js'
import type { EvaluationRow } from '../metrics/types.js'
import { markdownTable, oneLine, renderTable, type TableColumn, type TableOptions } from './table.js'

/** Characters of each text that are shown: enough to judge an instruction, too few to flood the screen. */
const shown = 280

/**
 * Some rows to look at: chosen at random but the same for the same seed, in the order of the input; rows with a true text
 * first choice.
 */
export function chooseSamples<R extends EvaluationRow>(rows: readonly R[], count: number, seed: number): R[] {
  const random = randomAt(seed, 'samples')
  const compared = (index: number) => (rows[index]!.reference === undefined ? 1 : 0)
  return [...rows.keys()]
    .map((index) => ({ index, rank: compared(index), draw: random(index) }))
    .sort((one, other) => one.rank - other.rank || one.draw - other.draw)
    .slice(0, count)
    .sort((one, other) => one.index - other.index)
    .map(({ index }) => rows[index]!)
}

/** A table of the rows: the text that was given, what was written, what is true, and ROUGE-L where there is truth. */
export function renderSamples(rows: readonly EvaluationRow[], options: TableOptions = {}): string {
  const { columns, cells } = sampleCells(rows)
  return renderTable(columns, cells, options)
}

/** As renderSamples, in Markdown. */
export function markdownSamples(rows: readonly EvaluationRow[]): string {
  const { columns, cells } = sampleCells(rows)
  return markdownTable(columns, cells)
}

function sampleCells(rows: readonly EvaluationRow[]): { columns: TableColumn[]; cells: string[][] } {
  const parts: { column: TableColumn; cell: (row: EvaluationRow) => string }[] = []
  const add = (column: TableColumn, cell: (row: EvaluationRow) => string) => parts.push({ column, cell })
  if (rows.some(({ response }) => response !== undefined)) {
    add({ title: 'given' }, ({ response }) => oneLine(response ?? '', shown / 2))
  }
  add({ title: 'written' }, ({ prediction, finish }) => {
    return prediction.trim() === '' ? '(empty)' : oneLine(prediction, shown) + (finish === 'length' ? ' [no end]' : '')
  })
  if (rows.some(({ reference }) => reference !== undefined)) {
    add({ title: 'true' }, ({ reference }) => oneLine(reference ?? '', shown))
    add({ title: 'ROUGE-L', align: 'right' }, ({ prediction, reference }) =>
      reference === undefined ? '' : rougeLOf(prediction, reference).toFixed(1),
    )
  }
  return {
    columns: parts.map(({ column }) => column),
    cells: rows.map((row) => parts.map(({ cell }) => cell(row))),
  }
}
