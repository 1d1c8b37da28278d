// OUTPUT.meta.json beside the rows of preprocess: what they were made from, so that the same call again knows that
// nothing is left to do, and another one says what differs. Knows nothing of how rows are made.
import { readFile, rm, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { BtError, hasCode } from '../errors.js'
import { sha256File, writeFileAtomic } from '../files.js'
import { packageVersion } from '../version.js'

/** Everything that the rows are a function of, but the inputs: name and value. */
export type Shaping = Record<string, unknown>

/** Content of OUTPUT.meta.json. */
interface Meta<Report> {
  version: string
  shaping: Shaping
  /** What was read: same path, size and time mean the same rows. */
  inputs: InputStamp[]
  /** Hex SHA-256 of each file with rows, in the order in which they are named. */
  outputs: string[]
  report: Report
}

/** An input as it was when it was looked at. Times are milliseconds; bytes is -1 for a pipe and for what is gone. */
export type InputStamp = { path: string; bytes: number; modified: number; gone?: boolean }

/** What a call would do. */
export interface Work {
  /** Files that it would write rows to, the first of which names the record. */
  outputs: string[]
  inputs: InputStamp[]
  shaping: Shaping
}

/**
 * The report of an earlier call that did the very same; undefined when no output is there.
 * @throws {BtError} BT_OUTPUT_EXISTS when an output is there that this call would not have written, naming what differs
 */
export async function finishedReport<Report>(now: Work): Promise<Report | undefined> {
  const there = await Promise.all(now.outputs.map(exists))
  const first = now.outputs[there.indexOf(true)]
  if (first === undefined) return undefined
  if (now.inputs.some(({ gone }) => gone)) return undefined // whoever reads it says so, before anything is replaced
  const meta = await readMeta<Report>(metaPath(now.outputs))
  const missing = now.outputs[there.indexOf(false)]
  if (!meta || missing !== undefined) throw outputExists(first, missing && `${missing} does not`)
  const changes = [
    ...shapingChanges({ version: meta.version, ...meta.shaping }, { version: packageVersion(), ...now.shaping }),
    ...inputChanges(meta.inputs, now.inputs),
  ]
  if (changes.length > 0) throw outputExists(first, `it was made with ${changes.join('; ')}`)
  for (const [index, path] of now.outputs.entries()) {
    if ((await sha256File(path)) !== meta.outputs[index]) throw outputExists(path, 'it was changed since it was made')
  }
  return meta.report
}

/** Notes that the outputs are whole. */
export async function writeFinished<Report>({ outputs, inputs, shaping }: Work, report: Report): Promise<void> {
  const meta: Meta<Report> = {
    version: packageVersion(),
    shaping: JSON.parse(JSON.stringify(shaping)) as Shaping,
    inputs,
    outputs: await Promise.all(outputs.map(sha256File)),
    report,
  }
  await writeFileAtomic(metaPath(outputs), `${JSON.stringify(meta, null, 2)}\n`)
}

/** The record of rows that are about to be replaced. */
export async function forgetFinished({ outputs }: Work): Promise<void> {
  await rm(metaPath(outputs), { force: true })
}

function metaPath(outputs: readonly string[]): string {
  return `${outputs[0]}.meta.json`
}

/** For an output that this call may not replace, and why. */
export function outputExists(path: string, more?: string): BtError {
  return new BtError('BT_OUTPUT_EXISTS', `${path} exists already${more ? `: ${more}` : ''}`, {
    remedy: 'Name another --output, or add --force to replace it.',
  })
}

/** What differs between two shapings, as a person reads it. */
export function shapingChanges(before: Shaping, now: Shaping): string[] {
  const text = (value: unknown) => JSON.stringify(value) ?? 'not set'
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])]
  return names
    .filter((name) => text(before[name]) !== text(now[name]))
    .map((name) => `${name} ${text(before[name])}, not ${text(now[name])}`)
}

function inputChanges(before: readonly InputStamp[], now: readonly InputStamp[]): string[] {
  const paths = (stamps: readonly InputStamp[]) => stamps.map(({ path }) => path).join(', ')
  if (paths(before) !== paths(now)) return [`input ${paths(before)}, not ${paths(now)}`]
  return now
    .filter(({ bytes, modified }, index) => {
      const old = before[index]!
      return bytes < 0 || bytes !== old.bytes || modified !== old.modified
    })
    .map(({ path, bytes }) => (bytes < 0 ? 'what came from a pipe' : `another content of ${path}`))
}

/** Inputs as they are now: to be asked before they are read. A pipe is never known to be the same. */
export async function stampInputs(inputs: readonly string[]): Promise<InputStamp[]> {
  return Promise.all(
    inputs.map(async (path) => {
      if (path === '-') return { path: '-', bytes: -1, modified: 0 }
      const found = await stat(path).catch((error: unknown) => {
        if (hasCode(error, 'ENOENT')) return undefined
        throw error
      })
      if (!found) return { path: resolve(path), bytes: -1, modified: 0, gone: true }
      return { path: resolve(path), bytes: found.isFile() ? found.size : -1, modified: found.mtimeMs }
    }),
  )
}

/** Undefined where there is none of preprocess: a record of that name may be another command's. */
async function readMeta<Report>(path: string): Promise<Meta<Report> | undefined> {
  try {
    const meta = JSON.parse(await readFile(path, 'utf8')) as Meta<Report>
    return meta.shaping && Array.isArray(meta.inputs) && Array.isArray(meta.outputs) ? meta : undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT') || error instanceof SyntaxError) return undefined
    throw error
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return false
    throw error
  }
}
