// What a rewriting's options come to: the score that judges, how texts are written and scored, and what rows are a function of.
import type { Calibration } from '../curate/calibration.js'
import { scoresOf } from '../curate/options.js'
import { ratingPrompt } from '../curate/rating.js'
import { keyOfPair } from '../curate/rows.js'
import { fingerprintOfModels, type LocatedScorer } from '../curate/scorer.js'
import { missingScore } from '../curate/select.js'
import type { ScoreName } from '../curate/types.js'
import { BtError } from '../errors.js'
import { sha256, sha256File } from '../files.js'
import type { Precision } from '../generate/machine.js'
import { type GenerateOptions, generateSchema } from '../generate/options.js'
import type { Fingerprint, OutputOptions } from '../generate/output.js'
import { packageVersion } from '../version.js'
import type { RewriteOptions } from './options.js'
import { rewritePrompt } from './prompt.js'
import type { RewrittenRow } from './types.js'

/** A rewriting whose options are judged and whose models are found. */
export interface Work {
  options: RewriteOptions
  located: LocatedScorer
  calibration: Calibration | undefined
  by: ScoreName
}

/** @throws {BtError} BT_USAGE */
export function scoreToJudgeBy(options: RewriteOptions, calibration: Calibration | undefined): ScoreName {
  const known = scoresOf(options, calibration !== undefined)
  const usual = known.includes('backwardPmi') ? 'backwardPmi' : 'pmi'
  const by = options.by ?? (calibration ? 'fit' : usual)
  if (!known.includes(by)) throw missingScore(by, known)
  const missing = by === 'fit' ? calibration!.fit.features.find((name) => !known.includes(name)) : undefined
  if (missing === undefined) return by
  throw new BtError('BT_USAGE', `--calibration ${options.calibration}: its fit rests on ${missing}`, {
    remedy:
      missing === 'cycle' ? 'Give the --cycle-tokens that curate was given.' : 'Name the backward model: --backward.',
  })
}

/** What the sampler and the guard go by. A response may quote what it was given. */
export function writingOptions(options: RewriteOptions): GenerateOptions {
  const { temperature, topP, topK, seed, guardRetries, maxNewTokens, maxTokens, batchSize } = options
  return generateSchema.parse({
    input: options.input,
    ...{ temperature, topP, topK, seed, guardRetries, maxNewTokens, maxTokens, batchSize },
    guard: ['leak', 'loop', 'end', 'empty'],
  })
}

export async function outputOptionsOf(work: Work): Promise<OutputOptions> {
  const { options } = work
  const { input, limit, force, precision } = options
  return {
    ...{ input, force, version: packageVersion(), columns: {} },
    ...(limit === undefined ? {} : { limit }),
    fingerprint: await fingerprintOf(work, precision === 'auto' ? undefined : precision),
    keyOf: (row) => {
      const { id, instruction, response, originalResponse } = row as unknown as RewrittenRow
      return keyOfPair({ id, instruction, response: originalResponse ?? response })
    },
  }
}

async function fingerprintOf({ options, located, by }: Work, precision: Precision | undefined): Promise<Fingerprint> {
  const { columns = null, temperature, topP, topK, seed, guardRetries, maxNewTokens, maxTokens } = options
  const { minShare, reasoning, cycleTokens, calibration } = options
  return {
    rewriting: sha256(rewritePrompt('', '')).slice(0, 12),
    ...fingerprintOfModels(located),
    ...(calibration === undefined ? {} : { calibration: (await sha256File(calibration)).slice(0, 16) }),
    rating: sha256(ratingPrompt('', '', reasoning > 0)).slice(0, 12),
    ...{ columns, by, minShare, temperature, topP, topK, seed, guardRetries, maxNewTokens, maxTokens },
    ...{ reasoning, cycleTokens, precision },
  }
}
