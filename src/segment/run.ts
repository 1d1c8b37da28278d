// Corpus preparation from options to segments: which files, taken apart, freed of repetitions, written; and the order of
// all that on disk.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { checkFile } from '../data/bytes.js'
import {
  finishedReport,
  forgetFinished,
  outputExists,
  type Shaping,
  shapingChanges,
  type Work,
  writeFinished,
} from '../data/finished.js'
import { languageDetector } from '../data/language.js'
import { nothingLeft } from '../data/load.js'
import { type Lock, lockPath } from '../data/lock.js'
import { BtError } from '../errors.js'
import { resolveOptions } from '../fields.js'
import { sha256File } from '../files.js'
import type { OnProgress } from '../progress.js'
import { packageVersion } from '../version.js'
import { type Corpus, findCorpus } from './corpus.js'
import { findDuplicates } from './duplicates.js'
import { type SegmentInput, type SegmentOptions, segmentFields, segmentSchema } from './options.js'
import {
  exists,
  firstThere,
  keepRest,
  keptSegments,
  type OutputPlan,
  planOutputs,
  removeOtherParts,
  writeOutputs,
} from './outputs.js'
import { openOverlap } from './overlap.js'
import { openMasker, type PiiKind, piiKinds } from './pii.js'
import { readCorpus } from './read.js'
import type { Sieve } from './sift.js'
import { Store } from './store.js'
import { countAll } from './summary.js'
import type { Segment, SegmentSummary } from './types.js'

/** What is known before the first document. */
export interface SegmentStart {
  files: number
  /** Bytes of all files; undefined with a pipe among them. */
  bytes?: number | undefined
  passedOver: number
  /** Documents that an earlier call took apart. */
  documentsDone: number
  /** Runs of words of the evaluation sets that are looked for. */
  overlapRuns?: number | undefined
}

/** How to watch a run and end it. */
export interface SegmentControl {
  /** Stop, with what was read so far kept for the next call. */
  signal?: AbortSignal
  onProgress?: OnProgress
  /** Once, when files and settings are known. */
  onStart?: (start: SegmentStart) => void
}

/** A corpus that was prepared: its counts and, until it is closed, its segments. */
export interface PreparedCorpus {
  summary: SegmentSummary
  /** Kept segments in corpus order; none where the work was interrupted, or had been done before. */
  segments(): AsyncIterable<Segment>
  /** Removes the work folder, unless there is work to go on with. */
  close(): Promise<void>
}

/**
 * Prepares a corpus and yields its segments in corpus order. With `output` they are in the files before the first is
 * yielded, and a call that was interrupted or killed goes on where it was; where the same call has made the output
 * before, nothing is yielded. The same files and options give the same rows.
 * @throws {BtError} BT_USAGE for options; BT_DATA_FILE, BT_DATA_COLUMN and the like for inputs; BT_DATA_EMPTY when no
 *   segment is left; BT_INPUT_CHANGED when a file changes while it is read; BT_OUTPUT_EXISTS, BT_OUTPUT_CHANGED,
 *   BT_LOCKED, BT_DISK_FULL for outputs
 */
export async function* segmentCorpus(
  input: SegmentInput,
  control: SegmentControl = {},
): AsyncGenerator<Segment, SegmentSummary> {
  const prepared = await prepareCorpus(input, control)
  try {
    for await (const segment of prepared.segments()) {
      control.signal?.throwIfAborted()
      yield segment
    }
    return prepared.summary
  } finally {
    await prepared.close()
  }
}

/** As segmentCorpus, for those who want the outputs alone. */
export async function prepareCorpus(input: SegmentInput, control: SegmentControl = {}): Promise<PreparedCorpus> {
  const started = performance.now()
  const options = checked(resolveOptions(segmentSchema, input))
  const plan = options.output ? planOutputs(options.output, options.partitions, options.dropped) : undefined
  const corpus = await findCorpus(options.input, plan ? [...workOutputs(plan), plan.work] : [])
  const work = plan && { outputs: workOutputs(plan), inputs: stampsOf(corpus), shaping: await shapingOf(options) }
  const done = plan && work && (await doneBefore(plan, work, options))
  if (done) {
    // A kill after the last name was given may leave the work folder.
    if (await exists(plan.work)) await (await reserve(plan)).end(false)
    return finished({ ...done, seconds: 0, alreadyDone: true })
  }
  const sieve = await openSieve(options)
  const place = await reserve(plan)
  try {
    if (options.force) await Store.remove(place.folder)
    const store = await Store.open(place.folder, options.memory)
    place.store = store
    if (plan && work) await refuseOther(store, plan, work, options)
    const summary = await prepare({ options, corpus, plan, work, store, sieve, control })
    summary.seconds = (performance.now() - started) / 1000
    if (summary.interrupted) {
      await place.end(plan !== undefined)
      return finished(summary)
    }
    return { summary, segments: () => keptSegments(store), close: () => place.end(false) }
  } catch (error) {
    await place.end(plan !== undefined && !(error instanceof BtError && error.code === 'BT_DATA_EMPTY'))
    throw error
  }
}

function finished(summary: SegmentSummary): PreparedCorpus {
  const none = async function* (): AsyncGenerator<Segment> {}
  return { summary, segments: none, close: async () => {} }
}

interface Job {
  options: SegmentOptions
  corpus: Corpus
  plan: OutputPlan | undefined
  work: Work | undefined
  store: Store
  sieve: Sieve
  control: SegmentControl
}

async function prepare(job: Job): Promise<SegmentSummary> {
  const { options, corpus, store, sieve, control } = job
  const documentsDone = await store.number('SELECT coalesce(sum(documents), 0) FROM files')
  control.onStart?.({ ...sizeOf(corpus), documentsDone, overlapRuns: sieve.overlap?.size })
  const near = options.nearDuplicates === 'off' ? undefined : options.nearDuplicates
  const sift = { ...options, signatures: near !== undefined }
  const { signal, onProgress } = control
  const whole = await readCorpus(corpus.files, { store, sieve, options, sift, signal, onProgress })
  if (!whole) return interrupted(job)
  const stop = () => store.connection.interrupt()
  signal?.addEventListener('abort', stop)
  try {
    await findDuplicates(store, near, (done, total) => {
      onProgress?.({ label: 'comparing', done, total, unit: 'steps' })
      signal?.throwIfAborted()
    })
    const kept = await keepRest(store)
    const summary = { ...emptySummary(job), ...(await countAll(store)) }
    if (kept === 0) throw nothingLeft(options.input.join(', '), summary.dropped)
    if (job.plan && job.work) await writeAll(job.plan, job.work, summary, job)
    return summary
  } catch (error) {
    if (signal?.aborted) return interrupted(job)
    throw error
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

async function writeAll(plan: OutputPlan, work: Work, summary: SegmentSummary, { store, control }: Job): Promise<void> {
  const { signal, onProgress } = control
  for (const path of work.outputs) await mkdir(dirname(path), { recursive: true })
  const beforeReplacing = async () => {
    signal?.throwIfAborted()
    if (!(await store.remembered<boolean>('replaces'))) {
      const there = await firstThere(plan)
      if (there !== undefined) throw outputExists(there)
      await store.remember('replaces', true) // a kill between two names leaves files that are ours
    }
    await forgetFinished(work)
    await removeOtherParts(plan)
  }
  await writeOutputs(store, plan, summary.kept, beforeReplacing, (done) => {
    signal?.throwIfAborted()
    onProgress?.({ label: 'writing', done, total: summary.kept, unit: 'rows' })
  })
  await writeFinished(work, summary)
}

async function interrupted(job: Job): Promise<SegmentSummary> {
  const documents = await job.store.number('SELECT coalesce(sum(documents), 0) FROM files')
  return { ...emptySummary(job), documents, interrupted: true }
}

function emptySummary({ corpus, plan }: Job): SegmentSummary {
  return {
    files: corpus.files.length,
    passedOver: corpus.passedOver,
    documents: 0,
    kept: 0,
    droppedTotal: 0,
    dropped: [],
    malformed: [],
    languages: [],
    characters: { mean: 0, median: 0, p95: 0, max: 0 },
    masked: {},
    outputs: plan?.files ?? [],
    droppedOutput: plan?.dropped,
    seconds: 0,
    interrupted: false,
    alreadyDone: false,
  }
}

function sizeOf({ files, passedOver }: Corpus) {
  const isPipe = files.some(({ bytes }) => bytes < 0)
  return {
    files: files.length,
    bytes: isPipe ? undefined : files.reduce((sum, { bytes }) => sum + bytes, 0),
    passedOver,
  }
}

function checked(options: SegmentOptions): SegmentOptions {
  const { minCharacters, maxCharacters, output, input } = options
  if (minCharacters * 2 > maxCharacters) {
    throw new BtError('BT_USAGE', `a longest segment of ${maxCharacters} characters is under twice the shortest`, {
      remedy: `A text is cut into pieces between both: give at least --max-characters ${minCharacters * 2}.`,
    })
  }
  if (output === undefined && (options.partitions !== undefined || options.dropped !== undefined)) {
    throw new BtError('BT_USAGE', 'partitions and a list of what was left out need an output beside them')
  }
  for (const path of [output, options.dropped]) {
    if (path !== undefined && input.includes(path)) {
      throw new BtError('BT_USAGE', `${path} is an input and an output at once`, { remedy: 'Name another --output.' })
    }
  }
  return options
}

async function openSieve(options: SegmentOptions): Promise<Sieve> {
  const detector = await languageDetector()
  const unknown = options.lang?.find((code) => !detector.known.includes(code))
  if (unknown !== undefined) {
    throw new BtError('BT_USAGE', `the language "${unknown}" cannot be told from the text`, {
      remedy: `Detected are ${detector.known.join(' ')}.`,
    })
  }
  const kinds = new Set<PiiKind>(options.maskPii?.flatMap((kind) => (kind === 'all' ? piiKinds : [kind])))
  return {
    detector,
    overlap: options.against && (await openOverlap(options.against, options.overlapWords)),
    mask: kinds.size > 0 ? await openMasker(kinds, options.phoneCountry) : undefined,
  }
}

/** Options that the rows are a function of; evaluation sets by their content. */
async function shapingOf(options: SegmentOptions): Promise<Shaping> {
  const names = Object.entries(segmentFields).filter(([, { meta }]) => 'shapesResult' in meta && meta.shapesResult)
  const shaping: Shaping = Object.fromEntries(names.map(([name]) => [name, options[name as keyof SegmentOptions]]))
  if (!options.maskPii?.some((kind) => kind === 'all' || kind === 'phone')) delete shaping.phoneCountry
  if (!options.against) delete shaping.overlapWords
  else {
    for (const path of options.against) await checkFile(path)
    const hashes = options.against.map(async (path) => `${path} ${(await sha256File(path)).slice(0, 16)}`)
    shaping.against = await Promise.all(hashes)
  }
  return shaping
}

function stampsOf({ files }: Corpus): Work['inputs'] {
  return files.map(({ path, bytes, modified }) => ({ path, bytes, modified }))
}

function workOutputs({ files, dropped }: OutputPlan): string[] {
  return dropped ? [...files, dropped] : files
}

/** The summary of an earlier call that made the very same. */
async function doneBefore(
  plan: OutputPlan,
  work: Work,
  { force }: SegmentOptions,
): Promise<SegmentSummary | undefined> {
  if (force) return undefined
  try {
    return await finishedReport<SegmentSummary>(work)
  } catch (error) {
    // Where work is under way, the outputs may be its own: it is asked when they are to be replaced.
    if (await exists(plan.work)) return undefined
    throw error
  }
}

/** @throws {BtError} BT_OUTPUT_CHANGED when the work under way was begun with other options, BT_OUTPUT_EXISTS */
async function refuseOther(store: Store, plan: OutputPlan, work: Work, { force }: SegmentOptions): Promise<void> {
  const now: Shaping = { version: packageVersion(), ...work.shaping }
  const before = await store.remembered<Shaping>('shaping')
  if (before === undefined) {
    await store.remember('shaping', now)
    await store.remember('replaces', force)
    return
  }
  const changes = shapingChanges(before, now)
  if (changes.length === 0) return
  throw new BtError('BT_OUTPUT_CHANGED', `the work in ${plan.work} was begun with ${changes.join('; ')}`, {
    remedy: 'Give the old values to go on with it, another --output for new rows, or --force to start over.',
  })
}

/** Where the work database lies, for this process alone. */
class WorkPlace {
  store: Store | undefined

  constructor(
    readonly folder: string,
    private readonly lock: Lock | undefined,
  ) {}

  /** @param keep whether there is something to go on with */
  async end(keep: boolean): Promise<void> {
    try {
      this.store?.close()
      this.store = undefined
      if (!keep) await rm(this.folder, { recursive: true, force: true })
    } finally {
      await this.lock?.release()
    }
  }
}

async function reserve(plan: OutputPlan | undefined): Promise<WorkPlace> {
  if (!plan) return new WorkPlace(await mkdtemp(join(tmpdir(), 'bt-native-segment-')), undefined)
  await mkdir(plan.work, { recursive: true })
  return new WorkPlace(plan.work, await lockPath(join(plan.work, 'lock'), plan.folder ?? plan.files[0]!))
}
