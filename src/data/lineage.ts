// Where a text comes from: the columns that `segment` gives a text, and that travel with it through every later command.
import type { ParquetColumns } from './parquet-write.js'

/** The columns with DuckDB's types, in the order in which they stand in a row. */
export const lineageColumns = {
  /** Sixteen hex digits of a SHA-256 over the document. */
  document: 'VARCHAR',
  /** File, with line or record number. */
  place: 'VARCHAR',
  /** [from, to) in the document's content. */
  span: 'BIGINT[]',
  url: 'VARCHAR',
  license: 'VARCHAR',
  /** Of the document. */
  title: 'VARCHAR',
  /** That the text stood under. */
  heading: 'VARCHAR',
  /** ISO 639-1 */
  language: 'VARCHAR',
} satisfies ParquetColumns

/** What is known of a text's origin; a column without a value is left out. */
export interface Lineage {
  document?: string
  place?: string
  span?: [number, number]
  url?: string
  license?: string
  title?: string
  heading?: string
  language?: string
}

/** The lineage among the columns of a row. A value of another type than `segment` gives (a nested title, say) is none. */
export function lineageOf(row: Record<string, unknown>): Lineage {
  const found = Object.keys(lineageColumns).map((name) => [name, row[name]] as const)
  return Object.fromEntries(found.filter(([name, value]) => (name === 'span' ? isSpan(value) : isText(value))))
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isSpan(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every((end) => Number.isSafeInteger(end))
}
