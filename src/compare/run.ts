// The comparison of forward models from options to a report: each model scores the pairs and writes its own responses, a
// judge may choose between them, and everything that was found is put side by side. Goes on where it was.
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Drops } from '../data/drops.js'
import { type Lock, lockPath } from '../data/lock.js'
import { readRecords } from '../data/records.js'
import { BtError, hasCode } from '../errors.js'
import { flagOf, resolveOptions } from '../fields.js'
import { sha256, writeFileAtomic } from '../files.js'
import { type GenerateStart, generate } from '../generate/run.js'
import { score } from '../generate/score.js'
import { derangement } from '../metrics/controls.js'
import type { System } from '../metrics/match.js'
import { againstEach } from '../metrics/paired.js'
import { readEvaluation } from '../metrics/predictions.js'
import { evaluateSystems } from '../metrics/systems.js'
import type { SystemsEvaluation } from '../metrics/types.js'
import { plainName } from '../paths.js'
import type { OnProgress } from '../progress.js'
import { packageVersion } from '../version.js'
import { ChatEndpoint } from './endpoint.js'
import { judge, type Match } from './judge.js'
import { compareLikelihoods, type ModelScores, type RowLikelihood } from './likelihood.js'
import { type Contestant, findContestants } from './models.js'
import { type CompareInput, type CompareOptions, compareSchema, conflictOf } from './options.js'
import { type HeldOut, pairFiles, readHeldOut, writePairs } from './pairs.js'
import { markdownComparison } from './tables.js'
import type { CompareSummary, Comparison } from './types.js'

/** What is known before the first model is loaded. */
export interface CompareStart {
  output: string
  rows: number
  models: { name: string; model: string; adapter?: string; control: boolean }[]
  baselines: string[]
  judge?: { endpoint: string; model: string }
}

/** How to watch a comparison and end it. */
export interface CompareControl {
  /** Stop after the rows or questions under way; what was made stays. */
  signal?: AbortSignal
  /** Stop at once with BT_ABORTED; what was made stays. */
  abort?: AbortSignal
  onProgress?: OnProgress
  /** Once, when models and pairs are known. */
  onStart?: (start: CompareStart) => void
  /** A model is loaded. */
  onModel?: (name: string, start: Pick<GenerateStart, 'device' | 'precision' | 'threads' | 'detail'>) => void
  /** Once each. */
  onWarning?: (text: string) => void
  /** Holds BT_JUDGE_KEY. Default: the process's. */
  env?: NodeJS.ProcessEnv
}

/** A line of text for every row: the constant control of the written responses. */
const constantResponse =
  'That depends on what you need. There are several ways to do this, and the best one is the one that fits your case.'

/**
 * Compares forward models on held-out pairs: log-likelihood, what they write, and the preference of a judge, if one is
 * named. The base model and the responses of other rows stand beside them as controls. Files go to the output folder.
 * @throws {BtError} BT_USAGE for options; BT_OUTPUT_CHANGED when the folder was begun with other pairs or options; BT_LOCKED;
 * BT_JUDGE_REFUSED, BT_JUDGE_UNREACHABLE; what score, generate and reading models and data throw
 */
export async function compare(input: CompareInput, control: CompareControl = {}): Promise<CompareSummary> {
  const options = withOutput(resolveOptions(compareSchema, input))
  refuseConflict(options)
  const started = performance.now()
  const endpoint = endpointOf(options, control.env ?? process.env)
  const contestants = await findContestants(options, control)
  const heldOut = await readHeldOut(options)
  const baselines = [...new Set(options.baseline ?? [contestants[0]!.name])]
  const work: Work = { options, control, endpoint, contestants, heldOut, baselines }
  const fingerprint = fingerprintOf(work)
  const { output } = options
  const before = options.force ? undefined : await readComparison(output)
  if (before?.fingerprint === fingerprint) {
    return { output, comparison: before, seconds: 0, interrupted: false, alreadyDone: true }
  }
  await mkdir(output, { recursive: true })
  const lock: Lock = await lockPath(join(output, '.lock'), output)
  try {
    await writePairs(output, heldOut, options)
    control.onStart?.(startOf(work))
    const comparison = await run(work, fingerprint)
    control.abort?.throwIfAborted()
    const seconds = (performance.now() - started) / 1000
    if (!comparison) return { output, seconds, interrupted: true, alreadyDone: false }
    await writeFileAtomic(join(output, 'compare.md'), markdownComparison(comparison))
    await writeFileAtomic(comparisonFile(output), `${JSON.stringify(comparison, null, 2)}\n`)
    return { output, comparison, seconds, interrupted: false, alreadyDone: false }
  } catch (error) {
    if (control.abort?.aborted && !hasCode(error, 'BT_ABORTED')) {
      throw new BtError('BT_ABORTED', 'stopped; what was made is kept', { cause: error })
    }
    throw error
  } finally {
    await lock.release()
  }
}

type Options = CompareOptions & { output: string }

interface Work {
  options: Options
  control: CompareControl
  endpoint: ChatEndpoint | undefined
  contestants: Contestant[]
  heldOut: HeldOut
  baselines: string[]
}

function withOutput(options: CompareOptions): Options {
  return { ...options, output: options.output ?? `${plainName(options.data)}.compared` }
}

/** @throws {BtError} BT_USAGE */
function refuseConflict(options: Options): void {
  const conflict = conflictOf(options, flagOf)
  if (conflict !== undefined) throw new BtError('BT_USAGE', conflict.words)
}

function endpointOf(options: CompareOptions, env: NodeJS.ProcessEnv): ChatEndpoint | undefined {
  const { judge: url, judgeModel: model, judgeMaxTokens, judgeRetries, judgeTimeout } = options
  if (url === undefined || model === undefined) return undefined
  const key = env.BT_JUDGE_KEY
  return new ChatEndpoint({ url, model, key, maxTokens: judgeMaxTokens, retries: judgeRetries, timeout: judgeTimeout })
}

function fingerprintOf({ options, contestants, heldOut, baselines, endpoint }: Work): string {
  const { writeRows, maxNewTokens, maxTokens, bootstrap, seed, precision, judgeModel, judgeMaxTokens } = options
  const models = contestants.map(({ name, located: { source, adapter, template, system } }) => {
    return [name, source.hash, adapter?.hash ?? null, template.hash, system ?? null]
  })
  const judged = endpoint ? [endpoint.name, judgeModel, judgeMaxTokens] : null
  const shaping = { writeRows, maxNewTokens, maxTokens, bootstrap, seed, precision }
  const made = { version: packageVersion(), pairs: heldOut.hash, models, baselines, shaping, judged }
  return sha256(JSON.stringify(made))
}

const comparisonFile = (output: string) => join(output, 'compare.json')

/** Undefined where there is none. */
async function readComparison(output: string): Promise<Comparison | undefined> {
  try {
    return JSON.parse(await readFile(comparisonFile(output), 'utf8')) as Comparison
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    if (!(error instanceof SyntaxError)) throw error
    throw new BtError('BT_OUTPUT_DAMAGED', `${comparisonFile(output)} is no JSON: ${error.message}`, {
      remedy: 'Move the file away to make it again from what lies beside it.',
    })
  }
}

function startOf({ options, contestants, heldOut, baselines, endpoint }: Work): CompareStart {
  return {
    output: options.output,
    rows: heldOut.pairs.length,
    models: contestants.map(({ name, control, located: { source, adapter } }) => ({
      name,
      model: source.name,
      ...(adapter ? { adapter: adapter.folder } : {}),
      control,
    })),
    baselines,
    ...(endpoint ? { judge: { endpoint: endpoint.name, model: options.judgeModel! } } : {}),
  }
}

/** @returns undefined where the signal ended it */
async function run(work: Work, fingerprint: string): Promise<Comparison | undefined> {
  const { options, contestants, heldOut, baselines } = work
  for (const contestant of contestants) if (!(await scoreAndWrite(contestant, work))) return undefined
  const scores = await Promise.all(contestants.map(({ name }) => scoresOf(name, options)))
  const { bootstrap, seed, maxNewTokens, maxTokens } = options
  const likelihood = compareLikelihoods(scores, baselines, { bootstrap, seed })
  const systems = await writtenBy(work)
  const writing = systems && (await evaluateWriting(systems, work))
  if (writing === 'interrupted') return undefined
  const judgement = systems && (await judgementOf(systems, work))
  if (judgement === 'interrupted') return undefined
  return {
    format: 1,
    version: packageVersion(),
    fingerprint,
    data: options.data,
    rows: heldOut.pairs.length,
    dropped: heldOut.dropped,
    baselines,
    models: startOf(work).models.map((model, at) => {
      return { ...model, ...likelihood.models[at]! }
    }),
    scored: likelihood.scored,
    likelihood: likelihood.differences,
    ...(writing ? { writing } : {}),
    ...(judgement ? { judgement } : {}),
    options: { maxNewTokens, maxTokens, bootstrap, seed },
  }
}

/** What each model wrote for the first pairs; undefined where none was to write. */
async function writtenBy({ options, contestants }: Work): Promise<System[] | undefined> {
  if (options.writeRows === 0) return undefined
  const systems = []
  for (const { name } of contestants) {
    const { rows } = await readEvaluation({ predictions: [filesOf(name, options).written], task: 'forward' })
    // An earlier call may have asked for more.
    systems.push({ name, rows: rows.slice(0, options.writeRows) })
  }
  return systems
}

async function evaluateWriting(
  systems: System[],
  { options: { bootstrap, seed }, baselines, control: { signal, onProgress } }: Work,
): Promise<SystemsEvaluation | 'interrupted'> {
  const settings = { bootstrap, seed, baseline: baselines, constant: constantResponse }
  try {
    return await evaluateSystems(systems, settings, {
      ...(signal ? { signal } : {}),
      ...(onProgress ? { onProgress } : {}),
    })
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return 'interrupted'
    throw error
  }
}

function filesOf(name: string, { output }: Options) {
  return {
    pairs: join(output, `${name}.scored.jsonl`),
    shuffled: join(output, `${name}.shuffled.scored.jsonl`),
    written: join(output, `${name}.written.jsonl`),
  }
}

/** One pair alone has no other response. */
function pairings(rows: number): ('pairs' | 'shuffled')[] {
  return rows < 2 ? ['pairs'] : ['pairs', 'shuffled']
}

/** @returns false where the signal ended it */
async function scoreAndWrite({ name, named }: Contestant, { options, control, heldOut }: Work): Promise<boolean> {
  const { output, force, maxTokens, maxNewTokens, writeRows, batchSize, precision, device, threads } = options
  const inputs = pairFiles(output)
  const files = filesOf(name, options)
  const common = { ...named, force, precision, device, threads }
  const all = heldOut.pairs.length
  const controlOf = (label: string, total = all) => ({
    ...control,
    onStart: (start: Pick<GenerateStart, 'device' | 'precision' | 'threads' | 'detail'>) =>
      control.onModel?.(name, start),
    onProgress: ({ done }: { done: number }) =>
      control.onProgress?.({ label: `${name}: ${label}`, done, total, unit: 'rows' }),
  })
  for (const which of pairings(all)) {
    const task = { input: inputs[which], output: files[which], template: 'forward' as const, maxTokens }
    const scored = await summaryOf(score({ ...common, ...task }, controlOf(`scoring ${which}`)))
    if (scored.interrupted) return false
  }
  if (writeRows === 0) return true
  const room = { maxNewTokens, maxTokens: maxTokens - maxNewTokens }
  const writing = { greedy: true, guard: ['none' as const], batchSize, ...room }
  const task = { input: inputs.pairs, column: 'instruction', output: files.written, task: 'forward' as const }
  // Rows that an earlier call asked for stay.
  const limit = writeRows === undefined || force ? writeRows : Math.max(writeRows, await linesIn(files.written))
  const written = await summaryOf(
    generate({ ...common, ...writing, ...task, limit }, controlOf('writing', Math.min(all, writeRows ?? all))),
  )
  return !written.interrupted
}

/** Complete lines; 0 where there is no file. */
async function linesIn(path: string): Promise<number> {
  try {
    return (await readFile(path)).reduce((count, byte) => count + (byte === 10 ? 1 : 0), 0)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 0
    throw error
  }
}

/** Runs to the end; rows are in the output. */
async function summaryOf<T>(rows: AsyncGenerator<unknown, T>): Promise<T> {
  let next = await rows.next()
  while (!next.done) next = await rows.next()
  return next.value
}

/** Shuffled scores in the order of the responses that they are of. */
async function scoresOf(name: string, options: Options): Promise<ModelScores> {
  const files = filesOf(name, options)
  const pairs = await readScores(files.pairs)
  const shuffled = pairings(pairs.length).includes('shuffled') ? await readScores(files.shuffled) : []
  const byResponse: RowLikelihood[] = new Array(shuffled.length)
  for (const [row, response] of derangement(shuffled.length, options.seed, 0).entries()) {
    byResponse[response] = shuffled[row]!
  }
  return { name, pairs, shuffled: byResponse }
}

async function readScores(path: string): Promise<RowLikelihood[]> {
  const rows: RowLikelihood[] = []
  for await (const { value } of readRecords(path, { drops: new Drops() })) {
    const { logLikelihood, tokens } = value as unknown as RowLikelihood
    rows.push({ logLikelihood, tokens })
  }
  return rows
}

async function judgementOf(
  systems: readonly System[],
  { options, control, endpoint, contestants, heldOut, baselines }: Work,
): Promise<Comparison['judgement'] | 'interrupted'> {
  if (!endpoint) return undefined
  const { output, judgeModel, judgeMaxTokens, judgeConcurrency, force, bootstrap, seed } = options
  const answers = systems.map(({ name, rows }, at) => ({
    model: name,
    control: contestants[at]!.control,
    texts: rows.map(({ prediction }) => prediction),
  }))
  type Answers = (typeof answers)[number]
  const matchOf = ({ model, control, texts }: Answers, base: Answers): Match => ({
    ...{ model, baseline: base.model, control },
    rows: texts.map((answer, row) => {
      const { id, instruction } = heldOut.pairs[row]!
      return { id, instruction, answer, against: base.texts[row]! }
    }),
  })
  const bases = baselines.map((name) => answers.find(({ model }) => model === name)!)
  const [base] = bases as [Answers]
  const others = Array.from(derangement(base.texts.length, seed, 0), (row) => base.texts[row]!)
  const matches = [
    ...againstEach(answers, bases).map(([one, other]) => matchOf(one, other)),
    ...(others.length === 0
      ? []
      : [matchOf({ model: `${base.model} of other rows`, control: true, texts: others }, base)]),
  ]
  const judging = {
    log: join(output, 'judge.jsonl'),
    model: judgeModel!,
    maxTokens: judgeMaxTokens,
    concurrency: judgeConcurrency,
    ...{ force, bootstrap, seed },
  }
  const found = await judge(matches, endpoint, judging, control)
  return found ? { endpoint: endpoint.name, model: judgeModel!, ...found } : 'interrupted'
}
