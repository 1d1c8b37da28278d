// From any data sets to clean rows: read, filtered, freed of duplicates, split, written, and all of it counted.
import { access, mkdir, realpath, stat } from 'node:fs/promises'
import { dirname, extname } from 'node:path'
import { BtError } from '../errors.js'
import { writeAtomic, writeFileAtomic } from '../files.js'
import { plainName } from '../paths.js'
import type { OnProgress } from '../progress.js'
import { inputName } from './bytes.js'
import { Drops, type Malformed } from './drops.js'
import { type FilterOptions, openFilter } from './filter.js'
import {
  finishedReport,
  forgetFinished,
  outputExists,
  type Shaping,
  stampInputs,
  type Work,
  writeFinished,
} from './finished.js'
import type { PairColumns } from './formats.js'
import { type LengthSummary, Lengths } from './lengths.js'
import { nothingLeft } from './load.js'
import { RowWriter } from './row-writer.js'
import { type InputSummary, type ReadRow, readRows, rowToJson } from './rows.js'
import { checkFraction, isValidationRow } from './split.js'
import type { DropCount } from './types.js'

/** What preprocess() reads, keeps and writes. */
export interface PreprocessOptions extends FilterOptions {
  /** Files of any known format, each detected by itself; "-" is stdin. */
  inputs: string[]
  /**
   * JSONL file for the rows (the training side when `validation` is given); by default "NAME.rows.jsonl" in the working
   * folder, after the first input.
   */
  output?: string | undefined
  /** Share of instructions kept back for validation, 0 to below 1; 0 by default. */
  validation?: number | undefined
  /** File for them; by default "name.validation.jsonl" beside an output "name.jsonl". */
  validationOutput?: string | undefined
  /** Feeds the split alone; 0 by default. */
  seed?: number | undefined
  columns?: PairColumns | undefined
  allReplies?: boolean | undefined
  /** Stop at the first unreadable line. */
  strict?: boolean | undefined
  /** Replace outputs that exist. */
  force?: boolean | undefined
  /** JSON file for the report. */
  report?: string | undefined
  onProgress?: OnProgress | undefined
  signal?: AbortSignal | undefined
}

/** What was read, kept and left out. */
export interface PreprocessReport {
  /** The outputs were there already, made by the same call from the same inputs: nothing was done. */
  alreadyDone?: true
  inputs: (InputSummary & { kept: number })[]
  /** Rows looked at: kept + dropped. */
  read: number
  kept: number
  train: number
  validation: number
  droppedTotal: number
  dropped: DropCount[]
  /** The first hundred unreadable lines, each with what is wrong. */
  malformed: Malformed[]
  /** Kept rows whose conversation has other turns too. */
  multiTurn: number
  /** With a language filter: rows that had to be detected, and those kept because the text did not tell. */
  languageDetected: number
  languageUnsure: number
  /** Characters (code points) of kept rows. */
  instructionCharacters: LengthSummary
  responseCharacters: LengthSummary
  outputs: { train: string; validation?: string; report?: string }
  warnings: string[]
}

/**
 * Writes clean {id, instruction, response, source, ...} rows in input order: the same inputs and options always give the
 * same bytes. Outputs appear whole or not at all. Where the same call has made them before, it does nothing.
 * @throws {BtError} as readRows; BT_USAGE for options that contradict each other, BT_OUTPUT_EXISTS without `force` when
 *   an output is there that other inputs or options made, BT_DATA_EMPTY when no row is left (nothing is written then),
 *   BT_INTERRUPTED when `signal` aborts
 */
export async function preprocess(options: PreprocessOptions): Promise<PreprocessReport> {
  const outputs = await checkOutputs(options)
  const { train, validation } = outputs
  const rows = validation === undefined ? [train] : [train, validation]
  const work: Work = { outputs: rows, inputs: await stampInputs(options.inputs), shaping: shapingOf(options) }
  const done = options.force ? undefined : await finishedReport<PreprocessReport>(work)
  if (done) {
    if (outputs.report && !(await exists(outputs.report))) await writeReport(outputs.report, done)
    return { ...done, outputs, alreadyDone: true }
  }
  if (outputs.report && !options.force && (await exists(outputs.report))) throw outputExists(outputs.report)
  for (const path of Object.values(outputs)) await mkdir(dirname(path), { recursive: true })
  const report = await writeRows(options, outputs, () => forgetFinished(work)).catch((error: unknown) => {
    if (!options.signal?.aborted) throw error
    throw new BtError('BT_INTERRUPTED', 'interrupted; nothing was written', { cause: error })
  })
  await writeFinished(work, report)
  if (outputs.report) await writeReport(outputs.report, report)
  return report
}

async function writeReport(path: string, report: PreprocessReport): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(report, null, 2)}\n`)
}

/** Options that the rows are a function of, with their defaults. */
function shapingOf(options: PreprocessOptions): Shaping {
  const { singleTurn, allReplies, strict, lang, columns, validation, seed, nearDuplicates } = options
  const { maxRank, minInstruction, maxInstruction, minResponse, maxResponse } = options
  return {
    singleTurn: singleTurn === true,
    allReplies: allReplies === true,
    strict: strict === true,
    lang,
    columns,
    maxRank,
    minInstruction,
    maxInstruction,
    minResponse,
    maxResponse,
    nearDuplicates: nearDuplicates ?? 0.85,
    validation: validation ?? 0,
    seed: validation ? (seed ?? 0) : undefined,
  }
}

type Outputs = PreprocessReport['outputs']

/** @param beforeReplacing called when all rows are written and before the first output takes its name */
async function writeRows(
  options: PreprocessOptions,
  outputs: Outputs,
  beforeReplacing: () => Promise<void>,
): Promise<PreprocessReport> {
  let report: PreprocessReport | undefined
  await writeAtomic(outputs.train, async (trainFile) => {
    const train = new RowWriter(trainFile)
    if (!outputs.validation) {
      report = await run(options, outputs, train)
      await beforeReplacing()
      return
    }
    await writeAtomic(outputs.validation, async (file) => {
      report = await run(options, outputs, train, new RowWriter(file))
      await beforeReplacing()
    })
  })
  return report!
}

async function run(
  options: PreprocessOptions,
  outputs: Outputs,
  train: RowWriter,
  validation?: RowWriter,
): Promise<PreprocessReport> {
  const drops = new Drops({ strict: options.strict === true })
  const filter = await openFilter(options, drops)
  const instructions = new Lengths()
  const responses = new Lengths()
  const inputs: PreprocessReport['inputs'] = []
  let multiTurn = 0
  for await (const { row, input } of allRows(options, drops, inputs)) {
    if (!filter.keeps(row)) continue
    const held = isValidationRow(row.row.instruction, options.validation ?? 0, options.seed ?? 0)
    await (held && validation ? validation : train).write(rowToJson(row.row))
    input.kept++
    instructions.add(row.row.instruction)
    responses.add(row.row.response)
    if (row.row.multiTurn) multiTurn++
  }
  const kept = train.rows + (validation?.rows ?? 0)
  if (train.rows === 0) throw nothingLeft(options.inputs.map(inputName).join(', '), drops.counts())
  await train.end()
  await validation?.end()
  return {
    inputs,
    read: kept + drops.total,
    kept,
    train: train.rows,
    validation: validation?.rows ?? 0,
    droppedTotal: drops.total,
    dropped: drops.counts(),
    malformed: drops.malformed,
    multiTurn,
    languageDetected: filter.languageDetected,
    languageUnsure: filter.languageUnsure,
    instructionCharacters: instructions.summary(),
    responseCharacters: responses.summary(),
    outputs,
    warnings: validation?.rows === 0 ? ['no row fell to the validation side: its file is empty'] : [],
  }
}

/** Rows of all inputs one after the other, with progress in bytes. */
async function* allRows(
  options: PreprocessOptions,
  drops: Drops,
  inputs: PreprocessReport['inputs'],
): AsyncGenerator<{ row: ReadRow; input: PreprocessReport['inputs'][number] }> {
  const total = await totalBytes(options.inputs)
  let done = 0
  const onBytes = (bytes: number) => {
    done += bytes
    options.onProgress?.({ label: 'reading', done, unit: 'bytes', ...(total === undefined ? {} : { total }) })
  }
  for (const path of options.inputs) {
    const input = { path, format: '', records: 0, kept: 0 }
    inputs.push(input)
    const { columns, allReplies, signal } = options
    for await (const row of readRows(path, { drops, summary: input, columns, allReplies, onBytes, signal })) {
      signal?.throwIfAborted()
      yield { row, input }
    }
  }
}

/** Size of all inputs that are read as bytes; undefined when one is a pipe. */
async function totalBytes(paths: readonly string[]): Promise<number | undefined> {
  let total = 0
  for (const path of paths) {
    if (path === '-') return undefined
    if (await exists(path)) total += (await stat(path)).size
  }
  return total
}

/** Where everything goes, checked before any work is done. */
async function checkOutputs(options: PreprocessOptions): Promise<Outputs> {
  const { inputs, validation = 0, report } = options
  if (inputs.length === 0) throw new BtError('BT_USAGE', 'no input file was given')
  const output = options.output ?? `${plainName(inputs[0]!)}.rows.jsonl`
  if (inputs.filter((path) => path === '-').length > 1) throw new BtError('BT_USAGE', 'stdin can be read once only')
  checkFraction(validation)
  if (options.validationOutput && validation === 0) {
    throw new BtError('BT_USAGE', 'a validation file is named, but no share of rows goes there', {
      remedy: 'Add --validation 0.05',
    })
  }
  const outputs: Outputs = {
    train: output,
    ...(validation > 0 ? { validation: options.validationOutput ?? validationPath(output) } : {}),
    ...(report ? { report } : {}),
  }
  const paths = Object.values(outputs)
  if (new Set(paths).size < paths.length) throw new BtError('BT_USAGE', 'two outputs have the same name')
  const inputPaths = await Promise.all(inputs.map(real))
  for (const path of paths) {
    if (inputPaths.includes(await real(path))) {
      throw new BtError('BT_USAGE', `${path} is an input and an output at once`, { remedy: 'Name another --output.' })
    }
  }
  requireJsonl(outputs.train)
  if (outputs.validation) requireJsonl(outputs.validation)
  return outputs
}

function requireJsonl(path: string): void {
  if (!/^\.(json|parquet|gz|csv)$/.test(extname(path)) && path !== '-') return
  throw new BtError('BT_USAGE', `${path}: rows are written as JSONL to a file`, {
    remedy: 'Give the output a name that ends in .jsonl',
  })
}

/** "seed.jsonl" -> "seed.validation.jsonl" */
function validationPath(output: string): string {
  const extension = extname(output)
  return `${output.slice(0, output.length - extension.length)}.validation${extension || '.jsonl'}`
}

async function real(path: string): Promise<string> {
  return (await exists(path)) ? await realpath(path) : path
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
