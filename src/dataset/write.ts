// Pairs and conversations to a data set: the same rows in each form that was asked for, and a card. Files are made in a work
// folder and get their names when all of them are whole.
import { createHash } from 'node:crypto'
import { access, mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { writeJsonFromJsonl } from '../data/appender.js'
import { inputChanged, inputName } from '../data/bytes.js'
import { Drops } from '../data/drops.js'
import { ExactDuplicates } from '../data/duplicates.js'
import { finishedReport, forgetFinished, stampInputs, type Work, writeFinished } from '../data/finished.js'
import { nothingLeft } from '../data/load.js'
import { writeParquetFromJsonl } from '../data/parquet-write.js'
import { RowWriter } from '../data/row-writer.js'
import { readRows } from '../data/rows.js'
import type { DropCount } from '../data/types.js'
import { BtError } from '../errors.js'
import { resolveOptions } from '../fields.js'
import { diskError, syncFolder, writeFileAtomic } from '../files.js'
import type { OnProgress } from '../progress.js'
import { packageVersion } from '../version.js'
import { fileNames, renderCard } from './card.js'
import { Counter, type DatasetCounts } from './counts.js'
import { openDatabase } from './database.js'
import { alpacaRow, datasetRow, messagesOf, messagesRow, parquetTypes, shareGptRow } from './forms.js'
import { makingOf } from './making.js'
import { type DatasetInput, type DatasetOptions, datasetSchema } from './options.js'

/** How to watch the writing and end it. */
export interface DatasetControl {
  /** Stop; nothing is written. */
  signal?: AbortSignal
  onProgress?: OnProgress
}

/** What was written. */
export interface DatasetSummary extends DatasetCounts {
  output: string
  /** Files with rows. */
  files: string[]
  /** The card; undefined where one that was there stays. */
  card?: string | undefined
  /** Lines and rows that were left out. */
  dropped: DropCount[]
  /** The same data set was there already. */
  alreadyDone: boolean
}

/** Name of the card on the Hub. */
const cardName = 'README.md'

/**
 * Writes a data set into a folder. Rows that are the same letter for letter count once, and rows that cannot be read are counted
 * and left out. The same inputs and options give the same bytes.
 * @throws {BtError} BT_USAGE for options; BT_DATA_FILE and the like for inputs, BT_DATA_EMPTY when no row is left;
 *   BT_INPUT_CHANGED when a file changes while it is read; BT_OUTPUT_EXISTS, BT_DISK_FULL; BT_INTERRUPTED
 */
export async function writeDataset(input: DatasetInput, control: DatasetControl = {}): Promise<DatasetSummary> {
  const options = resolveOptions(datasetSchema, input)
  const files = options.formats.map((format) => join(options.output, fileNames[format]))
  refuseOverlap(options, files)
  const { force, input: inputs, output, run, lineage, ...shaping } = options
  const made = { run: run && resolve(run), lineage: lineage && resolve(lineage) }
  const work: Work = { outputs: files, inputs: await stampInputs(inputs), shaping: { ...shaping, ...made } }
  const done = force ? undefined : await finishedReport<DatasetSummary>(work)
  if (done) return { ...done, alreadyDone: true }
  await mkdir(output, { recursive: true })
  const folder = await mkdtemp(join(output, '.work-'))
  try {
    const summary = await write(options, folder, control)
    await refuseChanged(work)
    await forgetFinished(work)
    for (const file of files) await rename(join(folder, basename(file)), file)
    await syncFolder(output)
    if (summary.card) await writeFileAtomic(summary.card, summary.cardText)
    const { cardText: _, ...report } = summary
    await writeFinished(work, report)
    return report
  } catch (error) {
    if (control.signal?.aborted && !(error instanceof BtError)) {
      throw new BtError('BT_INTERRUPTED', 'the data set was interrupted: nothing was written', { cause: error })
    }
    throw diskError(error, output)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function refuseOverlap({ input }: DatasetOptions, files: readonly string[]): void {
  const same = input.find((path) => files.some((file) => resolve(file) === resolve(path)))
  if (same) {
    throw new BtError('BT_USAGE', `${same} is an input and an output at once`, { remedy: 'Name another --output.' })
  }
  if (input.filter((path) => path === '-').length > 1) throw new BtError('BT_USAGE', 'stdin can be read once only')
}

/** What was read must be what lay there. */
async function refuseChanged({ inputs }: Work): Promise<void> {
  const now = await stampInputs(inputs.map(({ path }) => path))
  const other = inputs.find(({ bytes, modified }, at) => bytes !== now[at]!.bytes || modified !== now[at]!.modified)
  if (other) {
    throw inputChanged(other.path)
  }
}

async function write(options: DatasetOptions, folder: string, control: DatasetControl) {
  const drops = new Drops()
  const counter = new Counter(options.samples)
  const rows = await writeRows(options, folder, { drops, counter, control })
  if (rows === 0) throw nothingLeft(options.input.map(inputName).join(', '), drops.counts())
  const at = (name: string) => join(folder, name)
  if (options.formats.includes('alpaca')) await writeJsonFromJsonl(at('alpaca.rows'), at(fileNames.alpaca))
  if (options.formats.includes('parquet')) {
    await writeParquetFromJsonl(at(fileNames.messages), at(fileNames.parquet), parquetTypes)
  }
  const counts = counter.counts()
  const card = join(options.output, cardName)
  const keepsCard = !options.force && (await exists(card))
  return {
    ...counts,
    output: options.output,
    files: options.formats.map((format) => join(options.output, fileNames[format])),
    dropped: drops.counts(),
    alreadyDone: false,
    card: keepsCard ? undefined : card,
    cardText: renderCard({
      title: options.title ?? basename(resolve(options.output)),
      license: options.license,
      formats: options.formats,
      counts,
      numbers: counter.numbers,
      samples: counter.chosenSamples,
      making: await making(options, at(fileNames.messages), folder),
      version: packageVersion(),
    }),
  }
}

async function making(options: DatasetOptions, messages: string, folder: string) {
  const database = await openDatabase(folder)
  try {
    return await makingOf(options, database, messages, folder)
  } finally {
    await database.close()
  }
}

interface Counting {
  drops: Drops
  counter: Counter
  control: DatasetControl
}

/** The rows of all inputs as JSONL, a file a form. @returns how many */
async function writeRows(
  { input, formats }: DatasetOptions,
  folder: string,
  { drops, counter, control: { signal, onProgress } }: Counting,
): Promise<number> {
  // Messages are always written: Parquet is made from them, and the card asks for their ids.
  const wanted = [
    { name: fileNames.messages, row: messagesRow },
    ...(formats.includes('alpaca') ? [{ name: 'alpaca.rows', row: alpacaRow }] : []),
    ...(formats.includes('sharegpt') ? [{ name: fileNames.sharegpt, row: shareGptRow }] : []),
  ]
  const files = await Promise.all(wanted.map(({ name }) => open(join(folder, name), 'wx')))
  const writers = files.map((file) => new RowWriter(file))
  const duplicates = new ExactDuplicates()
  let rows = 0
  try {
    for (const path of input) {
      for await (const read of readRows(path, { drops, signal })) {
        signal?.throwIfAborted()
        const row = datasetRow(read)
        if (row === undefined) {
          drops.addMalformed(read.place, 'its text holds half of a surrogate pair, which UTF-8 cannot write')
          continue
        }
        if (row.exchanges.some(({ instruction, response }) => instruction === '' || response === '')) {
          drops.add('empty text', read.place)
          continue
        }
        const texts = createHash('sha256')
          .update(JSON.stringify(messagesOf(row)))
          .digest('base64')
          .slice(0, 22)
        if (duplicates.seenAt(texts, '') !== undefined) {
          drops.add('duplicate', read.place)
          continue
        }
        counter.add(row, texts)
        for (const [at, { row: formed }] of wanted.entries()) await writers[at]!.write(formed(row))
        if (++rows % 1000 === 0) onProgress?.({ label: 'writing', done: rows, unit: 'rows' })
      }
    }
    for (const writer of writers) await writer.end()
    for (const file of files) await file.sync()
  } finally {
    for (const file of files) await file.close()
  }
  return rows
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
