// Long texts to conversations: each section is a reply, and the message before it is written given all that was said so far,
// in the layout that conversations have in training. Which sections belong together is sectioned.ts's to say.
import { checkFile } from '../data/bytes.js'
import { type Lineage, lineageColumns } from '../data/lineage.js'
import { normaliseText } from '../data/normalise.js'
import type { ParquetColumns } from '../data/parquet-write.js'
import type { DropCount } from '../data/types.js'
import { BtError } from '../errors.js'
import { resolveOptions } from '../fields.js'
import { openAhead } from '../native/ahead.js'
import type { Pair } from '../text/types.js'
import { packageVersion } from '../version.js'
import { type ConverseInput, type ConverseOptions, converseSchema } from './converse-options.js'
import { fingerprintOf } from './fingerprint.js'
import type { Fault } from './guard.js'
import { type Located, loadSampler, locate } from './load.js'
import type { Precision } from './machine.js'
import { type GenerateOptions, generateSchema } from './options.js'
import { afterStored, type Fingerprint, finishedRows, type OutputOptions, reserveOutput, rowKey } from './output.js'
import { messagesOf } from './row.js'
import { contextOf, eitherOf, type GenerateControl, refuseContrary, startOf } from './run.js'
import { sampleRows } from './sample.js'
import { readSectioned, type Section, type SectionedText } from './sectioned.js'
import type { ConversationMessage, FinishReason, GeneratedRow, TextRow } from './types.js'

/** How the message before one section was written. */
export interface WrittenTurn extends Omit<Section, 'text'> {
  finish: FinishReason
  /** Tokens written. */
  tokens: number
  /** Mean log-probability of them, with the end token; nats. */
  logProb: number | null
  /** What candidates were ranked by. */
  score?: number
  attempt?: number
  guard?: Fault[]
  /** Tokens of the turns before and of the section that did not fit into the prompt. */
  cut: number
}

/** One conversation, as it stands in the output. */
export interface WrittenConversation extends Lineage {
  id: string
  /** A user's message, written, and a section of the document, in turns. */
  messages: ConversationMessage[]
  /** Messages that were written. */
  turns: number
  /** One a section. */
  sections: WrittenTurn[]
  /** Faults that are left in any of the messages. */
  guard?: Fault[]
  source?: string
}

/** Where a run stood when it ended. */
export interface ConverseSummary {
  /** Conversations in the output, those of earlier sittings included. */
  rows: number
  /** Conversations, messages and tokens written by this call. */
  written: number
  turns: number
  tokens: number
  /** Of the messages: those whose prompt was cut, that are not the first that was written, and that have a fault left. */
  cut: number
  rewritten: number
  faulty: number
  faults: Partial<Record<Fault, number>>
  /** Texts of the input that gave no conversation. */
  dropped: DropCount[]
  seconds: number
  /** Ended by the signal, with the conversations so far in the output. */
  interrupted: boolean
  /** The output was complete before this call. */
  alreadyDone: boolean
  peakMemory: number
  output?: string
}

/**
 * Writes a conversation for each document of the input, in its order, and yields them as they are written. With `output`,
 * those that an earlier call wrote are not written again; one that was under way begins anew.
 * @throws {BtError} as generate(); BT_USAGE for a forward adapter
 */
export async function* converse(
  input: ConverseInput,
  control: GenerateControl = {},
): AsyncGenerator<WrittenConversation, ConverseSummary> {
  const options = resolveOptions(converseSchema, input)
  refuseContrary(options)
  openAhead({ device: options.device })
  const writing: GenerateOptions = { ...generateSchema.parse({ input: options.input }), ...options }
  const located = await locate(writing, control)
  refuseForward(located)
  if (options.input !== '-') await checkFile(options.input)
  const fingerprint = (precision: Precision | undefined) => ({
    ...conversationFingerprint(options, located),
    ...fingerprintOf(writing, located, precision),
  })
  const known = options.precision === 'auto' ? undefined : options.precision
  const outputOptions = outputOptionsOf(options, fingerprint(known))
  if (options.output) {
    const rows = await finishedRows(options.output, outputOptions)
    if (rows !== undefined) return { ...nothing(options), rows, alreadyDone: true }
  }
  const started = performance.now()
  const reserved = options.output ? await reserveOutput(options.output, outputOptions) : undefined
  let leave = () => {}
  try {
    const loaded = await loadSampler(writing, located)
    const { machine } = loaded
    leave = () => machine.runtime.abort()
    control.abort?.addEventListener('abort', leave)
    try {
      const output = await reserved?.open(fingerprint(machine.precision))
      const summary = { ...nothing(options), rows: output?.rows ?? 0 }
      control.onStart?.({ ...startOf(located, machine), rowsDone: summary.rows, ...definedOutput(options) })
      const source = readSectioned(options)
      const texts = afterStored(source.texts, output, {
        keyOf: ({ id }) => conversationKey(id),
        names: options,
      })
      // Half of them are asked for while the others are written: rows are never waited for but at the end.
      const window = Math.max(2, Math.ceil((2 * options.batchSize) / options.n))
      const context = { ...(await contextOf(writing, located, loaded)), window, signal: eitherOf(control) }
      const desk = new Conversations(texts, window)
      try {
        for await (const row of sampleRows(desk.questions(), context)) {
          count(summary, row)
          for (const conversation of desk.answer(row)) {
            await output?.append(conversation)
            summary.rows++
            summary.written++
            yield conversation
          }
          control.onProgress?.({ label: 'writing', done: summary.rows, total: options.limit, unit: 'rows' })
        }
      } finally {
        desk.leave()
      }
      if (control.abort?.aborted) throw new BtError('BT_ABORTED', `stopped after ${summary.rows} conversations`)
      summary.interrupted = control.signal?.aborted === true
      if (!summary.interrupted) await output?.finish()
      summary.dropped = source.dropped()
      summary.seconds = (performance.now() - started) / 1000
      summary.peakMemory = (await machine.runtime.memory()).peakResident
      return summary
    } finally {
      await machine.runtime.close()
    }
  } finally {
    control.abort?.removeEventListener('abort', leave)
    await reserved?.release()
  }
}

/** A conversation under way. */
interface Open {
  text: SectionedText
  exchanges: Pair[]
  turns: WrittenTurn[]
  done: boolean
}

/** As many times more than are under way may wait for a longer one before them. */
const heldBack = 4

/**
 * Conversations under way, some at a time: the next message of each is asked for when the one before it is there. They are
 * handed out in the order of the texts.
 */
class Conversations {
  private readonly texts: AsyncIterator<SectionedText>
  private ended = false
  /** In the order of the texts: those that are not handed out. */
  private readonly open: Open[] = []
  /** Whose next message is to be written, and whose is being written; both in the order in which they were asked for. */
  private waiting: Open[] = []
  private readonly asked: Open[] = []
  private wake = () => {}
  private left = false

  /** @param most conversations under way */
  constructor(
    texts: AsyncIterable<SectionedText>,
    private readonly most: number,
  ) {
    this.texts = texts[Symbol.asyncIterator]()
  }

  /** Rows to write for. Those of conversations under way come first; ends when all are written. */
  async *questions(): AsyncGenerator<TextRow> {
    try {
      for (let index = 0; !this.left; ) {
        const next = this.waiting.shift() ?? (await this.begin())
        if (next) {
          this.asked.push(next)
          yield questionOf(next, index++)
        } else if (this.ended && this.open.every(({ done }) => done)) return
        // An answer may have come in while a text was read.
        else if (this.waiting.length === 0) {
          await new Promise<void>((resolve) => {
            this.wake = resolve
          })
        }
      }
    } finally {
      await this.texts.return?.(undefined)
    }
  }

  /** No more is asked: the texts are closed, also where nothing could be asked before an answer. */
  leave(): void {
    this.left = true
    this.wake()
  }

  private async begin(): Promise<Open | undefined> {
    const underWay = this.open.filter(({ done }) => !done).length
    if (this.ended || underWay >= this.most || this.open.length >= heldBack * this.most) return undefined
    const { value, done } = await this.texts.next()
    if (done) {
      this.ended = true
      return undefined
    }
    const fresh: Open = { text: value, exchanges: [], turns: [], done: false }
    this.open.push(fresh)
    return fresh
  }

  /** @returns conversations that are complete with it, and all before them are */
  *answer(row: GeneratedRow): Generator<WrittenConversation> {
    const one = this.asked.shift()!
    const { sections } = one.text
    one.turns.push(turnOf(sections[one.turns.length]!, row))
    // As training will read it; where nothing was written, whatever the guard tried, what follows would answer nobody.
    const instruction = normaliseText(row.instruction)
    if (instruction !== '') one.exchanges.push({ instruction, response: row.response })
    one.done = instruction === '' || one.turns.length === sections.length
    if (!one.done) this.waiting.push(one)
    while (this.open[0]?.done) yield conversationOf(this.open.shift()!)
    this.wake()
  }
}

function questionOf({ text, exchanges }: Open, index: number): TextRow {
  const section = text.sections[exchanges.length]!
  return { index, id: text.id, text: section.text, exchanges: [...exchanges] }
}

function turnOf({ text: _, ...section }: Section, row: GeneratedRow): WrittenTurn {
  const { finish, tokens, logProb, score, attempt, guard, cut } = row
  return {
    ...section,
    ...{ finish, tokens, logProb },
    ...(score === undefined ? {} : { score }),
    ...(attempt === undefined ? {} : { attempt }),
    ...(guard === undefined ? {} : { guard }),
    cut,
  }
}

function conversationOf({ text, exchanges, turns }: Open): WrittenConversation {
  const faults = [...new Set(turns.flatMap(({ guard = [] }) => guard))]
  return {
    id: text.id,
    messages: exchanges.flatMap(messagesOf),
    turns: exchanges.length,
    sections: turns,
    ...(faults.length > 0 ? { guard: faults } : {}),
    ...(text.source === undefined ? {} : { source: text.source }),
    ...text.lineage,
  }
}

/** @throws {BtError} BT_USAGE */
function refuseForward({ template, adapter }: Located): void {
  if (template.task === 'backward') return
  throw new BtError('BT_USAGE', `${adapter?.folder} was trained for the forward task`, {
    remedy: 'Name an adapter that writes instructions.',
  })
}

function conversationFingerprint(options: ConverseOptions, { template }: Located): Fingerprint {
  const { minTurns, maxTurns, minCharacters, maxCharacters } = options
  const { conversation } = template.describe(true)
  return { conversations: conversation!.hash, minTurns, maxTurns, minCharacters, maxCharacters }
}

/** The id is a hash over the sections. */
function conversationKey(id: unknown): string {
  return rowKey(id, 'conversation')
}

function outputOptionsOf(options: ConverseOptions, fingerprint: Fingerprint): OutputOptions {
  return {
    ...options,
    version: packageVersion(),
    fingerprint,
    keyOf: ({ id }) => conversationKey(id),
    columns: columnsOf(options),
  }
}

function columnsOf({ n, guard }: ConverseOptions): ParquetColumns {
  const turn = {
    ...{ id: 'VARCHAR', heading: 'VARCHAR', span: 'BIGINT[]', finish: 'VARCHAR', tokens: 'INTEGER', logProb: 'DOUBLE' },
    ...(n > 1 ? { score: 'DOUBLE' } : {}),
    ...(guard.length > 0 ? { attempt: 'INTEGER', guard: 'VARCHAR[]' } : {}),
    cut: 'INTEGER',
  }
  const { heading: _, ...lineage } = lineageColumns
  return {
    id: 'VARCHAR',
    messages: 'STRUCT(role VARCHAR, content VARCHAR)[]',
    turns: 'INTEGER',
    sections: `STRUCT(${Object.entries(turn).map(([name, type]) => `"${name}" ${type}`)})[]`,
    ...(guard.length > 0 ? { guard: 'VARCHAR[]' } : {}),
    source: 'VARCHAR',
    ...lineage,
  }
}

function definedOutput({ output }: ConverseOptions): { output?: string } {
  return output === undefined ? {} : { output }
}

function nothing({ output }: ConverseOptions): ConverseSummary {
  return {
    ...{ rows: 0, written: 0, turns: 0, tokens: 0, cut: 0, rewritten: 0, faulty: 0, faults: {}, dropped: [] },
    ...{ seconds: 0, interrupted: false, alreadyDone: false, peakMemory: 0 },
    ...(output === undefined ? {} : { output }),
  }
}

function count(summary: ConverseSummary, row: GeneratedRow): void {
  summary.turns++
  summary.tokens += row.tokens
  if (row.cut > 0) summary.cut++
  if (row.attempt) summary.rewritten++
  if (row.guard) summary.faulty++
  for (const fault of row.guard ?? []) summary.faults[fault] = (summary.faults[fault] ?? 0) + 1
}
