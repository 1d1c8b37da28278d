// The first half of the work: every document of the corpus taken apart into the work database, going on where an earlier
// call was stopped.
import { setImmediate } from 'node:timers/promises'
import { Drops } from '../data/drops.js'
import { BtError } from '../errors.js'
import type { OnProgress } from '../progress.js'
import { type CorpusFile, stampOf } from './corpus.js'
import { readDocuments } from './documents.js'
import type { SegmentOptions } from './options.js'
import { type Sieve, type Sifted, type SiftOptions, sift } from './sift.js'
import type { Batch, FileProgress, Store } from './store.js'
import type { DroppedRow } from './types.js'

/** Documents, and milliseconds, after which what was found is committed. */
const batchDocuments = 1000
const batchTime = 2000
/** Milliseconds of work after which signals get their turn. */
const turn = 50

export interface ReadContext {
  store: Store
  sieve: Sieve
  options: SegmentOptions
  sift: SiftOptions
  signal?: AbortSignal | undefined
  onProgress?: OnProgress | undefined
}

/**
 * Reads all files in their order, each from where it was left.
 * @returns whether all was read: false when `signal` ended it, with everything so far committed
 * @throws {BtError} BT_INPUT_CHANGED when a file changes while it is read; with `strict`, or where the corpus is one file,
 *   what reading it throws; BT_DATA_COLUMN
 */
export async function readCorpus(files: readonly CorpusFile[], context: ReadContext): Promise<boolean> {
  const commits = new Commits(context.store)
  try {
    return await readFiles(files, commits, context)
  } finally {
    await commits.end()
  }
}

async function readFiles(files: readonly CorpusFile[], commits: Commits, context: ReadContext): Promise<boolean> {
  const { store, options, signal } = context
  const progress = await store.takeUp(files)
  const meter = openMeter(files, context.onProgress)
  let documents = progress.reduce((sum, one) => sum + one.documents, 0)
  for (const [index, file] of files.entries()) {
    const before = progress[index]!
    if (options.limit !== undefined && documents >= options.limit && !before.complete) break
    if (before.complete) meter.skip(file)
    else {
      const most = options.limit === undefined ? undefined : before.documents + options.limit - documents
      const reader = new FileReader(file, before, most, { ...context, commits, alone: files.length === 1 })
      documents += (await reader.read(meter.onBytes)) - before.documents
    }
    if (signal?.aborted) return false
  }
  return true
}

/** Gathers what came of documents, over many small files too: a transaction each would take most of the time. */
class Commits {
  private batch: Batch = { segments: [], dropped: [], progress: [] }
  private documents = 0
  private at = performance.now()

  constructor(private readonly store: Store) {}

  async add({ segments, dropped }: Sifted, progress: FileProgress): Promise<void> {
    const file = progress.id
    for (const segment of segments) this.batch.segments.push({ segment, file })
    for (const row of dropped) this.batch.dropped.push({ row, file })
    if (this.batch.progress.at(-1)?.id === file) this.batch.progress.pop()
    this.batch.progress.push(progress)
    this.documents++
    if (this.documents >= batchDocuments || performance.now() - this.at > batchTime) await this.end()
  }

  /** Commits what was gathered. */
  async end(): Promise<void> {
    const { batch } = this
    this.batch = { segments: [], dropped: [], progress: [] }
    if (batch.progress.length > 0) await this.store.commit(batch)
    this.documents = 0
    this.at = performance.now()
  }
}

function openMeter(files: readonly CorpusFile[], onProgress: OnProgress | undefined) {
  const isPipe = files.some(({ bytes }) => bytes < 0)
  const total = isPipe ? undefined : files.reduce((sum, { bytes }) => sum + bytes, 0)
  let done = 0
  const onBytes = (bytes: number) => {
    done += bytes
    onProgress?.({ label: 'reading', done, unit: 'bytes', ...(total === undefined ? {} : { total }) })
  }
  return { onBytes, skip: ({ bytes }: CorpusFile) => onBytes(Math.max(0, bytes)) }
}

type FileContext = ReadContext & { commits: Commits; alone: boolean }

class FileReader {
  private readonly drops: LoggedDrops

  constructor(
    private readonly file: CorpusFile,
    /** How far it was read before. */
    private readonly before: FileProgress,
    /** Documents to stop after. */
    private readonly most: number | undefined,
    private readonly context: FileContext,
  ) {
    this.drops = new LoggedDrops(context.options.strict)
  }

  /** @returns documents that were read by now */
  async read(onBytes: (bytes: number) => void): Promise<number> {
    const { signal, commits } = this.context
    let documents = 0
    let complete = true
    let rested = performance.now()
    try {
      for await (const document of readDocuments(this.file.path, { ...this.readOptions(), onBytes })) {
        documents++
        const found = this.drops.take()
        if (documents <= this.before.documents) continue
        const { segments, dropped } = sift(document, this.context.sieve, this.context.sift)
        this.refuseMalformed(dropped)
        await commits.add({ segments, dropped: [...found, ...dropped] }, this.progress(documents, false))
        if (performance.now() - rested > turn) {
          await setImmediate()
          rested = performance.now()
        }
        if (signal?.aborted || documents === this.most) {
          complete = false
          break
        }
      }
    } catch (error) {
      if (signal?.aborted) complete = false
      else await this.fault(error)
    }
    documents = Math.max(documents, this.before.documents)
    if (complete) {
      await this.refuseChanged()
      await commits.add({ segments: [], dropped: this.drops.take() }, this.progress(documents, true))
    }
    return documents
  }

  private progress(documents: number, complete: boolean): FileProgress {
    return { id: this.before.id, documents, complete }
  }

  private readOptions() {
    const { options, signal } = this.context
    return { drops: this.drops, column: options.column, format: options.format, signal }
  }

  /** What is wrong with a file is counted like what is wrong with a line, unless it is the whole corpus. */
  private async fault(error: unknown): Promise<void> {
    await this.refuseChanged()
    const { options, alone } = this.context
    const isData = error instanceof BtError && /^BT_DATA_(?!COLUMN)/.test(error.code)
    if (!isData || options.strict || alone) throw error
    if (error.code === 'BT_DATA_EMPTY') this.drops.add('empty file', this.file.path)
    // Lines of a file without a readable one are counted already.
    else if (error.code !== 'BT_DATA_MALFORMED') this.drops.addMalformed(this.file.path, error.message)
  }

  private refuseMalformed(dropped: readonly DroppedRow[]): void {
    const first = this.context.options.strict && dropped.find(({ reason }) => reason === 'malformed')
    if (first) throw new BtError('BT_DATA_MALFORMED', `${first.place}: ${first.detail}`, { remedy: strictRemedy })
  }

  private async refuseChanged(): Promise<void> {
    if (this.file.bytes < 0) return
    const { path, bytes, modified } = this.file
    const now = await stampOf(path)
    if (now.bytes === bytes && now.modified === modified) return
    throw new BtError('BT_INPUT_CHANGED', `${path}: the file changed while it was read`, {
      remedy: 'Run the same command again when nobody writes to it: what was read of other files is kept.',
    })
  }
}

const strictRemedy = 'Mend it, or leave out --strict to count such documents and go on.'

/** Drops that are to be written down. */
class LoggedDrops extends Drops {
  private found: DroppedRow[] = []

  constructor(strict: boolean) {
    super({ strict })
  }

  override add(reason: string, place: string): void {
    super.add(reason, place)
    this.found.push({ reason, place, detail: null, heading: null, span: null, text: null })
  }

  override addMalformed(place: string, why: string): void {
    super.addMalformed(place, why)
    this.found.at(-1)!.detail = why
  }

  /** Those since the last call. */
  take(): DroppedRow[] {
    return this.found.splice(0)
  }
}
