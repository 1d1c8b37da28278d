// Which files a corpus is: folders searched, globs expanded, each with its size and time, in an order that stays.
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { BtError, hasCode } from '../errors.js'

export interface CorpusFile {
  /** As the user would name it. "-" is stdin. */
  path: string
  /** -1 for a pipe. */
  bytes: number
  /** Milliseconds. */
  modified: number
}

export interface Corpus {
  files: CorpusFile[]
  /** Files of folders that are of no kind that is read. */
  passedOver: number
}

export type FileKind = 'html' | 'markdown' | 'text' | 'warc' | 'records'

const endings: Record<FileKind, string[]> = {
  html: ['html', 'htm', 'xhtml'],
  markdown: ['md', 'markdown'],
  text: ['txt', 'text'],
  warc: ['warc', 'wet'],
  records: ['jsonl', 'ndjson', 'json', 'parquet'],
}
const kindOfEnding = new Map(
  Object.entries(endings).flatMap(([kind, list]) => list.map((ending) => [ending, kind as FileKind])),
)

/** By the name, ".gz" aside; undefined for others, whose content tells. */
export function kindOf(path: string): FileKind | undefined {
  if (path.endsWith('.meta.json')) return undefined // what commands note beside their outputs
  const ending = /\.([^./]+)$/.exec(path.toLowerCase().replace(/\.gz$/, ''))?.[1]
  return ending === undefined ? undefined : kindOfEnding.get(ending)
}

/**
 * The files that the inputs name: files as they are, those of folders and their subfolders by name, and what globs match.
 * Each comes once. Hidden files and links to folders are not followed.
 * @param outputs files and folders that are no part of the corpus where a folder or a glob finds them
 * @throws {BtError} BT_DATA_FILE for what is not there, BT_DATA_EMPTY when no file is left
 */
export async function findCorpus(inputs: readonly string[], outputs: readonly string[] = []): Promise<Corpus> {
  const found = new Map<string, string>()
  const ours = outputs.map((path) => resolve(path))
  const isOurs = (path: string) => ours.some((one) => resolve(path) === one || resolve(path).startsWith(`${one}/`))
  let passedOver = 0
  for (const input of inputs) {
    for (const path of await pathsOf(input)) {
      if (path.path !== input && isOurs(path.path)) continue
      if (path.known) found.set(input === '-' ? '-' : resolve(path.path), path.path)
      else passedOver++
    }
  }
  if (found.size === 0) {
    throw new BtError('BT_DATA_EMPTY', `${inputs.join(', ')}: there is no file that can be read`, {
      remedy: `Read are ${[...kindOfEnding.keys()].map((ending) => `.${ending}`).join(' ')}, each with .gz as well.`,
    })
  }
  const files: CorpusFile[] = []
  for (const path of found.values()) files.push(await stampOf(path))
  return { files, passedOver }
}

type FoundPath = { path: string; known: boolean }

async function pathsOf(input: string): Promise<FoundPath[]> {
  if (input === '-') return [{ path: '-', known: true }]
  const there = await statOf(input)
  if (there && !there.isDirectory()) return [{ path: input, known: true }]
  if (!there && !/[*?[\]{}]/.test(input)) throw new BtError('BT_DATA_FILE', `${input}: no such file or folder`)
  const { glob } = await import('tinyglobby')
  const options = { onlyFiles: true, followSymbolicLinks: false, dot: false }
  if (there) {
    const names = await glob('**/*', { ...options, cwd: input })
    return names.sort().map((name) => ({ path: join(input, name), known: kindOf(name) !== undefined }))
  }
  const paths = await glob(input, { ...options, absolute: input.startsWith('/') })
  if (paths.length === 0) throw new BtError('BT_DATA_FILE', `${input}: matches no file`)
  return paths.sort().map((path) => ({ path, known: true }))
}

/**
 * Size and time as they are now; a pipe is never known to be the same.
 * @throws {BtError} BT_DATA_FILE when the file is gone
 */
export async function stampOf(path: string): Promise<CorpusFile> {
  if (path === '-') return { path, bytes: -1, modified: 0 }
  const found = await statOf(path)
  if (!found) throw new BtError('BT_DATA_FILE', `${path}: no such file`)
  return { path, bytes: found.size, modified: found.mtimeMs }
}

async function statOf(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return undefined
    throw error
  }
}
