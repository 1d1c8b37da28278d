// A training run from options to adapter: the order of things and their events. One step at a time is sitting.ts's,
// reading prepare.ts's, the disk checkpoint.ts's, state.ts's and record.ts's affair; the arithmetic is native.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Model } from '../../binding.js'
import { lockPath } from '../data/lock.js'
import { BtError } from '../errors.js'
import { type Machine, openMachine } from '../generate/machine.js'
import { openAhead } from '../native/ahead.js'
import { memoryLimit } from '../native/memory.js'
import type { OnProgress } from '../progress.js'
import { formatBytes } from '../units.js'
import { packageVersion } from '../version.js'
import { assess, validate } from './assess.js'
import { latestCheckpoint } from './checkpoint.js'
import type { TrainEvent, TrainSummary } from './events.js'
import { memoryNeed, runShape, sharesPrefix } from './memory.js'
import { openMetrics } from './metrics.js'
import { completeOptions, type TrainInput, type TrainOptions } from './options.js'
import { remedyOf } from './out-of-memory.js'
import { planRun } from './plan.js'
import { type Prepared, prepare } from './prepare.js'
import {
  checkIdentity,
  type RunIdentity,
  type RunRecord,
  readRecord,
  refuseForeign,
  removeRun,
  runLock,
  writeRecord,
} from './record.js'
import type { EncodedRows } from './row-cache.js'
import { openSampling } from './samples.js'
import { makeStep, type Sitting, saveCheckpoint, summarize, wantsCheckpoint } from './sitting.js'
import { writeSpeed } from './speeds.js'
import { readState, type SavedState, startStanding } from './state.js'
import { watched } from './watched.js'
import { stepWork } from './work.js'
import { workloadOf } from './workload.js'
import { writingSize } from './writing-size.js'

/** How to watch a run and end it. */
export interface TrainControl {
  /**
   * Finish the step under way, save a checkpoint, end with an 'interrupted' event. Before the first step there is
   * nothing to save: then train() throws the signal's reason.
   */
  signal?: AbortSignal
  /** Drop the step under way and leave with BT_ABORTED; the last checkpoint stays. */
  abort?: AbortSignal
  /** Downloads, reading and validation; steps are events. */
  onProgress?: OnProgress
}

/**
 * Trains a LoRA adapter and yields what happens. The same call on an unfinished output folder goes on from its last
 * checkpoint with the very steps that an uninterrupted run would have made; on a finished one it does nothing.
 * Returns the summary, or undefined when it was interrupted.
 * @throws {BtError} BT_USAGE for options; BT_RUN_CHANGED when the folder holds a run with other options;
 * BT_OUTPUT_EXISTS when it holds something else; BT_LOCKED when another process trains into it; BT_DIVERGED; what
 * reading the model and the data throws; native errors
 */
export async function* train(
  input: TrainInput,
  control: TrainControl = {},
): AsyncGenerator<TrainEvent, TrainSummary | undefined> {
  const options = completeOptions(input)
  openAhead({ device: options.device })
  const prepared = await prepare(options, control)
  await mkdir(options.output, { recursive: true })
  const lock = await lockPath(join(options.output, runLock), options.output)
  try {
    const record = await startingPoint(options, prepared)
    if (record?.training.state === 'finished') {
      const { state: _, ...rest } = record.training
      const summary = { ...rest, output: options.output } // the folder may have been moved since
      yield { type: 'already-finished', ...summary }
      return summary
    }
    return yield* watched(onMachine(options, prepared, record, control), options)
  } finally {
    await lock.release()
  }
}

/** The record of the run in the output folder that this call belongs to, or undefined for a fresh start. */
async function startingPoint(options: TrainOptions, { identity }: Prepared): Promise<RunRecord | undefined> {
  if (options.force) return undefined
  const record = await readRecord(options.output)
  if (record) checkIdentity(options.output, record, identity)
  else await refuseForeign(options.output)
  return record
}

/** Everything that needs libtorch. */
async function* onMachine(
  options: TrainOptions,
  prepared: Prepared,
  old: RunRecord | undefined,
  control: TrainControl,
): AsyncGenerator<TrainEvent, TrainSummary | undefined> {
  const failed = new AbortController()
  const signal = AbortSignal.any([failed.signal, ...(control.signal ? [control.signal] : [])])
  const encoding = prepared.encode({ ...control, signal })
  encoding.catch(() => undefined) // awaited in sit(), unless something fails first
  let machine: Machine | undefined
  const leave = () => machine?.runtime.abort()
  try {
    machine = await openMachine(options)
    control.abort?.addEventListener('abort', leave)
    const { device, precision, threads, detail } = machine
    yield { type: 'machine', device, precision, threads, detail }
    if (machine.warning) yield { type: 'warning', message: machine.warning }
    if (old) checkPrecision(options.output, old, machine)
    return yield* sit(options, { ...prepared, encoding }, old, machine, control)
  } finally {
    control.abort?.removeEventListener('abort', leave)
    failed.abort()
    await encoding.catch(() => undefined)
    await machine?.runtime.close()
  }
}

function checkPrecision(folder: string, old: RunRecord, { precision }: Machine): void {
  if (old.precision === precision) return
  throw new BtError('BT_RUN_CHANGED', `${folder} holds a run with precision ${old.precision}, not ${precision}`, {
    remedy: `Give --precision ${old.precision} to go on with it, another --output for a new run, or --force to start over.`,
  })
}

/** Loads, announces, and works through the steps that are left. */
async function* sit(
  options: TrainOptions,
  prepared: Prepared & { encoding: Promise<EncodedRows> },
  old: RunRecord | undefined,
  machine: Machine,
  control: TrainControl,
): AsyncGenerator<TrainEvent, TrainSummary | undefined> {
  const startedAt = performance.now()
  const { source, template, identity, writingTools } = prepared
  const { name, config, files, tensors, parameters } = source
  const model = await machine.runtime.loadModel({ config, files, tensors, dtype: machine.dtype })
  const loadSeconds = (performance.now() - startedAt) / 1000
  yield { type: 'model', name, layers: config.layers, parameters, dtype: machine.dtype, seconds: loadSeconds }

  const encoded = await prepared.encoding
  const seconds = (performance.now() - startedAt) / 1000 - loadSeconds
  yield { type: 'data', file: options.data, seconds, ...encoded.counts }
  yield { type: 'template', ...template }

  const checkpoint = old && (await latestCheckpoint(options.output))
  const saved = checkpoint && (await readState(checkpoint.folder))
  const { lora, trainer } = await openTrainer(options, model, machine, saved)
  const trainable = (await lora.tensors()).reduce((sum, { data }) => sum + data.length, 0)
  const { r, alpha, targets } = options
  yield { type: 'lora', r, alpha, targets, trainable, share: trainable / parameters }

  // Only now, when everything that can be wrong with the new run is known, does an old one make way.
  if (options.force) await removeRun(options.output)
  const standing = saved?.standing ?? { ...startStanding }
  const lastStep = saved ? standing.step : -1
  const shape = runShape(options, source, machine)
  const workload = workloadOf(encoded, options, sharesPrefix(shape))
  const writing = writingSize(options, encoded.validation, config)
  const samplesOf = { options, template, maxPositions: config.maxPositions, writingTools }
  const sitting: Sitting = {
    options,
    plan: planRun(encoded.train, options),
    record: recordOf(identity, machine, encoded, standing.selectedStep),
    rows: encoded.train,
    validation: encoded.validation,
    samples: await openSampling({ ...samplesOf, model, lora, rows: encoded.validation, lastStep }),
    need: options.engine === 'reference' ? undefined : memoryNeed(shape, workload, { writing, fresh: prepared.fresh }),
    runtime: machine.runtime,
    model,
    maxPositions: config.maxPositions,
    writingTools,
    trainer,
    lora,
    metrics: await openMetrics(join(options.output, 'metrics.jsonl'), lastStep),
    standing,
    startedAt,
    savedAt: performance.now(),
    before: { ...standing },
    skippedInARow: 0,
    onProgress: control.onProgress,
  }
  try {
    yield planEvent(sitting, encoded)
    yield* memoryWarning(sitting, machine)
    if (checkpoint)
      yield { type: 'resumed', step: standing.step, steps: sitting.plan.steps, checkpoint: checkpoint.folder }
    await writeRecord(options.output, sitting.record)
    const summary = yield* work(sitting, control)
    await keepSpeed(sitting, machine, stepWork(shape, workload) / workload.tokensPerStep)
    return summary
  } finally {
    await sitting.metrics.close()
  }
}

/** The steps that are left, with validation and saving between them. */
async function* work(sitting: Sitting, control: TrainControl): AsyncGenerator<TrainEvent, TrainSummary | undefined> {
  const { options, plan, standing } = sitting
  if (standing.step === 0 && standing.baseLoss === undefined) {
    const base = await validate(sitting, control.signal)
    if (base) yield base
    yield* takeSamples(sitting, control.signal)
  }
  while (standing.step < plan.steps && !standing.stoppedEarly) {
    // runtime.abort() ends the call under way; between two calls there was none.
    if (control.abort?.aborted) throw new BtError('BT_ABORTED', `stopped after step ${standing.step}`)
    if (control.signal?.aborted) {
      if (standing.step === 0) throw control.signal.reason // there is nothing to save
      const { step, folder } = await saveCheckpoint(sitting)
      yield { type: 'interrupted', step, steps: plan.steps, checkpoint: folder }
      return undefined
    }
    const { event, endsEpoch, warning } = await makeStep(sitting, standing.step + 1)
    yield event
    if (warning) yield warning
    const validates = endsEpoch || (options.validateEvery > 0 && event.step % options.validateEvery === 0)
    if (validates) yield* assess(sitting)
    if (endsEpoch || standing.stoppedEarly) yield* takeSamples(sitting)
    if (validates || wantsCheckpoint(sitting)) yield { type: 'checkpoint', ...(await saveCheckpoint(sitting)) }
  }
  const summary = summarize(sitting)
  await writeRecord(options.output, { ...sitting.record, training: { state: 'finished', ...summary } })
  yield { type: 'finished', ...summary }
  return summary
}

async function* takeSamples(
  { samples, standing, onProgress }: Sitting,
  signal?: AbortSignal,
): AsyncGenerator<TrainEvent, void> {
  if (samples) yield await samples.take(standing, { onProgress, signal })
}

/** The system ends a process that takes more than there is: better said before. */
function* memoryWarning({ need, options }: Sitting, { device }: Machine): Generator<TrainEvent, void> {
  const limit = memoryLimit()
  if (need === undefined || device !== 'cpu' || need.total <= limit.bytes) return
  const much = `this run needs about ${formatBytes(need.total)} of memory; the ${limit.from} has ${formatBytes(limit.bytes)}`
  yield { type: 'warning', message: `${much}. ${remedyOf(options)}` }
}

/** @param operations floating-point operations that a token takes */
async function keepSpeed({ standing, before, options, record }: Sitting, machine: Machine, operations: number) {
  const steps = standing.step - before.step
  const seconds = (standing.stepMilliseconds - before.stepMilliseconds) / 1000
  const tokensPerSecond = (standing.tokens - before.tokens) / seconds
  const { device, precision, threads } = machine
  const engine = options.engine === 'reference' ? 'reference' : 'fused'
  const key = { model: record.model.hash, device, precision, threads, engine }
  await writeSpeed(key, { steps, tokensPerSecond, operationsPerSecond: operations * tokensPerSecond })
}

function planEvent({ plan, options, need }: Sitting, { counts }: EncodedRows): TrainEvent {
  const { steps, stepsPerEpoch, epochs } = plan
  return {
    type: 'plan',
    steps,
    stepsPerEpoch,
    epochs,
    rowsPerStep: options.tokensPerStep ? counts.train / stepsPerEpoch : options.batchSize * options.gradAccumSteps,
    tokensPerStep: counts.tokens / stepsPerEpoch,
    memory: need?.total,
  }
}

function recordOf(identity: RunIdentity, machine: Machine, encoded: EncodedRows, selectedStep: number): RunRecord {
  return {
    format: 1,
    version: packageVersion(),
    ...identity,
    precision: machine.precision,
    rows: encoded.counts,
    training: { state: 'running', selectedStep },
  }
}

/** The adapter and its optimizer: fresh, or as the checkpoint left them. */
async function openTrainer(options: TrainOptions, model: Model, machine: Machine, saved: SavedState | undefined) {
  const { r, alpha, rsLora, targets, dropout, seed } = options
  const lora = await model.attachLora({ r, alpha, rsLora, targets, dropout, seed, tensors: saved?.tensors })
  const { beta1, beta2, eps, weightDecay, maxGradNorm, engine, recompute } = options
  const graphs = process.env.BT_NATIVE_CUDA_GRAPHS === '0' ? 'off' : 'auto'
  const optimizer = { beta1, beta2, eps, weightDecay, maxGradNorm, seed }
  const trainer = await model.createTrainer(lora, {
    ...optimizer,
    precision: machine.precision,
    engine,
    graphs,
    recompute,
  })
  if (saved) await trainer.restore(saved.state)
  return { lora, trainer }
}
