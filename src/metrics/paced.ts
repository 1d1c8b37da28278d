// Long computations that let go of the event loop now and then, so that signals arrive and progress is drawn.
import { setImmediate } from 'node:timers/promises'
import type { OnProgress, Progress } from '../progress.js'

/** How to watch long work of the main thread and end it. */
export interface PaceControl {
  /** Ends the work between two pieces. */
  signal?: AbortSignal
  onProgress?: OnProgress
}

/** Milliseconds of work at a stretch. */
const stretch = 50

/**
 * Runs work that yields its progress after each short piece.
 * @throws the signal's reason, and what the work throws
 */
export async function paced<T>(work: Generator<Progress, T>, { signal, onProgress }: PaceControl): Promise<T> {
  let since = performance.now()
  for (let step = work.next(); ; step = work.next()) {
    if (step.done) return step.value
    if (performance.now() - since < stretch) continue
    onProgress?.(step.value)
    await setImmediate()
    signal?.throwIfAborted()
    since = performance.now()
  }
}
