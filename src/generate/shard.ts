// Which rows of the input a process of an array job writes, and what their file is called. Rows are dealt out in turn, so
// that shards take equally long and can be told from a pipe.
import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { BtError } from '../errors.js'

/** One part of an array job: every count-th row of the input, from the index-th on. */
export interface Shard {
  /** From 1 to count. */
  index: number
  count: number
}

export const shardPattern = /^(auto|[1-9]\d{0,8}\/[1-9]\d{0,8})$/

/**
 * Reads "i/n". "auto" takes Slurm's SLURM_ARRAY_TASK_ID, _COUNT, _MIN and _STEP (whatever number the array begins with), or
 * a Kubernetes indexed job's JOB_COMPLETION_INDEX (from 0), with JOB_COMPLETION_COUNT, which the job's own specification
 * has to set to its completions.
 * @throws {BtError} BT_USAGE
 */
export function parseShard(text: string, env: NodeJS.ProcessEnv = process.env): Shard {
  if (text === 'auto') return shardOfJob(env)
  const [index, count] = text.split('/').map(Number) as [number, number]
  return checked({ index, count }, `--shard ${text}`)
}

function shardOfJob(env: NodeJS.ProcessEnv): Shard {
  const number = (name: string, fallback?: number): number => {
    const text = env[name]
    if ((text === undefined || text === '') && fallback !== undefined) return fallback
    const value = Number(text)
    if (text !== undefined && text !== '' && Number.isSafeInteger(value) && value >= 0) return value
    throw new BtError('BT_USAGE', `--shard auto: ${name} is ${text ? `${text}, no count` : 'not set'}`, {
      remedy: 'Set it in the specification of the job, or name the shard: --shard 1/8.',
    })
  }
  if (env.SLURM_ARRAY_TASK_ID) {
    const first = number('SLURM_ARRAY_TASK_MIN', 0)
    const place = (number('SLURM_ARRAY_TASK_ID') - first) / number('SLURM_ARRAY_TASK_STEP', 1)
    return checked({ index: place + 1, count: number('SLURM_ARRAY_TASK_COUNT') }, '--shard auto, of Slurm')
  }
  if (env.JOB_COMPLETION_INDEX) {
    const index = number('JOB_COMPLETION_INDEX') + 1
    return checked({ index, count: number('JOB_COMPLETION_COUNT') }, '--shard auto, of Kubernetes')
  }
  throw new BtError('BT_USAGE', '--shard auto: this is no array job of Slurm and no indexed job of Kubernetes', {
    remedy: 'Name the shard: --shard 1/8.',
  })
}

function checked({ index, count }: Shard, what: string): Shard {
  if (Number.isSafeInteger(index) && index >= 1 && index <= count) return { index, count }
  throw new BtError('BT_USAGE', `${what}: there is no shard ${index} of ${count}`, {
    remedy: 'The first is 1/n, the last n/n.',
  })
}

/**
 * "pairs.jsonl" of shard 2/8: "pairs.shard-2-of-8.jsonl", in the same folder. What is made at the end (.json, .parquet) is
 * made of the whole: its shards are .jsonl.
 */
export function shardPath(output: string, { index, count }: Shard): string {
  const { name, ending } = shardName(output)
  return join(dirname(output), `${name}.shard-${index}-of-${count}${ending}`)
}

function shardName(output: string): { name: string; ending: string } {
  const [, name, ending] = /^(.+?)(\.jsonl|\.jsonl\.gz|\.json|\.parquet)?$/.exec(basename(output))!
  return { name: name!, ending: ending === '.json' || ending === '.parquet' ? '.jsonl' : (ending ?? '') }
}

/** The shards of an output that lie beside it, by their count, then index. */
export async function findShards(output: string): Promise<(Shard & { path: string })[]> {
  const { name, ending } = shardName(output)
  const folder = dirname(output)
  const found = (await readdir(folder)).flatMap((file) => {
    if (!file.startsWith(`${name}.shard-`) || !file.endsWith(ending)) return []
    const middle = file.slice(name.length, file.length - ending.length)
    const [, index, count] = /^\.shard-(\d+)-of-(\d+)$/.exec(middle) ?? []
    return index === undefined ? [] : [{ index: Number(index), count: Number(count), path: join(folder, file) }]
  })
  return found.sort((a, b) => a.count - b.count || a.index - b.index)
}

/** The shard's rows, numbered from 0 without gaps. */
export async function* rowsOfShard<Row extends { index: number }>(
  rows: AsyncIterable<Row>,
  { index, count }: Shard,
): AsyncGenerator<Row> {
  for await (const row of rows) {
    if (row.index % count === index - 1) yield { ...row, index: Math.floor(row.index / count) }
  }
}
