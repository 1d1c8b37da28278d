// The work log of scores as what selection reads, and with what selection said as the rows that are written.
import { histogramOf } from '../report/histogram.js'
import { type Calibration, fitOf } from './calibration.js'
import { evaluateExpression } from './expression.js'
import { logRows } from './outputs.js'
import type { SelectionRules, SelectionTable } from './select.js'
import { type ScoredPair, type ScoreHistogram, type ScoreName, scoreNames } from './types.js'

/** What the selection has to know of all rows. */
export async function tableOf(
  log: string,
  rows: number,
  { keep }: SelectionRules,
  calibration: Calibration | undefined,
): Promise<SelectionTable & { cut: number }> {
  const columns = new Map<ScoreName, Float64Array>()
  const fit = calibration && new Float64Array(rows)
  const faults = new Map<number, string[]>()
  const empty = new Set<number>()
  let cut = 0
  let index = 0
  for await (const row of logRows(log, rows)) {
    for (const name of scoreNames) {
      if (!(name in row)) continue
      if (!columns.has(name)) columns.set(name, new Float64Array(rows).fill(Number.NaN))
      columns.get(name)![index] = (row[name] as number | null) ?? Number.NaN
    }
    if (Array.isArray(row.guard) && row.guard.length > 0) faults.set(index, row.guard.map(String))
    if (row.likelihood === null) empty.add(index)
    if (fit) fit[index] = fitOf(calibration, row)
    if ((row.unread as number) > 0) cut++
    index++
  }
  if (fit) columns.set('fit', fit)
  const scores = Object.fromEntries(columns) as SelectionTable['scores']
  const more: Record<string, Float64Array> = fit ? { fit } : {}
  const expression = keep === undefined || rows === 0 ? undefined : await evaluateExpression(keep, log, more)
  return { rows, scores, faults, empty, cut, ...(expression ? { expression } : {}) }
}

/** The log's rows with what became of them. */
export async function* judgedRows(
  log: string,
  { rows, scores: { fit } }: SelectionTable,
  kept: readonly boolean[],
  why: readonly string[],
): AsyncGenerator<ScoredPair> {
  let index = 0
  for await (const row of logRows(log, rows)) {
    const probability = fit && { fit: Number.isNaN(fit[index]) ? null : Number(fit[index]!.toFixed(6)) }
    yield { ...row, ...probability, kept: kept[index]!, why: why[index]! } as ScoredPair
    index++
  }
}

export function histogramsOf({ scores }: SelectionTable, kept: readonly boolean[]): ScoreHistogram[] {
  return (Object.entries(scores) as [ScoreName, Float64Array][]).flatMap(([score, values]) => {
    const histogram = histogramOf(values, kept)
    return histogram ? [{ score, ...histogram }] : []
  })
}
