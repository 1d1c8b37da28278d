// A run of the loop for a terminal: its stages and what the models reach, as tables.
import { formatDuration } from '../units.js'
import { countText } from './numbers.js'
import type { Measured, RunComparison, RunReport, RunStage } from './run.js'
import { intervalOf, measureText, secondsOf, timeText, verdictOf, verdictWords } from './run-words.js'
import { oneLine, renderTable, type TableColumn, type TableOptions } from './table.js'

const right = (title: string): TableColumn => ({ title, align: 'right' })

/** Tables, with an empty line between them. */
export function renderRun(report: RunReport, options: TableOptions = {}): string {
  const comparisons = (report.comparisons ?? []).flatMap((comparison) => comparisonTables(comparison, options))
  return [stageTable(report.stages, options), ...comparisons].join('\n\n')
}

function stageTable(stages: readonly RunStage[], options: TableOptions): string {
  const count = (value: number | undefined) => (value === undefined ? '' : countText(value))
  const columns = [{ title: 'stage' }, right('rows in'), right('rows out'), right('time'), { title: '' }]
  const rows = stages.map((stage) => {
    const said = [stage.status === 'done' ? '' : stage.status, oneLine(stage.error ?? stage.note ?? '', 400)]
    const words = said.filter((one) => one !== '').join(': ')
    return [stage.name, count(stage.rowsIn), count(stage.rowsOut), timeText(stage), words]
  })
  const all = secondsOf(stages)
  const sum = all > 0 ? [['all', '', '', formatDuration(all), '']] : []
  return renderTable(columns, [...rows, ...sum], options)
}

/** The systems, then their differences, which have a scale of their own. */
function comparisonTables(comparison: RunComparison, options: TableOptions): string[] {
  const { title, unit = '', systems, differences = [], better } = comparison
  const columns = (first: string) => [{ title: first }, right(unit), right('95 % interval'), { title: '' }]
  const draw = (first: string, rows: readonly (Measured & { words: string })[]) => {
    const text = measureText(rows)
    const cells = rows.map((row) => [row.name, text(row.value), intervalOf(row, text), row.words])
    return renderTable(columns(first), cells, options)
  }
  const reached = systems.map((system) => ({ ...system, words: system.control ? 'control' : '' }))
  const compared = differences.map((one) => {
    const verdict = verdictOf(one, better)
    const p = one.p === undefined ? '' : `p ${one.p < 0.001 ? '< 0.001' : one.p.toFixed(3)}`
    const words = [verdict === undefined ? '' : verdictWords[verdict], p].filter((word) => word !== '').join(', ')
    return { ...one, name: `${one.name} − ${one.baseline}`, words }
  })
  return [draw(title, reached), ...(compared.length > 0 ? [draw('differences', compared)] : [])]
}
