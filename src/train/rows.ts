// The rows of a run: read, split, laid out by the template and encoded. What is kept of them is the caller's to say:
// training takes tokens alone, an audit all that there is to see.

import { noReply } from '../data/conversation.js'
import { parseColumns } from '../data/formats.js'
import { type LoadOptions, loadPairs } from '../data/load.js'
import { scoredCount } from '../data/packing.js'
import { splitValidation } from '../data/split.js'
import type { DataRow, DropCount } from '../data/types.js'
import { BtError } from '../errors.js'
import { openModel } from '../models/open.js'
import type { ModelSource } from '../models/types.js'
import type { OnProgress } from '../progress.js'
import type {
  Conversation,
  EncodedRow,
  PromptTemplate,
  Task,
  TemplateDescription,
  Tokenizer,
  TracedRow,
} from '../text/types.js'
import type { RowCounts } from './events.js'
import type { TrainOptions } from './options.js'
import { rowName } from './row-cache.js'

/** Rows before they are tokens. */
export interface RowSet {
  train: DataRow[]
  validation: DataRow[]
  dropped: DropCount[]
}

export interface RunTexts {
  tokenizer: Tokenizer
  template: PromptTemplate
  rows: RowSet
}

/** How to watch reading and downloads, and end them. */
export interface PrepareControl {
  onProgress?: OnProgress
  signal?: AbortSignal
}

/**
 * Locates the model.
 * @throws {BtError} BT_USAGE for rows longer than the model's positions, and for a wrong --columns; what openModel throws
 */
export async function openSource(
  { model, maxTokens, columns }: Pick<TrainOptions, 'model' | 'maxTokens' | 'columns'>,
  control: PrepareControl,
): Promise<ModelSource> {
  if (columns !== undefined) parseColumns(columns) // said before anything is fetched
  const source = await openModel(model, control)
  const { maxPositions } = source.config
  if (maxPositions === 0 || maxTokens <= maxPositions) return source
  throw new BtError('BT_USAGE', `--max-tokens ${maxTokens}: ${source.name} reads at most ${maxPositions} tokens`, {
    remedy: `Give --max-tokens ${maxPositions} or less.`,
  })
}

/** Compiles the template and reads the rows. The tokenizer's library is read in for this alone. */
export async function openTexts(
  options: TrainOptions,
  source: ModelSource,
  control: PrepareControl,
): Promise<RunTexts> {
  const columns = options.columns === undefined ? undefined : parseColumns(options.columns)
  const { openTokenizer } = await import('../text/tokenizer.js')
  const { makeTemplate } = await import('../text/template.js')
  const tokenizer = await openTokenizer(source.tokenizer)
  const { task, ask, form } = options
  const template = await makeTemplate(task, tokenizer, source.tokenizer, { ask, form })
  return { tokenizer, template, rows: await readRows(options, { columns, signal: control.signal }) }
}

/** Not the run's seed: runs with other seeds are compared on the same validation rows. */
const splitSeed = 0

async function readRows(options: TrainOptions, control: LoadOptions): Promise<RowSet> {
  const { task, turns, skipEmpty } = options
  const conversations = turns === 'first' ? undefined : { system: task === 'forward' }
  const how = { ...control, ...(conversations ? { conversations } : {}) }
  const load = async (path: string) => {
    const loaded = await loadPairs(path, how)
    if (!skipEmpty) requireTargets(path, loaded.dropped, task)
    return loaded
  }
  const { rows, dropped } = await load(options.data)
  if (!options.validationData) {
    const split = splitValidation(rows, options.validation, splitSeed)
    // So few rows that all fall on one side: better trained on than looked at.
    return split.train.length > 0 ? { ...split, dropped } : { train: rows, validation: [], dropped }
  }
  const validation = await load(options.validationData)
  return { train: rows, validation: validation.rows, dropped: [...dropped, ...validation.dropped] }
}

/** Of what was left out, the rows without the side that is to be learned. */
export function withoutTarget(dropped: readonly DropCount[], task: Task): DropCount[] {
  const reasons = [task === 'backward' ? 'empty instruction' : 'empty response', noReply]
  return dropped.filter(({ reason }) => reasons.includes(reason))
}

/** @throws {BtError} BT_DATA_TARGET when a row has nothing to learn */
function requireTargets(path: string, dropped: readonly DropCount[], task: Task): void {
  const found = withoutTarget(dropped, task)
  if (found.length === 0) return
  const rows = found.reduce((sum, { count }) => sum + count, 0)
  const words = found.map(({ reason, count, examples }) => {
    return `${reason} in ${examples.join(', ')}${count > examples.length ? ` and ${count - examples.length} more` : ''}`
  })
  throw new BtError(
    'BT_DATA_TARGET',
    `${path}: ${rows} ${rows === 1 ? 'row has' : 'rows have'} no target, so nothing to learn: ${words.join('; ')}`,
    { remedy: 'Mend or remove them, or leave them out with --skip-empty.' },
  )
}

/** Rows encoded between two reports. */
const rowsPerReport = 512

/**
 * Token ids of all rows; a conversation may give several. Targets that alone do not fit are left out and listed; cut
 * contexts are counted.
 * @param keep what stays of a row; `id` is the row's with the exchange where its conversation gives several
 * @throws {BtError} BT_DATA_EMPTY when no row is left to train on
 */
export async function encodeTexts<Kept extends EncodedRow>(
  { rows, template }: RunTexts,
  options: Pick<TrainOptions, 'maxTokens' | 'turns'>,
  keep: (row: DataRow, traced: TracedRow, id: string) => Kept,
  control: PrepareControl,
): Promise<{ train: Kept[]; validation: Kept[]; counts: RowCounts }> {
  const tooLong: string[] = []
  let done = 0
  const total = rows.train.length + rows.validation.length
  const encodeAll = async (set: DataRow[]) => {
    const kept: Kept[] = []
    for (let start = 0; start < set.length; start += rowsPerReport) {
      control.signal?.throwIfAborted()
      const part = set.slice(start, start + rowsPerReport)
      const encoded = await Promise.all(part.map((row) => encodeOne(row, template, options)))
      for (const [index, row] of part.entries()) {
        const { rows: traced, tooLong: lost } = encoded[index]!
        const several = traced.length + lost.length > 1
        for (const { turns, ...own } of traced) {
          if (scoredCount(own) < 1) throw new BtError('BT_ROW_EMPTY', `row ${row.id} has no token to learn from`)
          kept.push(keep(row, own, rowName(row.id, several ? turns[0] : undefined)))
        }
        tooLong.push(...lost.map((exchange) => rowName(row.id, several ? exchange : undefined)))
      }
      done += part.length
      control.onProgress?.({ label: 'reading rows', done, total, unit: 'rows' })
    }
    return kept
  }
  const train = await encodeAll(rows.train)
  const validation = await encodeAll(rows.validation)
  if (train.length === 0) {
    throw new BtError('BT_DATA_EMPTY', `none of the ${rows.train.length} rows fits into ${options.maxTokens} tokens`, {
      remedy: 'Raise --max-tokens.',
    })
  }
  return { train, validation, counts: countRows(train, validation, rows.dropped, tooLong) }
}

function encodeOne(row: DataRow, template: PromptTemplate, options: Pick<TrainOptions, 'maxTokens' | 'turns'>) {
  const { instruction, response } = row
  const conversation: Conversation = row.conversation ?? { exchanges: [{ instruction, response }] }
  return template.encodeConversation(conversation, options.maxTokens, options.turns === 'last' ? 'last' : 'all')
}

function countRows(
  train: readonly EncodedRow[],
  validation: readonly EncodedRow[],
  dropped: DropCount[],
  tooLong: string[],
): RowCounts {
  const sum = (of: (row: EncodedRow) => number) => train.reduce((total, row) => total + of(row), 0)
  return {
    train: train.length,
    validation: validation.length,
    dropped,
    cutRows: train.filter((row) => row.cut > 0).length,
    cutTokens: sum((row) => row.cut),
    tooLong: tooLong.length,
    tooLongExamples: tooLong.slice(0, 5),
    targets: sum(targetCount),
    tokens: sum((row) => row.tokens.length),
    scoredTokens: sum(scoredCount),
  }
}

function targetCount({ gaps }: EncodedRow): number {
  return 1 + (gaps?.length ?? 0) / 2
}

/** Whether rows of several exchanges are among them: then their layout is part of what an adapter was trained with. */
export function hasConversations({ train, validation }: RowSet): boolean {
  return [...train, ...validation].some(({ conversation }) => (conversation?.exchanges.length ?? 0) > 1)
}

/** System texts beyond which they are no tags, but part of the rows. */
const mostSystems = 4

/** What the rows of training are told, for whoever generates: each text with its rows, most frequent first. */
export function systemsOf({ train }: Pick<RowSet, 'train'>): Pick<TemplateDescription, 'systems'> {
  const counts = new Map<string, number>()
  for (const { conversation } of train) {
    const system = conversation?.system
    if (system !== undefined) counts.set(system, (counts.get(system) ?? 0) + 1)
  }
  if (counts.size === 0 || counts.size > mostSystems) return {}
  const systems = [...counts].map(([text, rows]) => ({ text, rows })).toSorted((a, b) => b.rows - a.rows)
  return { systems }
}
