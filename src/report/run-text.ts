// A run of the loop for a terminal: its stages as a table, and what the models reach.
import { formatDuration } from '../units.js'
import { countText } from './numbers.js'
import type { Measured, RunReport } from './run.js'
import { renderTable, type TableOptions } from './table.js'

/** Tables, with an empty line between them. */
export function renderRun(report: RunReport, options: TableOptions = {}): string {
  return [stageTable(report, options), ...comparisonTables(report, options)].join('\n\n')
}

function stageTable({ stages }: RunReport, options: TableOptions): string {
  const count = (value: number | undefined) => (value === undefined ? '' : countText(value))
  const right = 'right' as const
  const columns = [
    { title: 'stage' },
    { title: 'rows in', align: right },
    { title: 'rows out', align: right },
    { title: 'time', align: right },
    { title: '' },
  ]
  const rows = stages.map(({ name, rowsIn, rowsOut, seconds, note, error, status }) => [
    name,
    count(rowsIn),
    count(rowsOut),
    seconds === undefined ? '' : formatDuration(seconds),
    error ?? note ?? (status === 'done' ? '' : status),
  ])
  return renderTable(columns, rows, options)
}

function comparisonTables({ comparisons = [] }: RunReport, options: TableOptions): string[] {
  const right = 'right' as const
  return comparisons.flatMap(({ title, unit = '', systems, differences = [] }) => {
    const digits = unit.startsWith('nats') ? 3 : 1
    const ends = ({ interval }: Measured, more = 0) =>
      interval?.map((end) => end.toFixed(digits + more)).join(' – ') ?? ''
    const columns = [{ title }, { title: unit, align: right }, { title: '95 % interval', align: right }]
    const reached = systems.map((one) => [one.name, one.value.toFixed(digits), ends(one)])
    const compared = differences.map((one) => [
      `${one.name} - ${one.baseline}`,
      one.value.toFixed(digits + 1),
      ends(one, 1),
      one.p === undefined ? '' : one.p.toFixed(3),
    ])
    return [
      renderTable(columns, reached, options),
      ...(compared.length > 0
        ? [renderTable([{ title: 'difference' }, ...columns.slice(1), { title: 'p', align: right }], compared, options)]
        : []),
    ]
  })
}
