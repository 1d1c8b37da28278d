// A run's stages and measurements in words and numbers, for page and terminal alike.
import { formatDuration } from '../units.js'
import { countOf, countText } from './numbers.js'
import type { Measured, RunComparison, RunDifference, RunReport, RunStage } from './run.js'

/** Whether its files are there. */
export function isDone({ status }: RunStage): boolean {
  return status === 'done'
}

/** "1,000 → 412 rows", "412 rows", or "" where none are counted. */
export function rowsText({ rowsIn, rowsOut }: RunStage): string {
  if (rowsIn === undefined || rowsOut === undefined || rowsIn === rowsOut) {
    const rows = rowsOut ?? rowsIn
    return rows === undefined ? '' : countOf(rows, 'row')
  }
  return `${countText(rowsIn)} → ${countOf(rowsOut, 'row')}`
}

/** "3:21"; "" for a stage that took none yet. */
export function timeText({ seconds }: RunStage): string {
  return seconds === undefined ? '' : formatDuration(seconds)
}

/** "finished", "3 of 11 stages done", "failed in curate-1". */
export function stateText({ stages }: Pick<RunReport, 'stages'>): string {
  const failed = stages.find(({ status }) => status === 'failed')
  if (failed) return `failed in ${failed.name}`
  const done = stages.filter(isDone).length
  return done === stages.length ? 'finished' : `${done} of ${countOf(stages.length, 'stage')} done`
}

export function secondsOf(stages: readonly RunStage[]): number {
  return stages.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0)
}

/** Values of one scale, all with as many decimals as give the largest four digits; at least one, at most four. */
export function measureText(all: readonly Measured[]): (value: number) => string {
  const values = all.flatMap(({ value, interval = [] }) => [value, ...interval])
  const largest = Math.max(0, ...values.filter(Number.isFinite).map(Math.abs))
  const decimals = Math.max(1, Math.min(4, 3 - Math.floor(Math.log10(largest || 1))))
  return (value) => {
    if (!Number.isFinite(value)) return 'not finite'
    const text = value.toFixed(decimals)
    return (Number(text) === 0 ? (0).toFixed(decimals) : text).replace('-', '−')
  }
}

/** "−2.104 to −2.031", or "". */
export function intervalOf({ interval }: Measured, text: (value: number) => string): string {
  return interval ? `${text(interval[0])} to ${text(interval[1])}` : ''
}

export type Verdict = 'better' | 'worse' | 'not clear'

/** Whether a difference is one: its interval does not hold zero. undefined without a finite interval. */
export function verdictOf({ interval }: RunDifference, better: RunComparison['better'] = 'high'): Verdict | undefined {
  if (!interval?.every(Number.isFinite)) return undefined
  const [low, high] = interval
  if (low <= 0 && high >= 0) return 'not clear'
  return low > 0 === (better === 'high') ? 'better' : 'worse'
}

export const verdictWords: Record<Verdict, string> = {
  better: 'better, clear of zero',
  worse: 'worse, clear of zero',
  'not clear': 'not clear of zero',
}
