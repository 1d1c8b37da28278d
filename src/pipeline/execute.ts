// Stages one after the other: which of them have to run, what is kept of each, and what a kill leaves. Knows nothing of what
// they do; a stage that was interrupted goes on where it was, because its command does.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BtError, messageOf } from '../errors.js'
import type { Progress } from '../progress.js'
import { changesOf, type FileHashes, filesOf, keyOf, outputsStand, type StageKey, stampOutputs } from './keys.js'
import type { Stage, StageKind, StageResult } from './stage.js'
import { type RunState, type StageRecord, writeState } from './state.js'

/** A run before any of its stages. */
export interface Run {
  folder: string
  /** Each after those that make what it reads. */
  stages: Stage[]
  state: RunState
  /** Hash of the base model. */
  model: string
  hashes: FileHashes
}

/** How to end a run. */
export interface ExecuteControl {
  /** Finish what is under way, save, end. */
  signal?: AbortSignal
  /** Drop what is under way; what is saved stays. */
  abort?: AbortSignal
}

export interface ExecuteOptions {
  /** Stop after this stage. */
  until?: string | undefined
  /** Run these stages whatever has changed. */
  again?: readonly string[] | undefined
  /** Told when a stage has ended, however it did, with the state written. */
  onStageEnd?: (() => Promise<void>) | undefined
}

/** Whether a stage has to run, and why. */
export interface PlannedStage {
  name: string
  title: string
  kind: StageKind
  /** Stages whose files it reads. */
  after: string[]
  /** done: nothing it depends on has changed; new; changed; unfinished; waits: what it reads is not there yet. */
  status: 'done' | 'new' | 'changed' | 'unfinished' | 'waits'
  /** What has changed. */
  why: string[]
  rowsIn?: number | undefined
  rowsOut?: number | undefined
  /** Seconds that it took, all sittings. */
  seconds?: number | undefined
}

/** What a stage tells as it goes. */
export type StageEvent =
  | { type: 'stage-started'; name: string; title: string; resumed: boolean; why: string[] }
  | { type: 'progress'; name: string; progress: Progress }
  | { type: 'warning'; name: string; message: string }
  | ({ type: 'stage-finished'; name: string; seconds: number } & StageResult)
  | { type: 'interrupted'; name: string }

/**
 * Runs the stages that have to run, in their order, and yields what happens.
 * @returns the names of those that ran, and whether all did
 * @throws {BtError} what a stage throws, with its name before the message
 */
export async function* execute(
  run: Run,
  options: ExecuteOptions,
  control: ExecuteControl,
): AsyncGenerator<StageEvent, { ran: string[]; interrupted: boolean }> {
  const ran: string[] = []
  for (const stage of upTo(run.stages, options.until)) {
    const { key, status, why } = await lookAt(stage, run)
    const again = options.again?.includes(stage.name) === true
    if (status === 'done' && !again) continue
    if (isStopped(control)) return { ran, interrupted: true }
    const resumed = status === 'unfinished'
    const record = await begin(stage, key, run, resumed)
    const reason = why.length === 0 && again && status === 'done' ? ['asked for'] : why
    yield { type: 'stage-started', name: stage.name, title: stage.title, resumed, why: reason }
    const result = yield* runStage(stage, record, run, { ...options, ...control })
    if (result.interrupted) {
      yield { type: 'interrupted', name: stage.name }
      return { ran, interrupted: true }
    }
    ran.push(stage.name)
    yield { type: 'stage-finished', name: stage.name, seconds: record.seconds, ...result }
  }
  return { ran, interrupted: false }
}

/** The stages up to the one of this name. */
export function upTo(stages: Stage[], until: string | undefined): Stage[] {
  return until === undefined ? stages : stages.slice(0, stages.findIndex(({ name }) => name === until) + 1)
}

/** How each stage stands, as far as that can be told before the first has run. */
export async function standings(run: Run, again: readonly string[] = []): Promise<PlannedStage[]> {
  const planned: PlannedStage[] = []
  const standing: StageRecord[] = []
  for (const stage of run.stages) {
    const record = recordOf(run.state, stage.name)
    const key = await keyOf(stage, filesOf(standing), run)
    const found = await standingOf(record, key, run.folder)
    const status = found.status === 'done' && again.includes(stage.name) ? 'changed' : found.status
    if (status === 'done') standing.push(record!)
    const { name, title, kind } = stage
    const { rowsIn, rowsOut, seconds } = record ?? {}
    planned.push({
      ...{ name, title, kind, after: producersOf(stage, run.stages), status, why: found.why },
      rowsIn,
      rowsOut,
      seconds,
    })
  }
  return planned
}

/** Names of the stages that make what `stage` reads. */
export function producersOf(stage: Stage, stages: readonly Stage[]): string[] {
  return stages.filter(({ outputs }) => outputs.some((path) => stage.reads.includes(path))).map(({ name }) => name)
}

function isStopped({ signal, abort }: ExecuteControl): boolean {
  return signal?.aborted === true || abort?.aborted === true
}

async function standingOf(
  record: StageRecord | undefined,
  key: StageKey | undefined,
  folder: string,
): Promise<{ status: PlannedStage['status']; why: string[] }> {
  if (!key) return { status: 'waits', why: [] }
  if (!record) return { status: 'new', why: [] }
  if (record.key !== key.key) return { status: 'changed', why: changesOf(record.inputs, key.inputs, folder) }
  if (record.status === 'stale') return { status: 'changed', why: ['its files were being removed'] }
  if (record.status !== 'done') return { status: 'unfinished', why: [] }
  if (await outputsStand(record, (path) => join(folder, path))) return { status: 'done', why: [] }
  return { status: 'changed', why: ['its files were changed or removed'] }
}

function recordOf({ stages }: RunState, name: string): StageRecord | undefined {
  return stages.find((record) => record.name === name)
}

/** How a stage stands now that those before it are done. */
async function lookAt(stage: Stage, run: Run) {
  const key = await keyOf(stage, filesOf(run.state.stages), run)
  if (!key) throw new Error(`stage ${stage.name} stands before what it reads`)
  return { key, ...(await standingOf(recordOf(run.state, stage.name), key, run.folder)) }
}

/**
 * Notes that a stage runs. What was made from something else is cleared away first; files that no run made stay, and are the
 * command's to judge.
 */
async function begin(
  stage: Stage,
  key: StageKey,
  { state, folder, stages, hashes }: Run,
  resumed: boolean,
): Promise<StageRecord> {
  const old = recordOf(state, stage.name)
  if (old && !resumed) {
    // Marked first: a kill in the midst of the removal must not leave half of it as done.
    old.status = 'stale'
    await writeState(folder, state)
    await rm(join(folder, stage.folder), { recursive: true, force: true })
  }
  const record: StageRecord = {
    name: stage.name,
    ...key,
    status: 'running',
    started: resumed ? old!.started : new Date().toISOString(),
    seconds: resumed ? old!.seconds : 0,
    outputs: [],
  }
  const others = state.stages.filter(({ name }) => name !== stage.name)
  // In the recipe's order; records of stages that it no longer has go.
  state.stages = stages.flatMap(({ name }) => [...others, record].filter((one) => one.name === name))
  state.files = hashes.stamps()
  await mkdir(join(folder, stage.folder), { recursive: true })
  await writeState(folder, state)
  return record
}

async function* runStage(
  stage: Stage,
  record: StageRecord,
  { folder, state }: Run,
  { onStageEnd, ...control }: ExecuteOptions & ExecuteControl,
): AsyncGenerator<StageEvent, StageResult> {
  const at = (path: string) => join(folder, path)
  const before = record.seconds
  const begun = performance.now()
  const told = new Told()
  const { name } = stage
  const work = stage.run({
    at,
    ...(control.signal ? { signal: control.signal } : {}),
    ...(control.abort ? { abort: control.abort } : {}),
    onProgress: (progress) => told.put({ type: 'progress', name, progress }),
    onWarning: (message) => told.put({ type: 'warning', name, message }),
  })
  work.then(told.end, told.end)
  yield* told.events()
  record.seconds = before + (performance.now() - begun) / 1000
  try {
    const result = await work
    if (!result.interrupted)
      Object.assign(record, { ...result, status: 'done', outputs: await stampOutputs(stage, at) })
    return result
  } catch (error) {
    if (!isStopped(control)) {
      Object.assign(record, { status: 'failed', error: messageOf(error) })
      throw named(error, stage)
    }
    if (control.abort?.aborted) throw error
    return { summary: {}, interrupted: true }
  } finally {
    await writeState(folder, state)
    await onStageEnd?.()
  }
}

/** What a stage tells while it works, for whoever takes it at their own pace. */
class Told {
  private readonly waiting: StageEvent[] = []
  private ended = false
  private wake = () => {}

  put(event: StageEvent): void {
    // Of progress that nobody has taken yet the last word is enough.
    if (event.type === 'progress' && this.waiting.at(-1)?.type === 'progress') this.waiting.pop()
    this.waiting.push(event)
    this.wake()
  }

  end = (): void => {
    this.ended = true
    this.wake()
  }

  async *events(): AsyncGenerator<StageEvent> {
    for (;;) {
      const event = this.waiting.shift()
      if (event) yield event
      else if (this.ended) return
      else {
        await new Promise<void>((done) => {
          this.wake = done
        })
      }
    }
  }
}

/** The stage's error with its name before it. */
function named(error: unknown, { name }: Stage): unknown {
  if (!(error instanceof BtError)) return error
  return new BtError(error.code, `${name}: ${error.message}`, {
    cause: error,
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
  })
}
