// The outputs of an array job's shards put together: what one process would have written, row for row.
import { openFile } from '../data/bytes.js'
import { readLines } from '../data/lines.js'
import { lockPath } from '../data/lock.js'
import type { ParquetColumns } from '../data/parquet-write.js'
import { BtError } from '../errors.js'
import type { OnProgress } from '../progress.js'
import { columnsOf } from './columns.js'
import { afterStored, finishedRows, type Meta, type OutputOptions, readMeta, reserveOutput, rowKey } from './output.js'
import { findShards, type Shard } from './shard.js'

/** Which shards to put together. */
export interface MergeOptions {
  /** What the shards were told as their --output. */
  output: string
  /** Replace what is there. */
  force?: boolean
}

/** How to watch the merge. */
export interface MergeControl {
  onProgress?: OnProgress
}

/** What became of the shards. */
export interface MergeSummary {
  output: string
  rows: number
  shards: number
  /** The output was complete before this call. */
  alreadyDone: boolean
}

interface ShardFile extends Shard {
  path: string
  meta: Meta
  rows: number
}

/** Rows of one write. */
const rowsAtOnce = 256

/**
 * Puts the finished shards of an output together, in the order of the input. The output and its record are, byte for byte, those
 * of a run without shards (of .jsonl.gz: once unpacked). The shards stay. Memory does not grow with their size.
 * @throws {BtError} BT_SHARDS when one is missing, not finished or of another run; BT_LOCKED when one is being written;
 * BT_OUTPUT_EXISTS, BT_OUTPUT_CHANGED as generate()
 */
export async function mergeShards(
  { output, force = false }: MergeOptions,
  control: MergeControl = {},
): Promise<MergeSummary> {
  const shards = await finishedShards(output)
  const locks = []
  try {
    for (const { path } of shards) locks.push(await lockPath(path, path))
    const rows = shards.reduce((sum, shard) => sum + shard.rows, 0)
    const options = outputOptions(shards[0]!, force)
    if ((await finishedRows(output, options)) === rows)
      return { output, rows, shards: shards.length, alreadyDone: true }
    await write(shards, output, { ...options, rows }, control)
    return { output, rows, shards: shards.length, alreadyDone: false }
  } finally {
    for (const lock of locks) await lock.release()
  }
}

async function finishedShards(output: string): Promise<ShardFile[]> {
  const found = await findShards(output)
  const count = found[0]?.count
  if (count === undefined) throw unfit(`beside ${output} there are no shards of it`)
  if (found.some((shard) => shard.count !== count)) {
    throw unfit(`beside ${output} there are shards of ${count} and of ${found.at(-1)!.count}: remove those of one kind`)
  }
  const shards: ShardFile[] = []
  for (let index = 1; index <= count; index++) {
    const shard = found.find((one) => one.index === index)
    if (!shard) throw unfit(`shard ${index} of ${count} of ${output} is missing`)
    const meta = await readMeta(shard.path)
    if (!meta?.finished || meta.rows === undefined) throw unfit(`${shard.path} is not finished`)
    shards.push({ ...shard, meta, rows: meta.rows })
  }
  const [first] = shards as [ShardFile]
  const what = ({ meta }: ShardFile) => JSON.stringify([meta.version, meta.fingerprint, meta.input])
  const other = shards.find((shard) => what(shard) !== what(first))
  if (other)
    throw unfit(`${other.path} was made with another version, other options or another input than ${first.path}`)
  const total = shards.reduce((sum, { rows }) => sum + rows, 0)
  const uneven = shards.find(({ index, rows }) => rows !== Math.max(0, Math.ceil((total - index + 1) / count)))
  if (uneven) throw unfit(`${uneven.path} has ${uneven.rows} of ${total} rows: the shards are not of one input`)
  return shards
}

function unfit(what: string): BtError {
  return new BtError('BT_SHARDS', what, {
    remedy: 'Run generate again with the same options and --shard i/n, for each shard that is not finished.',
  })
}

function outputOptions({ meta }: ShardFile, force: boolean): OutputOptions {
  return {
    fingerprint: meta.fingerprint,
    version: meta.version,
    input: meta.input.path,
    stamp: meta.input,
    force,
    keyOf: keyOfRow,
    columns: columnsByRecord(meta),
  }
}

/** Of a row that is whole: both texts, so that the task need not be known. */
function keyOfRow(row: Record<string, unknown>): string {
  return rowKey(row.id, [row.instruction, row.response])
}

/** The options that shape a row's columns, as the record has them. */
function columnsByRecord({ fingerprint }: Meta): ParquetColumns {
  return columnsOf({
    n: Number(fingerprint.n ?? 1),
    guard: fingerprint.guard === 'none' ? [] : ['copy'],
    logProbs: fingerprint.logProbs === true,
    keepCandidates: fingerprint.keepCandidates === true,
    turns: fingerprint.turns === 'last' ? 'last' : 'first',
  })
}

async function write(
  shards: ShardFile[],
  output: string,
  options: OutputOptions & { rows: number },
  { onProgress }: MergeControl,
): Promise<void> {
  const reserved = await reserveOutput(output, options)
  try {
    const file = await reserved.open(options.fingerprint)
    const rows = afterStored(interleaved(shards), file, {
      keyOf: ({ value }) => keyOfRow(value),
      names: { input: 'the shards', output },
    })
    let waiting: object[] = []
    for await (const { index, value } of rows) {
      waiting.push(value)
      if (waiting.length < rowsAtOnce) continue
      await file.append(...waiting)
      waiting = []
      onProgress?.({ label: 'merging', done: index + 1, total: options.rows, unit: 'rows' })
    }
    await file.append(...waiting)
    await file.finish()
  } finally {
    await reserved.release()
  }
}

/** Rows of the shards in turn, numbered as in the input. */
async function* interleaved(shards: ShardFile[]): AsyncGenerator<{ index: number; value: Record<string, unknown> }> {
  const readers = shards.map((shard) => rowsIn(shard))
  const total = shards.reduce((sum, { rows }) => sum + rows, 0)
  try {
    for (let index = 0; index < total; index++) {
      const { path } = shards[index % shards.length]!
      const next = await readers[index % shards.length]!.next()
      if (next.done) throw unfit(`${path} holds fewer rows than its record says`)
      yield { index, value: next.value }
    }
  } finally {
    for (const reader of readers) await reader.return(undefined)
  }
}

async function* rowsIn({ path, rows }: ShardFile): AsyncGenerator<Record<string, unknown>> {
  if (rows === 0) return
  const { bytes } = await openFile(path)
  for await (const { number, text, fault } of readLines(bytes)) {
    if (fault) throw unfit(`${path}:${number} ${fault}`)
    yield JSON.parse(text)
  }
}
