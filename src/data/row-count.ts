// How many rows a file has, counted beside the work that reads it: what progress is a share of.
import { open } from 'node:fs/promises'
import { countParquet } from './parquet.js'

/** Bytes that are looked at between two turns of the event loop. */
const chunkBytes = 1 << 20

/** Counts ahead of whoever reads; wrong in what is malformed, which readers leave out and count. */
export class RowCount {
  private counted: number | undefined
  private readonly leave = new AbortController()

  /**
   * @param input a file, or "-"
   * @param limit rows that are read at most
   */
  constructor(
    input: string,
    private readonly limit: number | undefined,
  ) {
    // What is wrong with a file is told by whoever reads it.
    if (input !== '-') countRows(input, limit, this.leave.signal).then(this.take, () => undefined)
  }

  /** As far as it is known. */
  get total(): number | undefined {
    return this.counted ?? this.limit
  }

  /** Stops counting. */
  close(): void {
    this.leave.abort()
  }

  private readonly take = (rows: number | undefined) => {
    this.counted = rows
  }
}

/**
 * Lines of a JSONL file that are not empty, or rows of a Parquet file, up to `limit`; undefined for gzip and for one JSON
 * array, which have to be read to be counted.
 */
export async function countRows(
  path: string,
  limit = Number.POSITIVE_INFINITY,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const file = await open(path)
  try {
    const buffer = Buffer.allocUnsafe(chunkBytes)
    let rows = 0
    // Whether the line under way holds anything but white space.
    let filled = false
    for (let first = true; rows < limit && !signal?.aborted; first = false) {
      const { bytesRead } = await file.read(buffer, 0, chunkBytes)
      if (bytesRead === 0) return Math.min(limit, rows + (filled ? 1 : 0))
      const chunk = buffer.subarray(0, bytesRead)
      if (first && chunk.subarray(0, 4).toString('latin1') === 'PAR1') {
        return Math.min(limit, await countParquet(path))
      }
      if (first && !chunk.toString('latin1', 0, 64).replace('\u00ef\u00bb\u00bf', '').trimStart().startsWith('{')) {
        return undefined
      }
      for (let from = 0; from < bytesRead; ) {
        const end = chunk.indexOf(0x0a, from)
        const line = chunk.subarray(from, end < 0 ? bytesRead : end)
        filled ||= line.some((byte) => byte > 0x20)
        if (end < 0) break
        if (filled) rows++
        filled = false
        from = end + 1
      }
    }
    return signal?.aborted ? undefined : limit
  } finally {
    await file.close()
  }
}
