// Scoring from options to rows: how likely a model takes given texts to be. Goes on where it was, as generation does.
import type { Sampler } from '../../binding.js'
import { checkFile } from '../data/bytes.js'
import { type Lineage, lineageColumns } from '../data/lineage.js'
import type { ParquetColumns } from '../data/parquet-write.js'
import { RowCount } from '../data/row-count.js'
import type { DropCount } from '../data/types.js'
import { BtError } from '../errors.js'
import { resolveOptions } from '../fields.js'
import { openAhead } from '../native/ahead.js'
import type { OnProgress } from '../progress.js'
import type { PromptTemplate } from '../text/types.js'
import { packageVersion } from '../version.js'
import { type Group, groupStart, groupsOf } from './groups.js'
import { type Loaded, type Located, loadModel, locateModel, withTask, wrongTask } from './load.js'
import type { Machine, Precision } from './machine.js'
import { afterStored, type Fingerprint, finishedRows, type OutputOptions, reserveOutput, rowKey } from './output.js'
import { rowLogProbs } from './packed-score.js'
import { type ScoreInput, type ScoreOptions, scoreSchema } from './score-options.js'
import { type Encode, makeEncode, readScorable, type ScorableRow, type ScorableTokens } from './score-rows.js'

/** One scored row, as it stands in the output. */
export interface ScoredRow extends Lineage {
  id: string
  /** Of a pair. */
  instruction?: string
  response?: string
  /** By itself. */
  text?: string
  /** log p of all scored tokens together, nats; null where none could be scored. */
  logLikelihood: number | null
  /** Scored tokens: of a pair the target's and its end token. */
  tokens: number
  /** Mean of them. */
  logProb: number | null
  /** exp(-logProb). */
  perplexity: number | null
  /** Tokens of what is given (of a text by itself: of its end) that did not fit. */
  cut: number
  source?: string
  /** log p of each scored token, on request. */
  tokenLogProbs?: number[]
}

/** What a run came to. */
export interface ScoreSummary {
  /** Rows in the output, those of earlier sittings included. */
  rows: number
  written: number
  /** Of all rows: those without a score, and the tokens of the others, their log-likelihood and perplexity together. */
  unscored: number
  tokens: number
  logLikelihood: number
  perplexity: number | null
  /** Rows of this call of which something was cut. */
  cut: number
  dropped: DropCount[]
  seconds: number
  interrupted: boolean
  alreadyDone: boolean
  peakMemory: number
  output?: string
}

/** What is known before the first row is scored. */
export interface ScoreStart {
  device: Machine['device']
  precision: Precision
  threads: number
  detail: string
  model: string
  adapter?: string
  /** "backward/chat 9f2c1e0a3b4d", or "raw". */
  template: string
  rowsDone: number
}

/** How to watch a run and end it. */
export interface ScoreControl {
  /** Stop after the batch under way; the rows so far stay. */
  signal?: AbortSignal
  /** Stop at once with BT_ABORTED; the rows so far stay. */
  abort?: AbortSignal
  onProgress?: OnProgress
  /** Once, when model and rows are known. */
  onStart?: (start: ScoreStart) => void
  /** Once each, with a count where there are many. */
  onWarning?: (text: string) => void
}

/** Rows that are packed apart from all others. */
const groupRows = 64

/**
 * Scores each row of the input, in its order, and yields the rows as they are scored.
 * @throws {BtError} BT_USAGE for options; BT_TEMPLATE_MISMATCH; BT_OUTPUT_CHANGED, BT_OUTPUT_EXISTS, BT_LOCKED,
 * BT_INPUT_CHANGED; what reading model, adapter and input throws
 */
export async function* score(input: ScoreInput, control: ScoreControl = {}): AsyncGenerator<ScoredRow, ScoreSummary> {
  const given = resolveOptions(scoreSchema, input)
  openAhead({ device: given.device })
  const task = given.template === 'raw' ? undefined : given.template
  const located = await withTask(await locateModel(given, control), task, given, wrongTask('--template'))
  const template = given.template === 'raw' ? undefined : located.template
  const options = { ...given, template: template?.task ?? ('raw' as const) }
  if (options.input !== '-') await checkFile(options.input)
  const known = options.precision === 'auto' ? undefined : options.precision
  const outputOptions = outputOptionsOf(options, fingerprintOf(options, located, template, known))
  if (options.output) {
    const rows = await finishedRows(options.output, outputOptions)
    if (rows !== undefined) return { ...nothing(options), rows, alreadyDone: true }
  }
  const reserved = options.output ? await reserveOutput(options.output, outputOptions) : undefined
  const started = performance.now()
  let loaded: Scorer | undefined
  const leave = () => loaded?.machine.runtime.abort()
  control.abort?.addEventListener('abort', leave)
  const count = new RowCount(options.input, options.limit)
  try {
    loaded = await loadScorer(options, located)
    const { machine } = loaded
    const output = await reserved?.open(fingerprintOf(options, located, template, machine.precision))
    control.onStart?.({ ...startOf(located, template, machine), rowsDone: output?.rows ?? 0 })
    const summary = { ...nothing(options), rows: output?.rows ?? 0 }
    const source = readScorable(options)
    const encode = await makeEncode(located, template, options.maxTokens)
    const resumed = { done: summary.rows, waiting: [] as ScorableRow[] }
    const rows = afterStored<ScorableRow>(source.rows, output, {
      keyOf: keyOfRow,
      names: options,
      onStored: (row, stored) => {
        add(summary, stored as unknown as ScoredRow)
        if (row.index >= groupStart(resumed.done, groupRows)) resumed.waiting.push(row)
      },
    })
    for await (const group of groupsOf(rows, resumed, groupRows)) {
      if (control.signal?.aborted || control.abort?.aborted) break
      for (const row of await scoreGroup(group, encode, loaded, options)) {
        await output?.append(row)
        add(summary, row)
        summary.rows++
        summary.written++
        if (row.cut > 0) summary.cut++
        control.onProgress?.({ label: 'scoring', done: summary.rows, total: count.total, unit: 'rows' })
        yield row
      }
    }
    if (control.abort?.aborted) throw new BtError('BT_ABORTED', `stopped after ${summary.rows} rows`)
    summary.interrupted = control.signal?.aborted === true
    if (!summary.interrupted) await output?.finish()
    summary.perplexity = perplexityOf(summary.logLikelihood, summary.tokens)
    summary.dropped = source.dropped()
    summary.seconds = (performance.now() - started) / 1000
    summary.peakMemory = (await machine.runtime.memory()).peakResident
    return summary
  } finally {
    count.close()
    control.abort?.removeEventListener('abort', leave)
    await loaded?.machine.runtime.close()
    await reserved?.release()
  }
}

interface Scorer extends Loaded {
  sampler: Sampler
}

/** A sampler scores as it writes: on a CPU by the engine whose numbers do not depend on a row's neighbours. */
async function loadScorer(options: ScoreOptions, located: Located): Promise<Scorer> {
  const loaded = await loadModel(options, located)
  try {
    const law = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0, stopTokens: [] }
    // A cache for a batch of the longest rows; on a GPU scores need none.
    const onGpu = loaded.machine.device === 'cuda'
    const room = { maxSequences: onGpu ? 1 : 8, maxTokens: onGpu ? 2 : Math.max(2, options.maxTokens) }
    return { ...loaded, sampler: await loaded.model.createSampler({ ...law, ...room }, loaded.lora) }
  } catch (error) {
    await loaded.machine.runtime.close()
    throw error
  }
}

async function scoreGroup(
  { rows, done }: Group<ScorableRow>,
  encode: Encode,
  { sampler }: Scorer,
  options: ScoreOptions,
): Promise<ScoredRow[]> {
  const encoded = await Promise.all(rows.map(encode))
  const scorable = encoded.filter((one): one is ScorableTokens => one !== null)
  const found = await rowLogProbs(sampler, scorable, { batchTokens: options.batchTokens })
  const scored = rows.map((row, at) => scoredRow(row, encoded[at]!, encoded[at] ? found.shift()! : undefined, options))
  return scored.slice(done)
}

function scoredRow(
  { id, texts, source, lineage }: ScorableRow,
  encoded: ScorableTokens | null,
  logProbs: Float32Array | undefined,
  { tokenLogProbs }: ScoreOptions,
): ScoredRow {
  const sum = logProbs?.reduce((total, value) => total + value, 0) ?? null
  const tokens = logProbs?.length ?? 0
  return {
    id,
    ...texts,
    logLikelihood: rounded(sum),
    tokens,
    logProb: rounded(sum === null ? null : sum / tokens),
    perplexity: rounded(sum === null ? null : perplexityOf(sum, tokens)),
    cut: encoded?.cut ?? 0,
    ...(source === undefined ? {} : { source }),
    ...lineage,
    ...(tokenLogProbs ? { tokenLogProbs: Array.from(logProbs ?? [], (value) => rounded(value)!) } : {}),
  }
}

function rounded(value: number | null): number | null {
  return value === null || !Number.isFinite(value) ? null : Number(value.toFixed(6))
}

function perplexityOf(logLikelihood: number, tokens: number): number | null {
  return tokens === 0 ? null : Math.exp(-logLikelihood / tokens)
}

function add(summary: ScoreSummary, row: ScoredRow): void {
  if (row.logLikelihood === null) summary.unscored++
  else {
    summary.tokens += row.tokens
    summary.logLikelihood += row.logLikelihood
  }
}

function keyOfRow({ id, texts }: Pick<ScorableRow, 'id' | 'texts'>): string {
  return rowKey(id, 'text' in texts ? [texts.text] : [texts.instruction, texts.response])
}

function outputOptionsOf(options: ScoreOptions, fingerprint: Fingerprint): OutputOptions {
  const texts = (row: Record<string, unknown>) =>
    (options.template === 'raw' ? { text: row.text } : row) as ScorableRow['texts']
  return {
    ...options,
    version: packageVersion(),
    fingerprint,
    keyOf: (row) => keyOfRow({ id: row.id as string, texts: texts(row) }),
    columns: columnsOf(options),
  }
}

function columnsOf({ template, tokenLogProbs }: ScoreOptions): ParquetColumns {
  return {
    id: 'VARCHAR',
    ...(template === 'raw' ? { text: 'VARCHAR' } : { instruction: 'VARCHAR', response: 'VARCHAR' }),
    logLikelihood: 'DOUBLE',
    tokens: 'INTEGER',
    logProb: 'DOUBLE',
    perplexity: 'DOUBLE',
    cut: 'INTEGER',
    source: 'VARCHAR',
    ...lineageColumns,
    ...(tokenLogProbs ? { tokenLogProbs: 'DOUBLE[]' } : {}),
  }
}

function fingerprintOf(
  options: ScoreOptions,
  { source, adapter, system }: Located,
  template: PromptTemplate | undefined,
  precision: Precision | undefined,
): Fingerprint {
  const told = template?.task === 'forward' ? system : undefined
  const { columns = null, column = null, tokenLogProbs, maxTokens, batchTokens } = options
  return {
    scores: 'log-likelihood',
    model: source.hash.slice(0, 16),
    adapter: adapter?.hash.slice(0, 16) ?? 'none',
    template: template?.hash ?? 'raw',
    ...(told ? { system: told } : {}),
    ...{ columns, column, tokenLogProbs, maxTokens, batchTokens, precision },
  }
}

function startOf(
  { source, adapter }: Located,
  template: PromptTemplate | undefined,
  { device, precision, threads, detail }: Machine,
): Omit<ScoreStart, 'rowsDone'> {
  const kind = template ? `${template.task}/${template.form} ${template.hash}` : 'raw'
  return { device, precision, threads, detail, model: source.name, adapter: adapter?.folder, template: kind }
}

function nothing({ output }: ScoreOptions): ScoreSummary {
  return {
    rows: 0,
    written: 0,
    unscored: 0,
    tokens: 0,
    logLikelihood: 0,
    perplexity: null,
    cut: 0,
    dropped: [],
    seconds: 0,
    interrupted: false,
    alreadyDone: false,
    peakMemory: 0,
    output,
  }
}
