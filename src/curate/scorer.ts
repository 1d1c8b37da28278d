// Scores of pairs by a forward model, and by a backward one where there is one: what curation and rewriting ask for.
import type { Sampler, SamplerOptions } from '../../binding.js'
import { BtError } from '../errors.js'
import { resolveOptions } from '../fields.js'
import {
  type LocateControl,
  type Located,
  loadModel,
  locateModel,
  type RefuseTask,
  withTask,
} from '../generate/load.js'
import type { Machine } from '../generate/machine.js'
import type { Fingerprint } from '../generate/output.js'
import { openAhead } from '../native/ahead.js'
import { copyShare } from './copy.js'
import { cyclesOf } from './cycle.js'
import { backwardFits, responseFits } from './fits.js'
import { type ScorerInput, type ScorerOptions, scorerSchema } from './options.js'
import { qualitiesOf } from './quality.js'
import { ratingPrompt } from './rating.js'
import { backwardSide, type Judge, longestOf, sideOf } from './side.js'
import type { CandidatePair, PairScores } from './types.js'
import { vectorsOf } from './vectors.js'

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
  /** A sampler of its own over the forward model, for what is to be written. */
  createSampler(options: SamplerOptions): Promise<Sampler>
  /** Frees models and runtime. */
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

/** What scores are a function of, as far as models and their prompts go. */
export function fingerprintOfModels({ forward, backward }: LocatedScorer): Fingerprint {
  return {
    model: forward.source.hash.slice(0, 16),
    adapter: forward.adapter?.hash.slice(0, 16) ?? 'none',
    template: forward.template.hash,
    ...(forward.system === undefined ? {} : { system: forward.system }),
    ...(backward
      ? {
          backwardModel: backward.source.hash.slice(0, 16),
          backwardAdapter: backward.adapter?.hash.slice(0, 16) ?? 'none',
          backwardTemplate: backward.template.hash,
        }
      : {}),
  }
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
      createSampler: (sampling) => loaded.model.createSampler(sampling, loaded.lora),
      close: () => machine.runtime.close(),
    }
  } catch (error) {
    await machine.runtime.close()
    throw error
  }
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

function rounded(value: number | null | undefined): number | null {
  return value === null || value === undefined || !Number.isFinite(value) ? null : Number(value.toFixed(6))
}
