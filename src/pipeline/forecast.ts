// About what a stage would cost: rows from sizes of files and from what earlier stages made, time from the speed of the last
// training here. Rough by nature, and said to be.
import { availableParallelism } from 'node:os'
import { readProcessor } from '../native/processor.js'
import { readSpeed } from '../train/speeds.js'
import type { Stage, Volume, Work } from './stage.js'
import type { RunState } from './state.js'

/** About what a stage would take. */
export interface Forecast {
  expectedRows: number
  /** Tokens that are trained on, read, and written. */
  expectedTokens: number
  /** Undefined where nothing was measured on this machine. */
  expectedSeconds?: number
}

/**
 * Tokens that are read or written in the time of one token of training, as measured on a CPU with AVX512_BF16
 * (docs/performance.md): reading needs a forward pass alone, writing reads all weights for each of a few tokens.
 */
const readPerTrained = 4
const writtenPerTrained = 0.25
/** Rows a second of stages without a model, about. */
const dataRowsPerSecond = 300

/** For each stage; `state` has the rows of those that have run. */
export async function forecast(stages: readonly Stage[], state: RunState, model: string): Promise<Forecast[]> {
  const tokensPerSecond = await trainingSpeed(model)
  const volumes = new Map<string, Volume>()
  const volumeOf = (file: string): Volume => volumes.get(file) ?? { rows: 0, tokens: 0 }
  const found: Forecast[] = []
  for (const stage of stages) {
    const work = await stage.expect(volumeOf)
    const known = state.stages.find(({ name, status }) => name === stage.name && status === 'done')
    for (const [file, volume] of Object.entries(work.makes)) {
      const rows = file === stage.outputs[0] ? (known?.rowsOut ?? volume.rows) : volume.rows
      volumes.set(file, { ...volume, rows })
    }
    const { trained = 0, read = 0, written = 0 } = work
    const tokens = Math.round(trained + read + written)
    const seconds = secondsOf(work, tokensPerSecond)
    found.push({
      expectedRows: work.rowsIn,
      expectedTokens: tokens,
      ...(seconds === undefined ? {} : { expectedSeconds: seconds }),
    })
  }
  return found
}

function secondsOf(
  { rowsIn, trained = 0, read = 0, written = 0 }: Work,
  speed: number | undefined,
): number | undefined {
  if (trained + read + written === 0) return rowsIn / dataRowsPerSecond
  return speed && (trained + read / readPerTrained + written / writtenPerTrained) / speed
}

/** Tokens a second of the last training of this model here. */
async function trainingSpeed(model: string): Promise<number | undefined> {
  const { avx512Bf16, amxBf16 } = readProcessor()
  const precision = avx512Bf16 || amxBf16 ? 'bf16' : 'fp32'
  const place = { model, precision, threads: availableParallelism(), engine: 'fused' }
  const speeds = await Promise.all([readSpeed({ ...place, device: 'cuda' }), readSpeed({ ...place, device: 'cpu' })])
  return speeds.find((speed) => speed !== undefined)?.tokensPerSecond
}
