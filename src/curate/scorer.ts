// Scores of pairs by a forward model, and by a backward one where there is one: what curation and rewriting ask for.
import type { Model, Sampler } from '../../binding.js'
import type { PackableRow } from '../data/packing.js'
import { BtError } from '../errors.js'
import { resolveOptions } from '../fields.js'
import {
  type Loaded,
  type LocateControl,
  type Located,
  loadModel,
  locateModel,
  loraOptions,
  type RefuseTask,
  withTask,
} from '../generate/load.js'
import type { Machine } from '../generate/machine.js'
import { rowLogProbs } from '../generate/packed-score.js'
import { chrfOf } from '../metrics/score.js'
import { openAhead } from '../native/ahead.js'
import type { PromptTemplate } from '../text/types.js'
import { copyShare } from './copy.js'
import { backwardRows, beginningOf, type ForwardRows, forwardRows, orNull } from './encode.js'
import { type ScorerInput, type ScorerOptions, scorerSchema } from './options.js'
import { expectedRating, ratingLead, ratingPrompt, ratingRows, ratings } from './rating.js'
import type { CandidatePair, PairScores } from './types.js'
import { writeGreedily } from './write.js'

/** Judges pairs; what it holds is freed by close(). */
export interface Scorer {
  readonly machine: Machine
  /**
   * Scores pairs, in their order. On a CPU a pair's scores do not depend on those beside it.
   * @throws {BtError} BT_ABORTED after machine.runtime.abort()
   */
  score(pairs: readonly CandidatePair[]): Promise<PairScores[]>
  /**
   * [hidden] of each pair: the mean over its first tokens of the forward base model's final hidden states, without the
   * adapter; undefined where both texts are empty.
   */
  vectors(pairs: readonly CandidatePair[]): Promise<(Float32Array | undefined)[]>
  close(): Promise<void>
}

/** Models and templates, before anything is computed. */
export interface LocatedScorer {
  forward: Located
  backward?: Located
}

/**
 * Opens a scorer.
 * @throws {BtError} BT_USAGE for options and for an adapter of the wrong task; what locating and loading models throws
 */
export async function openScorer(input: ScorerInput, control: LocateControl = {}): Promise<Scorer> {
  const options = resolveOptions(scorerSchema, input)
  openAhead({ device: options.device })
  return loadScorer(options, await locateScorer(options, control))
}

/** Finds models, adapters and templates. */
export async function locateScorer(options: ScorerOptions, control: LocateControl): Promise<LocatedScorer> {
  const forward = await withTask(await locateModel(options, control), 'forward', options, wrongAdapter('--adapter'))
  refuseTooLong(forward, options)
  const { backward: adapter, backwardModel: model } = options
  if (adapter === undefined && model === undefined) return { forward }
  const other = await locateModel({ adapter, model }, control)
  return { forward, backward: await withTask(other, 'backward', {}, wrongAdapter('--backward')) }
}

/** Where a flag names the adapter. */
function wrongAdapter(flag: string): RefuseTask {
  return (folder, task, trained) =>
    new BtError('BT_USAGE', `${flag} ${folder} was trained for the ${trained} task`, {
      remedy:
        task === 'forward'
          ? 'Name the adapter that answers instructions, or a base model alone with --model. The other goes to --backward.'
          : 'Name the adapter that writes instructions.',
    })
}

function refuseTooLong({ source: { name, config } }: Located, options: ScorerOptions): void {
  const longest = longestOf(options)
  if (config.maxPositions === 0 || longest <= config.maxPositions) return
  throw new BtError('BT_USAGE', `rows of ${longest} tokens: ${name} reads at most ${config.maxPositions}`, {
    remedy: 'Lower --max-tokens (or --reasoning, --cycle-tokens).',
  })
}

/** Tokens of the longest sequence: a prompt and what is written after it, with the beginning of an answer. */
function longestOf({ maxTokens, reasoning, cycleTokens }: ScorerOptions): number {
  return maxTokens + answerRoom + Math.max(reasoning, cycleTokens)
}

/** Tokens that the beginning of an answer and texts cut at other places may take beyond maxTokens. */
const answerRoom = 32

/** Loads what was located. The caller closes the scorer. */
export async function loadScorer(options: ScorerOptions, { forward, backward }: LocatedScorer): Promise<Scorer> {
  const loaded = await loadModel(options, forward)
  const { machine } = loaded
  try {
    const side = await sideOf(loaded, forward, options)
    const other = backward && (await backwardSide(machine, loaded.model, forward, backward, options))
    const overhead = (await forward.template.encodePrompt(ratingPrompt('x', 'x', true), options.maxTokens * 8)).tokens
    const judge: Judge = { options, side, other, ratingOverhead: overhead.length }
    return {
      machine,
      score: (pairs) => scorePairs(judge, pairs),
      vectors: (pairs) => vectorsOf(loaded.model, forward, pairs),
      close: () => machine.runtime.close(),
    }
  } catch (error) {
    await machine.runtime.close()
    throw error
  }
}

/** One model with what lays out its rows. */
interface Side {
  sampler: Sampler
  located: Located
  template: PromptTemplate
  blank: Int32Array
}

interface Judge {
  options: ScorerOptions
  side: Side
  other?: Side | undefined
  /** Tokens of a rating's question beside the two texts. */
  ratingOverhead: number
}

async function sideOf({ machine, model, lora }: Loaded, located: Located, options: ScorerOptions): Promise<Side> {
  const { template } = located
  const law = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 }
  const writes = template.task === 'forward' && (options.reasoning > 0 || options.cycleTokens > 0)
  // A GPU's scores need no cache.
  const room =
    machine.device === 'cuda' && !writes
      ? { maxSequences: 1, maxTokens: 2 }
      : { maxSequences: 16, maxTokens: longestOf(options) }
  const sampler = await model.createSampler({ ...law, ...room, stopTokens: template.stopTokens }, lora)
  return { sampler, located, template, blank: await template.blankPrompt() }
}

/** The backward model shares the forward one's base where that is the same. */
async function backwardSide(
  machine: Machine,
  base: Model,
  forward: Located,
  located: Located,
  options: ScorerOptions,
): Promise<Side> {
  const { config, files, tensors, hash } = located.source
  const model =
    hash === forward.source.hash
      ? base
      : await machine.runtime.loadModel({ config, files, tensors, dtype: machine.dtype, lazy: true })
  const lora = located.adapter && (await model.attachLora({ ...loraOptions(located.adapter), seed: 0 }))
  return sideOf({ machine, model, ...(lora ? { lora } : {}) }, located, options)
}

async function scorePairs(judge: Judge, pairs: readonly CandidatePair[]): Promise<PairScores[]> {
  const fits = await responseFits(judge, pairs)
  const qualities = await qualitiesOf(judge, pairs)
  const cycles = judge.options.cycleTokens > 0 ? await cyclesOf(judge, pairs, fits) : undefined
  const backwards = judge.other ? await backwardFits(judge.other, pairs, judge.options) : undefined
  return pairs.map(({ instruction, response }, at) => ({
    quality: rounded(fits[at] ? qualities[at] : null),
    likelihood: rounded(fits[at]?.likelihood),
    pmi: rounded(fits[at]?.pmi),
    ifd: rounded(fits[at]?.ifd),
    ending: rounded(fits[at]?.ending),
    length: Array.from(response).length,
    copy: rounded(copyShare(instruction, response))!,
    ...(cycles ? { cycle: rounded(cycles[at]) } : {}),
    ...(backwards
      ? { backward: rounded(backwards[at]?.backward), backwardPmi: rounded(backwards[at]?.backwardPmi) }
      : {}),
    unread: fits[at]?.unread ?? 0,
  }))
}

interface ResponseFit {
  likelihood: number
  pmi: number
  ifd: number
  ending: number
  unread: number
  response: Int32Array
}

/** How well each response follows from its instruction, by the forward model. */
async function responseFits(
  { side, options }: Judge,
  pairs: readonly CandidatePair[],
): Promise<(ResponseFit | null)[]> {
  const encoded = await Promise.all(
    pairs.map((pair) => forwardRows(side.template, side.blank, pair, options.maxTokens)),
  )
  const known = encoded.filter((one) => one !== null)
  const given = await logProbsOf(
    side,
    known.map((one) => one.given),
    options,
  )
  const alone = await logProbsOf(
    side,
    known.map((one) => one.alone),
    options,
  )
  const ends = await logProbsOf(
    side,
    known.flatMap((one) => one.end ?? []),
    options,
  )
  let next = 0
  let nextEnd = 0
  return encoded.map((one) => {
    if (!one) return null
    const at = next++
    return fitOf(one, given[at]!, alone[at]!, one.end ? ends[nextEnd++]![0]! : given[at]!.at(-1)!)
  })
}

function fitOf(
  { response, unread }: ForwardRows,
  given: Float32Array,
  alone: Float32Array,
  ending: number,
): ResponseFit {
  const tokens = alone.length // the end token is not among them
  const likelihood = sum(given.subarray(0, tokens)) / tokens
  const without = sum(alone) / tokens
  return { likelihood, pmi: likelihood - without, ifd: likelihood / without, ending, unread, response }
}

/** The expected rating of each pair; null where a text is empty. */
async function qualitiesOf(judge: Judge, pairs: readonly CandidatePair[]): Promise<(number | null)[]> {
  const { side, options } = judge
  const prompts = await Promise.all(pairs.map((pair) => ratingPromptOf(judge, pair)))
  const known = prompts.filter((prompt) => prompt !== null)
  const reasoned = options.reasoning > 0 ? await writeGreedily(side.sampler, known, options.reasoning) : undefined
  const rows: PackableRow[] = []
  for (const [at, prompt] of known.entries()) {
    const reasoning = reasoned ? side.located.tokenizer.decode(reasoned[at]!) : ''
    rows.push(...ratingRows(prompt, await ratingAnswers(side.template, reasoning, reasoned?.[at]?.length ?? 0)))
  }
  const logProbs = (await logProbsOf(side, rows, options)).map(sum)
  let next = 0
  return prompts.map((prompt) => {
    if (!prompt) return null
    next += ratings.length
    return expectedRating(logProbs.slice(next - ratings.length, next))
  })
}

/** The question for a pair's rating, its texts cut to fit: at most a third of the room for the instruction. */
async function ratingPromptOf(
  { side, options, ratingOverhead }: Judge,
  { instruction, response }: CandidatePair,
): Promise<Int32Array | null> {
  if (instruction.trim() === '' || response.trim() === '') return null
  const { tokenizer } = side.located
  const room = Math.max(32, options.maxTokens - ratingOverhead)
  const asked = await beginningOf(tokenizer, instruction.trim(), Math.floor(room / 3))
  const taken = Math.min(Math.floor(room / 3), Buffer.byteLength(asked))
  const replied = await beginningOf(tokenizer, response.trim(), room - taken)
  const prompt = await orNull(
    side.template.encodePrompt(ratingPrompt(asked, replied, options.reasoning > 0), options.maxTokens + answerRoom / 2),
  )
  return prompt?.tokens ?? null
}

/** Tokens of the five answers, each up to its digit, as the target of any pair. */
async function ratingAnswers(template: PromptTemplate, reasoning: string, written: number): Promise<number[][]> {
  const lead = ratingLead(reasoning)
  const rows = await Promise.all(
    ratings.map((rating) =>
      template.encodePair({ instruction: 'x', response: `${lead}${rating}` }, 4096 + 4 * written),
    ),
  )
  return rows.map(({ tokens, targetStart }) => Array.from(tokens.subarray(targetStart, -1)))
}

/** How like the model's own answer is to the response, as far as it goes. */
async function cyclesOf(
  { side, options }: Judge,
  pairs: readonly CandidatePair[],
  fits: readonly (ResponseFit | null)[],
): Promise<(number | null)[]> {
  const { tokenizer } = side.located
  const prompts = await Promise.all(
    pairs.map(async ({ instruction }, at) =>
      fits[at] ? await orNull(side.template.encodePrompt(instruction, options.maxTokens)) : null,
    ),
  )
  const known = prompts.flatMap((prompt) => prompt?.tokens ?? [])
  const answers = await writeGreedily(side.sampler, known, options.cycleTokens)
  let next = 0
  return prompts.map((prompt, at) => {
    if (!prompt) return null
    const opening = fits[at]!.response.subarray(0, options.cycleTokens)
    return chrfOf(tokenizer.decode(answers[next++]!), tokenizer.decode(opening))
  })
}

/** How well each instruction follows from its response, by the backward model. */
async function backwardFits(
  side: Side,
  pairs: readonly CandidatePair[],
  options: ScorerOptions,
): Promise<({ backward: number; backwardPmi: number } | null)[]> {
  const encoded = await Promise.all(
    pairs.map((pair) => backwardRows(side.template, side.blank, pair, options.maxTokens)),
  )
  const known = encoded.filter((one) => one !== null)
  const given = await logProbsOf(
    side,
    known.map((one) => one.given),
    options,
  )
  const alone = await logProbsOf(
    side,
    known.map((one) => one.alone),
    options,
  )
  let next = 0
  return encoded.map((one) => {
    if (!one) return null
    const at = next++
    const total = sum(given[at]!)
    return { backward: total / given[at]!.length, backwardPmi: total - sum(alone[at]!) }
  })
}

/** Tokens of a pair that are looked at for its vector: what it is about is said by then. */
export const vectorTokens = 256

async function vectorsOf(
  model: Model,
  { tokenizer }: Located,
  pairs: readonly CandidatePair[],
): Promise<(Float32Array | undefined)[]> {
  const rows = await Promise.all(
    pairs.map(async ({ instruction, response }) => {
      const ids = await tokenizer.encodeText(`${instruction.trim()}\n\n${response.trim()}`.trim())
      return ids.slice(0, vectorTokens)
    }),
  )
  const known = rows.filter((row) => row.length > 0)
  if (known.length === 0) return rows.map(() => undefined)
  const cuSeqlens = new Int32Array(known.length + 1)
  for (const [at, row] of known.entries()) cuSeqlens[at + 1] = cuSeqlens[at]! + row.length
  const states = await model.hiddenStates({
    tokens: Int32Array.from(known.flat()),
    cuSeqlens,
    scored: new Int32Array(),
    rows: Int32Array.from(known.keys()),
  })
  const width = states.length / known.length
  let next = 0
  return rows.map((row) => (row.length > 0 ? states.slice(width * next, width * ++next) : undefined))
}

function logProbsOf({ sampler }: Side, rows: readonly PackableRow[], { batchTokens }: ScorerOptions) {
  return rowLogProbs(sampler, rows, { batchTokens })
}

function sum(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0)
}

function rounded(value: number | null | undefined): number | null {
  return value === null || value === undefined || !Number.isFinite(value) ? null : Number(value.toFixed(6))
}
