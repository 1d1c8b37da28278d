// One row of a data set in each of the forms that trainers read: messages, Alpaca, ShareGPT. The system text stands where each
// form has a place for it. Files are for write.ts.

import { scoreNames } from '../curate/types.js'
import { lineageColumns } from '../data/lineage.js'
import { isBroken, normaliseText } from '../data/normalise.js'
import type { ReadRow } from '../data/rows.js'
import type { Pair } from '../text/types.js'

/** A row as every form is made from it; texts are normalised. */
export interface DatasetRow {
  id: string
  system?: string | undefined
  /** At least one. */
  exchanges: Pair[]
  /** Source, lineage and scores; null where the row has none, so that all rows have the same columns. */
  columns: Record<string, unknown>
}

export interface Message {
  role: 'system' | 'user' | 'assistant'
  content: string
}

/** Columns beside the texts, with DuckDB's types. */
export const columnTypes: Record<string, string> = {
  source: 'VARCHAR',
  ...lineageColumns,
  ...Object.fromEntries(scoreNames.map((name) => [name, 'DOUBLE'])),
}

/** What a Parquet file of messages has. */
export const parquetTypes: Record<string, string> = {
  id: 'VARCHAR',
  messages: 'STRUCT("role" VARCHAR, "content" VARCHAR)[]',
  ...columnTypes,
}

/** A row with the id that it came with, where it came with one; undefined where a later turn holds no proper text. */
export function datasetRow({ row, lang, conversation }: ReadRow): DatasetRow | undefined {
  const extra = { source: row.source, ...row.extra } as Record<string, unknown>
  const exchanges = (conversation?.exchanges ?? [row]).map(({ instruction, response }) => ({
    instruction: normaliseText(instruction),
    response: normaliseText(response),
  }))
  const system = typeof extra.system === 'string' ? normaliseText(extra.system) : ''
  if ([system, ...exchanges.flatMap((pair) => Object.values(pair))].some(isBroken)) return undefined
  const language = extra.language ?? lang
  return {
    id: typeof extra.source_id === 'string' ? extra.source_id : row.id,
    system: system === '' ? undefined : system,
    exchanges,
    columns: Object.fromEntries(
      Object.entries(columnTypes).map(([name, type]) => [
        name,
        fitting(name === 'language' ? language : extra[name], type),
      ]),
    ),
  }
}

/** The value where it is of the column's type, else null. */
function fitting(value: unknown, type: string): unknown {
  if (type === 'VARCHAR') return typeof value === 'string' && value !== '' && !isBroken(value) ? value : null
  if (type === 'DOUBLE') return typeof value === 'number' && Number.isFinite(value) ? value : null
  return Array.isArray(value) && value.every(Number.isSafeInteger) ? value : null
}

/** All turns in order, the system text first. */
export function messagesOf({ system, exchanges }: DatasetRow): Message[] {
  return [
    ...(system === undefined ? [] : [{ role: 'system' as const, content: system }]),
    ...exchanges.flatMap(({ instruction, response }) => [
      { role: 'user' as const, content: instruction },
      { role: 'assistant' as const, content: response },
    ]),
  ]
}

/** {id, messages, ...}: the columns of `columnTypes` follow. */
export function messagesRow(row: DatasetRow): object {
  return { id: row.id, messages: messagesOf(row), ...row.columns }
}

/** {id, instruction, input, output, system?, history?}: earlier turns of a conversation are its history, as LLaMA-Factory reads it. */
export function alpacaRow({ id, system, exchanges }: DatasetRow): object {
  const last = exchanges.at(-1)!
  return {
    id,
    instruction: last.instruction,
    input: '',
    output: last.response,
    ...(system === undefined ? {} : { system }),
    ...(exchanges.length > 1
      ? { history: exchanges.slice(0, -1).map(({ instruction, response }) => [instruction, response]) }
      : {}),
  }
}

const speakers: Record<Message['role'], string> = { system: 'system', user: 'human', assistant: 'gpt' }

/** {id, conversations: [{from, value}]}, the system text as the first turn. */
export function shareGptRow(row: DatasetRow): object {
  return {
    id: row.id,
    conversations: messagesOf(row).map(({ role, content }) => ({ from: speakers[role], value: content })),
  }
}
