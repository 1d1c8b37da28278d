// What a curation's options come to: rules, checks that need no model, and what scores are a function of.
import { sha256, sha256File } from '../files.js'
import type { Precision } from '../generate/machine.js'
import type { Fingerprint } from '../generate/output.js'
import { checkExpression } from './expression.js'
import { type CurateOptions, scoresOf } from './options.js'
import type { CuratePaths } from './outputs.js'
import { ratingPrompt } from './rating.js'
import type { StageOptions } from './score-stage.js'
import { fingerprintOfModels, type LocatedScorer } from './scorer.js'
import { completeRules, missingScore, type SelectionRules, type SelectionTable } from './select.js'
import type { ScoreName } from './types.js'

export function rulesOf({ min, keep, top, budget, diverse, by, keepFaulty }: CurateOptions): SelectionRules {
  return { min, keep, top, budget, diverse, by, keepFaulty }
}

/** What calibration follows from beside the scores of the input. */
export async function calibrationKey({ calibrate, reference }: CurateOptions) {
  if (calibrate === undefined) return {}
  return { calibrate, ...(reference === undefined ? {} : { reference: await sha256File(reference) }) }
}

/** Scores that rules choose by. */
export function scoresNamed(rules: SelectionRules, scores: SelectionTable['scores']): ScoreName[] {
  const { by, top, budget, min = {}, keep = '' } = completeRules(rules, scores)
  const ranked = top !== undefined || budget !== undefined
  return (Object.keys(scores) as ScoreName[]).filter(
    (name) => name in min || new RegExp(`\\b${name}\\b`, 'i').test(keep) || (ranked && name === by),
  )
}

/** Before hours of scoring: rules by scores that there will be, and an expression that is one. */
export async function checkRules(options: CurateOptions): Promise<void> {
  const known = scoresOf(options, options.calibrate !== undefined)
  const scores = Object.fromEntries(known.map((name) => [name, new Float64Array()]))
  const { by, min } = completeRules(rulesOf(options), scores)
  for (const name of [by, ...(Object.keys(min ?? {}) as ScoreName[])]) {
    if (!known.includes(name)) throw missingScore(name, known)
  }
  if (options.keep !== undefined) await checkExpression(options.keep)
}

export function stageOf(options: CurateOptions, located: LocatedScorer, paths: CuratePaths): StageOptions {
  const { input, limit, force, precision } = options
  const known = precision === 'auto' ? undefined : precision
  return {
    log: paths.scores,
    ...{ input, force, fingerprint: fingerprintOf(options, located, known) },
    ...(limit === undefined ? {} : { limit }),
  }
}

export function fingerprintOf(
  options: CurateOptions,
  located: LocatedScorer,
  precision: Precision | undefined,
): Fingerprint {
  const { columns = null, reasoning, cycleTokens, maxTokens, batchTokens } = options
  return {
    scores: 'curation',
    ...fingerprintOfModels(located),
    rating: sha256(ratingPrompt('', '', reasoning > 0)).slice(0, 12),
    ...{ columns, reasoning, cycleTokens, maxTokens, batchTokens, precision },
  }
}
