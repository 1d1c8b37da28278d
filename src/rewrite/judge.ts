// Whether a new response may stand in place of the old one.
import { readFile } from 'node:fs/promises'
import { type Calibration, fitOf } from '../curate/calibration.js'
import { lowIsGood, type PairScores, type ScoreName } from '../curate/types.js'
import { BtError, hasCode } from '../errors.js'
import type { RewriteOutcome } from './types.js'

/** Scores of a pair with what calibration makes of them. */
export type JudgedScores = PairScores & { fit?: number | null }

/** What curate --calibrate wrote. @throws {BtError} BT_DATA_FILE, BT_DATA_FORMAT */
export async function readCalibration(path: string): Promise<Calibration> {
  try {
    const found = JSON.parse(await readFile(path, 'utf8')) as Partial<Calibration>
    if (Array.isArray(found.fit?.features) && Array.isArray(found.fit.coefficients)) return found as Calibration
  } catch (error) {
    if (hasCode(error, 'ENOENT')) throw new BtError('BT_DATA_FILE', `${path}: no such file`, { remedy })
    if (!(error instanceof SyntaxError)) throw error
  }
  throw new BtError('BT_DATA_FORMAT', `${path} is no calibration`, { remedy })
}

const remedy = 'Name the OUTPUT.calibration.json that `bt-native curate --calibrate` wrote.'

/** Adds fit, where there is a calibration. */
export function judged(scores: PairScores, calibration: Calibration | undefined): JudgedScores {
  if (!calibration) return scores
  const fit = fitOf(calibration, scores)
  return { ...scores, fit: Number.isNaN(fit) ? null : Number(fit.toFixed(6)) }
}

/** Whether the score `by` falls from one to the other. */
export function compareScores(by: ScoreName, before: JudgedScores, after: JudgedScores): RewriteOutcome {
  const [old, fresh] = [before[by], after[by]]
  if (typeof old !== 'number' || typeof fresh !== 'number') return 'unscored'
  const rise = lowIsGood.has(by) ? old - fresh : fresh - old
  return rise >= 0 ? 'kept' : 'worse'
}

/** What speaks against a text before it is scored. */
export function refusalOf(
  text: string,
  { response, faults, minShare }: { response: string; faults: readonly string[]; minShare: number },
): RewriteOutcome | undefined {
  if (text === '') return 'empty'
  const fault = (['leak', 'loop', 'end'] as const).find((name) => faults.includes(name))
  if (fault) return fault
  if (text === response.trim()) return 'same'
  return Array.from(text).length < minShare * Array.from(response.trim()).length ? 'shorter' : undefined
}
