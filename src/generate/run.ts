// Generation from options to rows: loads, takes up an unfinished output, and hands on what sample.ts writes.
import { checkFile } from '../data/bytes.js'
import type { DropCount } from '../data/types.js'
import { BtError } from '../errors.js'
import { resolveOptions } from '../fields.js'
import { openAhead } from '../native/ahead.js'
import type { OnProgress } from '../progress.js'
import type { TemplateDescription } from '../text/types.js'
import { packageVersion } from '../version.js'
import { readInput } from './input.js'
import { type Located, loadSampler, locate } from './load.js'
import type { Machine } from './machine.js'
import { type GenerateInput, type GenerateOptions, generateSchema } from './options.js'
import { type Fingerprint, finishedRows, type ReservedOutput, reserveOutput, rowKey } from './output.js'
import { sampleRows } from './sample.js'
import type { GeneratedRow, GenerateSummary, TextRow } from './types.js'

/** What is known before the first row. */
export interface GenerateStart {
  device: Machine['device']
  precision: Machine['precision']
  threads: number
  detail: string
  model: string
  adapter?: string
  template: TemplateDescription
  /** Rows that are in the output already. */
  rowsDone: number
}

export interface GenerateControl {
  /** Stop after the decode steps under way; the rows so far stay. */
  signal?: AbortSignal
  /** Stop at once with BT_ABORTED; the rows so far stay. */
  abort?: AbortSignal
  onProgress?: OnProgress
  onStart?: (start: GenerateStart) => void
  /** Once each, with a count where there are many. */
  onWarning?: (text: string) => void
}

/**
 * Writes an instruction (or, for a forward adapter, a response) for each row of the input, in its order, and yields the
 * rows as they are written. With `output`, rows that an earlier call wrote are not written again.
 * @throws {BtError} BT_USAGE for options; BT_TEMPLATE_MISMATCH; BT_OUTPUT_CHANGED, BT_OUTPUT_EXISTS, BT_LOCKED;
 * BT_INPUT_CHANGED when the rows that are there are not the input's; what reading model, adapter and input throws
 */
export async function* generate(
  input: GenerateInput,
  control: GenerateControl = {},
): AsyncGenerator<GeneratedRow, GenerateSummary> {
  const options = resolveOptions(generateSchema, input)
  openAhead({ device: options.device })
  const located = await locate(options, control)
  if (options.input !== '-') await checkFile(options.input)
  const outputOptions = {
    ...options,
    version: packageVersion(),
    fingerprint: fingerprintOf(options, located, options.precision === 'auto' ? undefined : options.precision),
    given: located.template.task === 'backward' ? ('response' as const) : ('instruction' as const),
  }
  if (options.output) {
    const rows = await finishedRows(options.output, outputOptions)
    if (rows !== undefined) return { ...nothing(options), rows, alreadyDone: true }
  }
  const reserved = options.output ? await reserveOutput(options.output, outputOptions) : undefined
  try {
    return yield* write(options, located, reserved, control)
  } finally {
    await reserved?.release()
  }
}

async function* write(
  options: GenerateOptions,
  located: Located,
  reserved: ReservedOutput | undefined,
  control: GenerateControl,
): AsyncGenerator<GeneratedRow, GenerateSummary> {
  const started = performance.now()
  const { machine, sampler } = await loadSampler(options, located)
  const leave = () => machine.runtime.abort()
  control.abort?.addEventListener('abort', leave)
  try {
    const { template, tokenizer } = located
    const output = await reserved?.open(fingerprintOf(options, located, machine.precision))
    const done = output?.keys ?? []
    control.onStart?.({ ...startOf(located, machine), rowsDone: done.length })
    const source = readInput({ ...options, task: template.task })
    const rows = afterDone(source.rows, done, options)
    const summary = { ...nothing(options), rows: done.length }
    const window = 4 * options.batchSize
    const context = { ...options, sampler, template, tokenizer, window, signal: eitherOf(control) }
    for await (const row of sampleRows(rows, context)) {
      await output?.append(row)
      count(summary, row)
      control.onProgress?.({ label: 'writing', done: summary.rows, total: options.limit, unit: 'rows' })
      yield row
    }
    if (control.abort?.aborted) throw new BtError('BT_ABORTED', `stopped after ${summary.rows} rows`)
    summary.interrupted = control.signal?.aborted === true
    if (!summary.interrupted) await output?.finish()
    summary.dropped = source.dropped()
    summary.seconds = (performance.now() - started) / 1000
    summary.peakMemory = (await machine.runtime.memory()).peakResident
    return summary
  } finally {
    control.abort?.removeEventListener('abort', leave)
    await machine.runtime.close()
  }
}

/** The decode loop ends for both; whether rows are saved or dropped is told apart afterwards. */
function eitherOf({ signal, abort }: GenerateControl): AbortSignal {
  return AbortSignal.any([signal, abort].filter((one) => one !== undefined))
}

/**
 * Rows after those that are done, which must be the input's first.
 * @throws {BtError} BT_INPUT_CHANGED
 */
async function* afterDone(
  rows: AsyncIterable<TextRow>,
  done: readonly unknown[],
  { input, output }: GenerateOptions,
): AsyncGenerator<TextRow> {
  let read = 0
  for await (const row of rows) {
    read++
    if (row.index >= done.length) yield row
    else if (rowKey(row.id, row.text) !== done[row.index]) {
      throw new BtError(
        'BT_INPUT_CHANGED',
        `row ${row.index + 1} of ${input} is not the one that ${output} has there`,
        {
          remedy: 'Give the input that the output was begun with, another --output, or --force to start over.',
        },
      )
    }
  }
  if (read >= done.length) return
  throw new BtError('BT_INPUT_CHANGED', `${input} has ${read} rows, but ${output} has ${done.length} already`, {
    remedy: 'Give the input (and --limit) that the output was begun with, another --output, or --force to start over.',
  })
}

function startOf({ source, adapter, template }: Located, machine: Machine): Omit<GenerateStart, 'rowsDone'> {
  const { device, precision, threads, detail } = machine
  return {
    device,
    precision,
    threads,
    detail,
    model: source.name,
    adapter: adapter?.folder,
    template: template.describe(),
  }
}

/** What the rows depend on beside the input. Which precision "auto" is, the machine says. */
function fingerprintOf(
  options: GenerateOptions,
  { source, adapter, template }: Located,
  precision: Machine['precision'] | undefined,
): Fingerprint {
  const { temperature, topP, topK, minP, repetitionPenalty, maxNewTokens, maxTokens, seed } = options
  const { weights, keepAdapter } = options
  const sampled: Fingerprint =
    options.greedy || temperature === 0 ? { temperature: 0 } : { temperature, topP, topK, minP, seed }
  return {
    model: source.hash.slice(0, 16),
    adapter: adapter?.hash.slice(0, 16) ?? 'none',
    template: template.hash,
    column: options.column ?? null,
    ...sampled,
    repetitionPenalty,
    maxNewTokens,
    maxTokens,
    precision,
    weights,
    keepAdapter,
  }
}

function nothing({ output }: GenerateOptions): GenerateSummary {
  return {
    rows: 0,
    written: 0,
    cut: 0,
    unfinished: 0,
    empty: 0,
    dropped: [] as DropCount[],
    tokens: 0,
    seconds: 0,
    interrupted: false,
    alreadyDone: false,
    peakMemory: 0,
    output,
  }
}

function count(summary: GenerateSummary, row: GeneratedRow): void {
  summary.rows++
  summary.written++
  summary.tokens += row.tokens
  if (row.cut > 0) summary.cut++
  if (row.finish === 'length' || row.finish === 'not-finite') summary.unfinished++
  if (row.finish === 'empty') summary.empty++
}
