// Any known data set as a stream of normalised rows with their places. Filters and duplicates are for preprocess.ts.
import { basename } from 'node:path'
import { inputName, type OpenOptions } from './bytes.js'
import type { Fault } from './conversation.js'
import { type Drops, malformedReason } from './drops.js'
import { type Draft, detectFormat, type Format, type PairColumns } from './formats.js'
import { isBroken, normaliseText, rowId } from './normalise.js'
import { type Message, messageOfRecord, messagesOfTree, pairsOfTrees, requirePrompts, type TreePair } from './oasst.js'
import { readRecords, type SourceRecord } from './records.js'
import type { DataRow } from './types.js'

/** A row and what filters want to know of it. */
export interface ReadRow {
  row: DataRow
  /** "file.jsonl:12"; of a tree, its first prompt's. */
  place: string
  lang?: string
  rank?: number
  /** What the row is the first pair of, not normalised. */
  conversation?: Draft['conversation']
}

/** What is known of a file once it was read. */
export interface InputSummary {
  path: string
  /** Name of the format; empty before the first record. */
  format: string
  /** Lines, array elements or Parquet rows that could be read. */
  records: number
}

export interface ReadOptions extends OpenOptions {
  /** Where everything that gives no row is counted. */
  drops: Drops
  /** Which column holds what, in place of detection. */
  columns?: PairColumns | undefined
  /** OASST1: every fit reply to a first prompt, not the best alone. */
  allReplies?: boolean | undefined
  /** Filled in while reading. */
  summary?: InputSummary | undefined
}

/**
 * Reads a file of any known format ("-" is stdin), detected by its first record. One row a conversation: its first
 * instruction and reply. What gives no row is counted in `drops`. Memory does not grow with the file, but for OASST1
 * messages, whose trees may lie scattered over it.
 * @throws {BtError} as readRecords; BT_DATA_COLUMN when a record lacks the columns of its format
 */
export async function* readRows(path: string, options: ReadOptions): AsyncGenerator<ReadRow> {
  const { drops, summary } = options
  let format: Format | undefined
  const messages: Message[] = []
  for await (const record of readRecords(path, options)) {
    format ??= detectFormat(record, options.columns)
    if (summary) {
      summary.format = format.name
      summary.records++
    }
    if (format.read === 'messages') collect([messageOfRecord(record)], record, messages, drops)
    else if (format.read === 'trees') {
      const tree: Message[] = []
      collect(messagesOfTree(record), record, tree, drops)
      yield* rowsOf(path, pairsOfTrees(tree, options.allReplies === true), drops)
    } else yield* rowsOf(path, [{ place: record.place, ...format.read(record) }], drops)
  }
  if (format?.read !== 'messages') return
  requirePrompts(messages, inputName(path))
  yield* rowsOf(path, pairsOfTrees(messages, options.allReplies === true), drops)
}

function collect(found: (Message | Fault)[], record: SourceRecord, messages: Message[], drops: Drops): void {
  for (const one of found) {
    if ('reason' in one) count(one, record.place, drops)
    else messages.push(one)
  }
}

function count(fault: Fault, place: string, drops: Drops): void {
  if (fault.reason === malformedReason) drops.addMalformed(place, fault.why ?? '')
  else drops.add(fault.reason, place)
}

function* rowsOf(path: string, drafts: Iterable<TreePair>, drops: Drops): Generator<ReadRow> {
  for (const draft of drafts) {
    if ('reason' in draft) count(draft, draft.place, drops)
    else if (isBroken(draft.instruction) || isBroken(draft.response)) {
      drops.addMalformed(draft.place, 'its text holds half of a surrogate pair, which UTF-8 cannot write')
    } else yield toReadRow(path, draft)
  }
}

function toReadRow(path: string, draft: Draft & { place: string }): ReadRow {
  const instruction = normaliseText(draft.instruction)
  const response = normaliseText(draft.response)
  const id = rowId(instruction, response)
  const source = draft.source ?? (path === '-' ? undefined : basename(path))
  const { id: givenId, ...rest } = draft.extra
  const extra = { ...rest, ...(givenId === undefined || givenId === id ? {} : { source_id: givenId }) }
  return {
    row: {
      id,
      instruction,
      response,
      ...(source === undefined ? {} : { source }),
      ...(draft.multiTurn ? { multiTurn: true } : {}),
      ...(Object.keys(extra).length > 0 ? { extra } : {}),
    },
    place: draft.place,
    ...(draft.lang === undefined ? {} : { lang: draft.lang }),
    ...(draft.rank === undefined ? {} : { rank: draft.rank }),
    ...(draft.conversation === undefined ? {} : { conversation: draft.conversation }),
  }
}

/** A row as one object of a JSONL file, which readRows reads back as it was. */
export function rowToJson(row: DataRow): Record<string, unknown> {
  const { id, instruction, response, source, multiTurn, extra } = row
  return {
    id,
    instruction,
    response,
    ...(source === undefined ? {} : { source }),
    ...(multiTurn ? { multi_turn: true } : {}),
    ...Object.fromEntries(Object.entries(extra ?? {}).filter(([name]) => !ownColumns.has(name))),
  }
}

const ownColumns = new Set(['id', 'instruction', 'response', 'source', 'multi_turn'])
