// Rows taken from a source that may be slower than the sampler, without waiting for it when there is other work.
import type { TextRow } from './types.js'

/** How long to wait for a slow producer while there is other work: milliseconds. */
export const patience = 20

export class ReadAhead {
  ended = false
  private readonly iterator: AsyncIterator<TextRow>
  private pending: Promise<IteratorResult<TextRow>> | undefined

  constructor(
    rows: AsyncIterable<TextRow>,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.iterator = rows[Symbol.asyncIterator]()
  }

  /** Leaves the source without waiting for what it is about to give: a pipe may never give anything. */
  close(): void {
    const nobodyAsks = () => undefined
    this.pending?.catch(nobodyAsks)
    this.iterator.return?.(undefined).catch(nobodyAsks)
  }

  /**
   * Up to `count` rows. Waits for the first; for others (and for the first, given `wait`) only `wait` or 20 ms; for
   * none once the signal is aborted.
   */
  async take(count: number, wait?: number): Promise<TextRow[]> {
    const rows: TextRow[] = []
    while (rows.length < count && !this.ended) {
      this.pending ??= this.iterator.next()
      const result = await inTime(this.pending, rows.length > 0 ? patience : wait, this.signal)
      if (result === undefined) break
      this.pending = undefined
      if (result.done) this.ended = true
      else rows.push(result.value)
    }
    return rows
  }
}

/** What `promise` gives within `milliseconds`, if they are limited, and before the signal aborts; else undefined. */
async function inTime<T>(
  promise: Promise<T>,
  milliseconds: number | undefined,
  signal: AbortSignal | undefined,
): Promise<T | undefined> {
  if (signal?.aborted) return undefined
  let leave = () => {}
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    leave = () => resolve(undefined)
    if (milliseconds !== undefined) timer = setTimeout(leave, milliseconds)
    signal?.addEventListener('abort', leave)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', leave)
  }
}
