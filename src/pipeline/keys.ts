// What a stage is a function of, as names and hashes: files by their content, options as they are given, the model.
import { stat } from 'node:fs/promises'
import { relative } from 'node:path'
import { BtError, hasCode } from '../errors.js'
import { sha256, sha256File } from '../files.js'
import type { Stage } from './stage.js'
import type { FileStamp, StageRecord } from './state.js'

/** Digits of a hash that is compared within a run. */
const digits = 16

/** The stage's inputs by name, each with a hash or its value. */
export interface StageKey {
  key: string
  inputs: Record<string, string>
}

/** Hashes of files outside the run. One that has kept its size and time since it was read is not read again. */
export class FileHashes {
  private readonly known: Map<string, FileStamp>

  constructor(known: readonly FileStamp[]) {
    this.known = new Map(known.map((stamp) => [stamp.path, stamp]))
  }

  /** @throws {BtError} BT_DATA_FILE */
  async of(path: string): Promise<string> {
    const { bytes, modified } = await look(path)
    const old = this.known.get(path)
    if (old && old.bytes === bytes && old.modified === modified) return old.hash
    const hash = await sha256File(path)
    this.known.set(path, { path, bytes, modified, hash })
    return hash
  }

  /** All that are known, for the next call. */
  stamps(): FileStamp[] {
    return [...this.known.values()]
  }
}

async function look(path: string): Promise<{ bytes: number; modified: number }> {
  const found = await stat(path).catch((error: unknown) => {
    if (!hasCode(error, 'ENOENT')) throw error
    throw new BtError('BT_DATA_FILE', `${path}: no such file`, {
      remedy: "Paths in a recipe start at the recipe's folder.",
    })
  })
  if (!found.isFile()) throw new BtError('BT_DATA_FILE', `${path} is no file`)
  return { bytes: found.size, modified: found.mtimeMs }
}

/** Files that stages which are done have made, by path. */
export function filesOf(records: Iterable<StageRecord>): Map<string, FileStamp> {
  const done = [...records].filter(({ status }) => status === 'done')
  return new Map(done.flatMap(({ outputs }) => outputs.map((stamp) => [stamp.path, stamp])))
}

/**
 * The key of a stage; undefined while a file that it reads is not there.
 * @param before files of the stages before it
 */
export async function keyOf(
  stage: Stage,
  before: ReadonlyMap<string, FileStamp>,
  { model, hashes }: { model: string; hashes: FileHashes },
): Promise<StageKey | undefined> {
  const inputs: Record<string, string> = {}
  if (stage.usesModel) inputs.model = model.slice(0, digits)
  for (const [name, value] of Object.entries(stage.options)) {
    if (value !== undefined) inputs[name] = typeof value === 'string' ? value : JSON.stringify(value)
  }
  for (const path of (await stage.files?.()) ?? []) inputs[path] = (await hashes.of(path)).slice(0, digits)
  for (const path of stage.reads) {
    const stamp = before.get(path)
    if (!stamp) return undefined
    inputs[path] = stamp.hash.slice(0, digits)
  }
  return { key: sha256(JSON.stringify([stage.name, inputs])).slice(0, digits), inputs }
}

/** What differs between what a stage was made from and what it would be made from now, as a person reads it. */
export function changesOf(before: Record<string, string>, now: Record<string, string>, folder: string): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].filter((name) => before[name] !== now[name])
  const isFile = (name: string) => name.includes('/')
  return names.map((name) =>
    isFile(name)
      ? `${relative(folder, name).startsWith('..') ? name : relative(folder, name)} has another content`
      : `${name} ${before[name] ?? 'not set'}, now ${now[name] ?? 'not set'}`,
  )
}

/** Outputs of a stage as they are on disk now. @throws {BtError} BT_DATA_FILE for one that is not there */
export async function stampOutputs(stage: Stage, at: (path: string) => string): Promise<FileStamp[]> {
  return Promise.all(
    stage.outputs.map(async (path) => {
      const { size, mtimeMs } = await stat(at(path))
      return { path, bytes: size, modified: mtimeMs, hash: await sha256File(at(path)) }
    }),
  )
}

/** Whether the outputs of a record are there as it left them. A file with another time is read and compared. */
export async function outputsStand(record: StageRecord, at: (path: string) => string): Promise<boolean> {
  for (const { path, bytes, modified, hash } of record.outputs) {
    try {
      const found = await stat(at(path))
      if (found.size !== bytes) return false
      if (found.mtimeMs !== modified && (await sha256File(at(path))) !== hash) return false
    } catch (error) {
      if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return false
      throw error
    }
  }
  return true
}
