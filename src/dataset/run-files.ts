// Which files of a run's folder hold what: the layout that `bt-native run` leaves, read without asking it.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BtError, hasCode } from '../errors.js'
import type { LineageInputs } from './lineage.js'

const rows = /\.(jsonl|jsonl\.gz|parquet)$/
/** Rows that are an array job's or were left out of the work, beside those that count. */
const otherRows = /\.(shard-\d+-of-\d+|partial|dropped|scored|validation)\./

/** Name of the lineage in a run's folder. */
export const lineageFile = 'lineage.parquet'

/**
 * The files of a run's stages; a stage that has not run has none.
 * @throws {BtError} BT_RUN_NOT_FOUND when there is neither a seed nor a pair in the folder
 */
export async function lineageInputsOf(folder: string): Promise<LineageInputs> {
  const inside = (name: string, fits: (file: string) => boolean = (file) => rows.test(file) && !otherRows.test(file)) =>
    filesIn(join(folder, name), fits)
  const inputs = {
    seed: await inside('seed'),
    segments: await inside('corpus'),
    pairs: await inside('augment'),
    scored: [] as NonNullable<LineageInputs['scored']>,
    rewritten: [] as string[],
    training: [] as NonNullable<LineageInputs['training']>,
  }
  if (inputs.seed.length === 0 && inputs.pairs.length === 0) {
    throw new BtError('BT_RUN_NOT_FOUND', `${folder}: neither seed/ nor augment/ has rows in it`, {
      remedy: 'Give the --output folder of `bt-native run`, or a file with --lineage.',
    })
  }
  for (const iteration of await numbered(folder, 'curate')) {
    const [file] = await inside(`curate-${iteration}`, (name) => /\.scored\.(jsonl|jsonl\.gz|parquet)$/.test(name))
    if (file) inputs.scored.push({ iteration, file })
  }
  for (const iteration of await numbered(folder, 'rewrite'))
    inputs.rewritten.push(...(await inside(`rewrite-${iteration}`)))
  const mixes = await numbered(folder, 'mix')
  const trained = inputs.seed.filter((file) => !/held-out/.test(file))
  if (!mixes.includes(0) && trained.length > 0) inputs.training.push({ model: 'm0', files: trained })
  for (const iteration of mixes) {
    const files = await inside(`mix-${iteration}`)
    if (files.length > 0) inputs.training.push({ model: `m${iteration}`, files })
  }
  const control = await inside('mix-control')
  if (control.length > 0) inputs.training.push({ model: 'control', files: control })
  return inputs
}

/** All of them, in one list. */
export function allFiles({ seed, segments, pairs, scored, rewritten, training }: LineageInputs): string[] {
  const lists = [
    seed,
    segments,
    pairs,
    scored?.map(({ file }) => file),
    rewritten,
    training?.flatMap(({ files }) => files),
  ]
  return [...new Set(lists.flatMap((files) => files ?? []))]
}

/** Whether a file is there and none of the others was written after it. */
export async function isNewest(file: string, others: readonly string[]): Promise<boolean> {
  const found = await stat(file).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  })
  if (!found) return false
  const times = await Promise.all(others.map(async (path) => (await stat(path)).mtimeMs))
  return times.every((time) => time <= found.mtimeMs)
}

async function filesIn(folder: string, fits: (file: string) => boolean): Promise<string[]> {
  const names = await namesIn(folder)
  return names.filter((name) => fits(name)).map((name) => join(folder, name))
}

/** N of the folders "NAME-N", in order. */
async function numbered(folder: string, name: string): Promise<number[]> {
  const found = (await namesIn(folder)).map((entry) => new RegExp(`^${name}-(\\d+)$`).exec(entry)?.[1])
  return found.flatMap((number) => (number === undefined ? [] : [Number(number)])).toSorted((a, b) => a - b)
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).toSorted()
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return []
    throw error
  }
}
