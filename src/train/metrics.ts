// metrics.jsonl of a run: a line a step and a line a validation, appended as they happen.
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { BtError, hasCode, messageOf } from '../errors.js'
import { diskError, writeFileAtomic } from '../files.js'

export interface Metrics {
  /** Appends a line. Numbers that JSON has no word for (Infinity, NaN) become null. */
  write(line: object): Promise<void>
  /** Makes all lines so far durable. */
  sync(): Promise<void>
  close(): Promise<void>
}

/**
 * Opens the file for appending. Lines of steps after `lastStep` are cut off first: they stem from work that was lost
 * with a kill and will be done again. So is a half-written line.
 */
export async function openMetrics(path: string, lastStep: number): Promise<Metrics> {
  await cutBack(path, lastStep)
  const file = await open(path, 'a')
  return {
    write: (line) => append(file, path, line),
    sync: () => file.sync(),
    close: () => file.close(),
  }
}

/**
 * Lines of such a file, as they stand; none where there is no file. A last line without its end is being written, and left
 * out.
 * @throws {BtError} BT_METRICS naming the line that is no JSON
 */
export async function readLines(path: string): Promise<Record<string, unknown>[]> {
  const lines = (await textOf(path))?.split('\n').slice(0, -1) ?? []
  return lines.map((line, index) => {
    try {
      return JSON.parse(line) as Record<string, unknown>
    } catch (error) {
      throw new BtError('BT_METRICS', `${path}:${index + 1} is no JSON: ${messageOf(error)}`, {
        remedy: 'Remove that line.',
      })
    }
  })
}

/** Parses JSON that holds losses: null under such a name is a number that JSON has no word for. */
export function parseLosses(text: string): unknown {
  return JSON.parse(text, (name, value) => (value === null && name.endsWith('Loss') ? Number.NaN : value))
}

async function append(file: FileHandle, path: string, line: object): Promise<void> {
  try {
    await file.appendFile(`${JSON.stringify(line)}\n`)
  } catch (error) {
    throw diskError(error, path)
  }
}

/** Takes the lines of steps after `lastStep`, and a half-written one, out of a file of lines; it need not be there. */
export async function cutBack(path: string, lastStep: number): Promise<void> {
  const text = await textOf(path)
  if (text === undefined) return
  const lines = text.split('\n').slice(0, -1) // what follows the last newline is empty or half a line
  const kept = lines.filter((line) => (JSON.parse(line) as { step: number }).step <= lastStep)
  const content = kept.map((line) => `${line}\n`).join('')
  if (content !== text) await writeFileAtomic(path, content)
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
