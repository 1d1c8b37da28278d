// How fast runs were on this machine, kept: the next plan for the same model tells its time from them.
import { type Cache, cacheKey, readEntry, writeEntry } from '../cache.js'
import { readProcessor } from '../native/processor.js'
import { packageVersion } from '../version.js'

/** What was measured, in the steps of one sitting. */
export interface Speed {
  steps: number
  tokensPerSecond: number
  /** Of the products that stepWork() counts. */
  operationsPerSecond: number
}

/** What a speed holds for. */
export interface SpeedKey {
  /** ModelSource's hash. */
  model: string
  device: 'cpu' | 'cuda'
  precision: string
  threads: number
  engine: string
}

const speeds: Cache = { name: 'speeds', maxBytes: 1_000_000, maxEntries: 256 }

/** Steps under which a measurement is left: the first ones wait for memory and caches. */
const fewestSteps = 3

export async function readSpeed(key: SpeedKey): Promise<Speed | undefined> {
  const bytes = await readEntry(speeds, entryOf(key))
  return bytes && (JSON.parse(bytes.toString('utf8')) as Speed)
}

export async function writeSpeed(key: SpeedKey, speed: Speed): Promise<void> {
  if (speed.steps >= fewestSteps) await writeEntry(speeds, entryOf(key), [Buffer.from(JSON.stringify(speed))])
}

function entryOf({ model, device, precision, threads, engine }: SpeedKey): string {
  return cacheKey([packageVersion(), readProcessor().name, model, device, precision, threads, engine])
}
