// From options to what can be trained on: model, template, rows and their tokens, as they were kept of an earlier run or
// made by rows.ts. Nothing is computed and nothing is written here but the cache; libtorch is not needed yet.
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { DataRow } from '../data/types.js'
import type { ModelSource } from '../models/types.js'
import type { TemplateDescription, TracedRow } from '../text/types.js'
import type { TrainOptions } from './options.js'
import { dataHash, type RunIdentity } from './record.js'
import { type EncodedRows, type IdentifiedRow, openRowCache } from './row-cache.js'
import { encodeTexts, hasConversations, openSource, openTexts, type PrepareControl, systemsOf } from './rows.js'
import { openWritingTools, type WritingTools } from './written.js'

export interface Prepared {
  source: ModelSource
  template: TemplateDescription
  identity: RunIdentity
  /** Whether the rows' texts are read and encoded now: false where an earlier run has kept their tokens. */
  fresh: boolean
  /** Token ids of all rows: as they were kept of an earlier run, or encoded now. To be called once. */
  encode(control: PrepareControl): Promise<EncodedRows>
  /** For writing text: with the tokenizer that encodes the rows, or else with one that the first call opens. */
  writingTools(): Promise<WritingTools>
}

/**
 * Locates the model, compiles the template and reads the rows; where a run before has encoded the very rows, neither
 * tokenizer nor texts are opened.
 * @throws {BtError} BT_USAGE for rows longer than the model's positions; what openModel, makeTemplate and loadPairs throw
 */
export async function prepare(options: TrainOptions, control: PrepareControl): Promise<Prepared> {
  const source = await openSource(options, control)
  const cache = await openRowCache(options, source)
  const kept = await cache?.read()
  if (kept) {
    const { template, rows } = kept
    const writingTools = once(() => openWritingTools(source, template))
    return {
      ...{ source, template, identity: identityOf(options, source, kept), fresh: false, writingTools },
      encode: async () => rows,
    }
  }
  const texts = await openTexts(options, source, control)
  const { tokenizer, template, rows } = texts
  const made = {
    template: { ...template.describe(hasConversations(rows)), ...systemsOf(rows) },
    data: dataHash(rows.train, rows.validation),
  }
  const writingTools = async () => ({ tokenizer, stopTokens: template.stopTokens })
  return {
    ...{ source, template: made.template, identity: identityOf(options, source, made), fresh: true, writingTools },
    async encode(progress) {
      const encoded = await encodeTexts(texts, options, plainRow, progress)
      rows.train = []
      rows.validation = [] // the texts make room
      await cache?.write({ rows: encoded, ...made })
      return encoded
    },
  }
}

/** The first call's promise, for every call. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}

/** What was cut is not kept: it would take as much memory as the rows, or more. */
function plainRow(_: DataRow, { dropped: __, ...row }: TracedRow, id: string): IdentifiedRow {
  return { id, ...row }
}

function identityOf(
  options: TrainOptions,
  { name, reference, hash, parameters }: ModelSource,
  texts: Pick<RunIdentity, 'template' | 'data'>,
): RunIdentity {
  // A relative path would mean something else to who reads the adapter from another folder.
  const model = { name, reference: existsSync(reference) ? resolve(reference) : reference, hash, parameters }
  return { options, model, template: texts.template, data: texts.data }
}
