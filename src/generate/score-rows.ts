// What is to be scored: pairs under a task's template, or texts by themselves, as token rows.
import { Drops } from '../data/drops.js'
import { parseColumns } from '../data/formats.js'
import { type Lineage, lineageOf } from '../data/lineage.js'
import { readRows } from '../data/rows.js'
import { readTexts } from '../data/texts.js'
import type { DropCount } from '../data/types.js'
import { hasCode } from '../errors.js'
import { sha256 } from '../files.js'
import type { PromptTemplate, Tokenizer } from '../text/types.js'
import type { Located } from './load.js'
import type { ScoreOptions } from './score-options.js'

/** A row of the input. */
export interface ScorableRow {
  /** From 0, without gaps. */
  index: number
  id: string
  source?: string
  /** Columns that tell where it comes from. */
  lineage: Lineage
  /** A pair's two texts, or the one text. */
  texts: { instruction: string; response: string } | { text: string }
}

/** Its tokens; `targetStart` is the first that is scored. */
export interface ScorableTokens {
  tokens: Int32Array
  targetStart: number
  cut: number
}

export interface ScorableRows {
  rows: AsyncIterable<ScorableRow>
  /** Records that gave no row, so far. */
  dropped(): DropCount[]
}

/** Reads the input row by row; throws while reading what readRows and readTexts throw. */
export function readScorable(options: ScoreOptions): ScorableRows {
  const drops = new Drops()
  const rows = options.template === 'raw' ? rawRows(options, drops) : pairRows(options, drops)
  return { rows: limited(rows, options.limit), dropped: () => drops.counts() }
}

async function* pairRows({ input, columns }: ScoreOptions, drops: Drops): AsyncGenerator<ScorableRow> {
  let index = 0
  const named = columns === undefined ? undefined : parseColumns(columns)
  for await (const { row } of readRows(input, { drops, columns: named })) {
    const { instruction, response, source, extra } = row
    yield {
      index: index++,
      id: idOf(extra?.source_id) ?? row.id,
      texts: { instruction, response },
      ...sourceOf(source),
      lineage: lineageOf(extra ?? {}),
    }
  }
}

async function* rawRows({ input, column }: ScoreOptions, drops: Drops): AsyncGenerator<ScorableRow> {
  for await (const { index, text, extra } of readTexts(input, { drops, column })) {
    yield {
      index,
      id: idOf(extra.id) ?? sha256(text).slice(0, 16),
      texts: { text },
      ...sourceOf(extra.source),
      lineage: lineageOf(extra),
    }
  }
}

function idOf(id: unknown): string | undefined {
  return typeof id === 'string' && id !== '' ? id : undefined
}

function sourceOf(source: unknown): { source?: string } {
  return typeof source === 'string' ? { source } : {}
}

async function* limited<Row extends { index: number }>(rows: AsyncIterable<Row>, limit?: number): AsyncGenerator<Row> {
  for await (const row of rows) {
    yield row
    if (row.index + 1 === limit) return
  }
}

/** Turns rows into tokens; null for one without a token that can be scored, or whose target does not fit. */
export type Encode = (row: ScorableRow) => Promise<ScorableTokens | null>

/** @param template of the pairs; none for texts by themselves */
export async function makeEncode(
  { tokenizer, source }: Pick<Located, 'tokenizer' | 'source'>,
  template: PromptTemplate | undefined,
  maxTokens: number,
): Promise<Encode> {
  if (template)
    return ({ texts }) => encodePair(template, texts as { instruction: string; response: string }, maxTokens)
  const { addBos, bosToken } = source.tokenizer
  const start = addBos && bosToken ? await tokenizer.encodeTemplate(bosToken) : []
  return ({ texts }) => encodeText(tokenizer, start, (texts as { text: string }).text, maxTokens)
}

async function encodePair(
  template: PromptTemplate,
  pair: { instruction: string; response: string },
  maxTokens: number,
): Promise<ScorableTokens | null> {
  try {
    const { tokens, targetStart, cut } = await template.encodePair(pair, maxTokens)
    return { tokens, targetStart, cut }
  } catch (error) {
    if (hasCode(error, 'BT_ROW_TOO_LONG') || hasCode(error, 'BT_ROW_EMPTY')) return null
    throw error
  }
}

/** Without a token that begins every text there is nothing that predicts the first one: it is read, not scored. */
async function encodeText(
  tokenizer: Tokenizer,
  start: number[],
  text: string,
  maxTokens: number,
): Promise<ScorableTokens | null> {
  const all = [...start, ...(await tokenizer.encodeText(text, start.length > 0 ? 'control' : 'start'))]
  const tokens = Int32Array.from(all.slice(0, maxTokens))
  return tokens.length < 2 ? null : { tokens, targetStart: 1, cut: all.length - tokens.length }
}
