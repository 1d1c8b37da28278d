// The columns of generated rows in Parquet: those of GeneratedRow (types.ts), with DuckDB's types.
import { lineageColumns } from '../data/lineage.js'
import type { ParquetColumns } from '../data/parquet-write.js'
import type { GenerateOptions } from './options.js'

/** Options that shape a row. */
export type ColumnOptions = Pick<GenerateOptions, 'n' | 'guard' | 'logProbs' | 'keepCandidates' | 'turns'>

/** What is there only on request is no column otherwise. */
export function columnsOf(options: ColumnOptions): ParquetColumns {
  const { n, guard, logProbs, keepCandidates, turns } = options
  const outcome: ParquetColumns = {
    finish: 'VARCHAR',
    tokens: 'INTEGER',
    logProb: 'DOUBLE',
    ...(n > 1 ? { score: 'DOUBLE' } : {}),
    ...(guard.length > 0 ? { attempt: 'INTEGER', guard: 'VARCHAR[]' } : {}),
    ...(logProbs ? { logProbs: 'DOUBLE[]' } : {}),
  }
  const candidate = Object.entries({ text: 'VARCHAR', ...outcome }).map(([name, type]) => `"${name}" ${type}`)
  return {
    id: 'VARCHAR',
    instruction: 'VARCHAR',
    response: 'VARCHAR',
    reference: 'VARCHAR',
    ...outcome,
    cut: 'INTEGER',
    source: 'VARCHAR',
    ...lineageColumns,
    ...(turns === 'last' ? { messages: 'STRUCT(role VARCHAR, content VARCHAR)[]' } : {}),
    ...(keepCandidates ? { candidates: `STRUCT(${candidate.join(', ')})[]` } : {}),
  }
}
