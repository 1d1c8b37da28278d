// Calibration from rows to a file: good pairs are drawn, bad ones planted beside them, all are scored (into a work log of
// their own, which goes on where it was), and the scores measured.
import { join } from 'node:path'
import { BtError } from '../errors.js'
import { sha256, writeFileAtomic } from '../files.js'
import { randomAt } from '../metrics/random.js'
import { type Calibration, calibrate, type PlantedRow } from './calibration.js'
import { type CuratePaths, logRows } from './outputs.js'
import { type PlantedPair, plantPairs } from './plant.js'
import { type CandidateRow, readCandidates } from './rows.js'
import {
  finishedStage,
  type StageControl,
  type StageOptions,
  type StageResult,
  scoredRows,
  scoreStage,
} from './score-stage.js'
import type { CandidatePair } from './types.js'

export interface CalibrateOptions {
  /** Good pairs that are drawn at most. */
  pairs: number
  /** File of pairs that are known to be good; the input's own otherwise. */
  reference?: string | undefined
}

/** Fewer say nothing. */
const leastPairs = 10
const seed = 0

/**
 * Measures the scores on planted pairs.
 * @param paths of the curation; its work log of scores is complete
 * @returns undefined where the signal ended it
 * @throws {BtError} BT_USAGE for fewer than ten good pairs; what the scoring throws
 */
export async function calibrateStage(
  { pairs, reference }: CalibrateOptions,
  paths: CuratePaths,
  rows: number,
  {
    open,
    stage,
    control,
  }: {
    open: Parameters<typeof scoreStage>[1]
    stage: StageOptions
    control: StageControl
  },
): Promise<{ calibration: Calibration; result: StageResult } | undefined> {
  const good = await drawPairs(reference ? readCandidates(reference, {}).rows : scoredRows(paths.scores, rows), pairs)
  const from = reference ?? stage.input
  if (good.length < leastPairs) {
    throw new BtError(
      'BT_USAGE',
      `--calibrate: ${from} has ${good.length} pairs to plant bad ones beside, not ${leastPairs}`,
      {
        remedy: 'Name a file of good pairs with --reference.',
      },
    )
  }
  const planted = plantPairs(good, seed)
  // The same pairs have the same log, whatever else the input holds.
  const key = sha256(JSON.stringify(planted)).slice(0, 12)
  const own: StageOptions = {
    log: join(paths.work, `planted-${key}.jsonl`),
    input: from,
    stamp: { path: `planted ${key}`, bytes: planted.length, modified: 0, limit: null },
    force: stage.force,
    fingerprint: stage.fingerprint,
  }
  const before = await finishedStage(own)
  const result =
    before === undefined
      ? await scoreStage(candidateRows(planted), open, { ...own, total: planted.length }, control)
      : { rows: before, written: 0, interrupted: false }
  if (result.interrupted) return undefined
  const scored: PlantedRow[] = []
  for await (const row of logRows(own.log, result.rows)) scored.push(row as unknown as PlantedRow)
  const calibration = calibrate(scored, from, seed)
  await writeFileAtomic(paths.calibration, `${JSON.stringify(calibration, null, 2)}\n`)
  return { calibration, result }
}

async function* candidateRows(planted: readonly PlantedPair[]): AsyncGenerator<CandidateRow> {
  for (const [index, pair] of planted.entries()) yield { index, pair: { ...pair } }
}

/** Some pairs without a fault, drawn by their places alone: a larger draw begins with a smaller one. */
async function drawPairs(rows: AsyncIterable<CandidateRow>, count: number): Promise<CandidatePair[]> {
  const random = randomAt(seed, 'reference pairs')
  let drawn: { place: number; pair: CandidatePair }[] = []
  for await (const { index, pair } of rows) {
    const { id, instruction, response, guard } = pair
    if (instruction.trim() === '' || response.trim() === '' || (Array.isArray(guard) && guard.length > 0)) continue
    drawn.push({ place: random(index), pair: { id, instruction, response } })
    if (drawn.length >= 2 * count + 64) drawn = lowest(drawn, count)
  }
  return lowest(drawn, count).map(({ pair }) => pair)
}

function lowest<T extends { place: number }>(drawn: T[], count: number): T[] {
  return drawn.toSorted((a, b) => a.place - b.place).slice(0, count)
}
