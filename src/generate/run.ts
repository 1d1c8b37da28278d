// Generation from options to rows: loads, takes up an unfinished output, and hands on what sample.ts writes.
import { checkFile } from '../data/bytes.js'
import { RowCount } from '../data/row-count.js'
import type { DropCount } from '../data/types.js'
import { BtError } from '../errors.js'
import { resolveOptions } from '../fields.js'
import { LeakFinder } from '../metrics/health.js'
import { openAhead } from '../native/ahead.js'
import type { OnProgress } from '../progress.js'
import type { TemplateDescription } from '../text/types.js'
import { packageVersion } from '../version.js'
import { columnsOf } from './columns.js'
import { fingerprintOf } from './fingerprint.js'
import { readInput } from './input.js'
import { type Located, loadSampler, locate } from './load.js'
import type { Machine } from './machine.js'
import { type GenerateInput, type GenerateOptions, generateSchema } from './options.js'
import { afterStored, finishedRows, type OutputOptions, type ReservedOutput, reserveOutput, rowKey } from './output.js'
import { type SampleContext, sampleRows } from './sample.js'
import { retryTemperature } from './sampling.js'
import { parseShard, rowsOfShard, type Shard, shardPath } from './shard.js'
import type { GeneratedRow, GenerateSummary } from './types.js'

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
  /** Where rows go: with a shard, not the name that was given. */
  output?: string
  shard?: Shard
}

/** How to watch a run and end it. */
export interface GenerateControl {
  /** Stop after the decode steps under way; the rows so far stay. */
  signal?: AbortSignal
  /** Stop at once with BT_ABORTED; the rows so far stay. */
  abort?: AbortSignal
  onProgress?: OnProgress
  /** Once, when model and rows are known. */
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
  const given = resolveOptions(generateSchema, input)
  refuseContrary(given)
  const shard = given.shard === undefined ? undefined : parseShard(given.shard)
  const options = {
    ...given,
    output: shard && given.output && given.output !== '-' ? shardPath(given.output, shard) : given.output,
  }
  openAhead({ device: options.device })
  const located = await locate(options, control)
  if (options.input !== '-') await checkFile(options.input)
  const outputOptions = outputOptionsOf(options, located, shard)
  if (options.output) {
    const rows = await finishedRows(options.output, outputOptions)
    if (rows !== undefined) return { ...nothing(options), rows, alreadyDone: true }
  }
  const reserved = options.output ? await reserveOutput(options.output, outputOptions) : undefined
  try {
    return yield* write({ options, located, shard }, reserved, control)
  } finally {
    await reserved?.release()
  }
}

/** @throws {BtError} BT_USAGE for options that contradict each other */
export function refuseContrary({
  n,
  greedy,
  temperature,
}: Pick<GenerateOptions, 'n' | 'greedy' | 'temperature'>): void {
  if (n === 1 || (!greedy && temperature > 0)) return
  throw new BtError('BT_USAGE', `--n ${n}: greedy candidates are all the same`, {
    remedy: 'Sample them: leave --greedy and --temperature 0 out.',
  })
}

function outputOptionsOf(options: GenerateOptions, located: Located, shard: Shard | undefined): OutputOptions {
  const text = located.template.task === 'backward' ? 'response' : 'instruction'
  return {
    ...options,
    shard,
    version: packageVersion(),
    fingerprint: fingerprintOf(options, located, options.precision === 'auto' ? undefined : options.precision),
    keyOf: (row) => rowKey(row.id, row[text]),
    columns: columnsOf(options),
  }
}

/** A generation whose options are judged and whose model is found. */
interface Prepared {
  options: GenerateOptions
  located: Located
  shard: Shard | undefined
}

async function* write(
  prepared: Prepared,
  reserved: ReservedOutput | undefined,
  control: GenerateControl,
): AsyncGenerator<GeneratedRow, GenerateSummary> {
  const started = performance.now()
  const { options, located, shard } = prepared
  const loaded = await loadSampler(options, located)
  const { machine } = loaded
  const leave = () => machine.runtime.abort()
  control.abort?.addEventListener('abort', leave)
  const inputRows = new RowCount(options.input, options.limit)
  try {
    const output = await reserved?.open(fingerprintOf(options, located, machine.precision))
    const rowsDone = output?.rows ?? 0
    control.onStart?.({ ...startOf(located, machine), rowsDone, output: options.output, shard })
    const source = readInput({ ...options, task: located.template.task })
    const rows = afterStored(shard ? rowsOfShard(source.rows, shard) : source.rows, output, {
      keyOf: ({ id, text }) => rowKey(id, text),
      names: options,
    })
    const summary = { ...nothing(options), rows: rowsDone }
    const context = await contextOf(options, located, loaded)
    for await (const row of sampleRows(rows, { ...context, signal: eitherOf(control) })) {
      await output?.append(row)
      count(summary, row)
      control.onProgress?.({
        label: 'writing',
        done: summary.rows,
        total: rowsOf(inputRows.total, shard),
        unit: 'rows',
      })
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
    inputRows.close()
    control.abort?.removeEventListener('abort', leave)
    await machine.runtime.close()
  }
}

/** What sampleRows works with. */
export async function contextOf(
  options: GenerateOptions,
  { template, tokenizer, system = '' }: Located,
  { sampler }: Awaited<ReturnType<typeof loadSampler>>,
): Promise<SampleContext> {
  const { n, rerank, guard, guardRetries, stop = [] } = options
  return {
    ...options,
    sampler,
    template,
    tokenizer,
    stop,
    guard: { faults: guard, retries: guardRetries, task: template.task, leaks: new LeakFinder([template.ask, system]) },
    retryTemperature: retryTemperature(options),
    window: Math.max(2, Math.ceil((4 * options.batchSize) / n)),
    ranking:
      n === 1
        ? undefined
        : {
            by: rerank,
            score: (batch) => sampler.logProbs(batch),
            blankPrompt: (before) => template.blankPrompt(before),
            endToken: template.stopTokens[0]!,
          },
  }
}

/** Rows of all that are the shard's. */
function rowsOf(all: number | undefined, shard: Shard | undefined): number | undefined {
  return all === undefined || !shard ? all : Math.max(0, Math.ceil((all - shard.index + 1) / shard.count))
}

/** The decode loop ends for both; whether rows are saved or dropped is told apart afterwards. */
export function eitherOf({ signal, abort }: GenerateControl): AbortSignal {
  return AbortSignal.any([signal, abort].filter((one) => one !== undefined))
}

export function startOf(
  { source, adapter, template }: Located,
  machine: Machine,
): Omit<GenerateStart, 'rowsDone' | 'output' | 'shard'> {
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

function nothing({ output }: GenerateOptions): GenerateSummary {
  return {
    rows: 0,
    written: 0,
    cut: 0,
    unfinished: 0,
    empty: 0,
    rewritten: 0,
    faulty: 0,
    faults: {},
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
  if (row.attempt) summary.rewritten++
  if (row.guard) summary.faulty++
  for (const fault of row.guard ?? []) summary.faults[fault] = (summary.faults[fault] ?? 0) + 1
}
