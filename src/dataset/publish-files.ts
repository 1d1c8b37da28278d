// Which files of a folder go to the Hub, and what the Hub would call their content: SHA-256 for large files, git's hash of
// a blob for the others.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BtError, hasCode } from '../errors.js'

/** Kinds of repositories of the Hub. */
export type RepoType = 'dataset' | 'model'

export interface LocalFile {
  /** In the repository, with "/" between folders. */
  path: string
  /** Where it lies here. */
  file: string
  bytes: number
}

/** What no repository wants: hidden files, records of commands, work under way. */
const left = /(^|\/)\.|\.meta\.json$|\.tmp$|\.incomplete$|\.partial\.jsonl$|\.work(\/|$)/

/** Of a model or adapter folder: what loads it and what it is. Samples and reports hold texts of the training data. */
const ofModel =
  /^(README\.md|LICENSE[^/]*|NOTICE[^/]*|adapter_config\.json|config\.json|generation_config\.json|bt_native\.json|tokenizer[^/]*|special_tokens_map\.json|vocab\.json|merges\.txt|chat_template[^/]*|[^/]*\.safetensors(\.index\.json)?|[^/]*\.gguf)$/

/**
 * The files that go, by path.
 * @throws {BtError} BT_DATA_FILE when there is no such folder, or nothing in it
 */
export async function publishedFiles(folder: string, type: RepoType): Promise<LocalFile[]> {
  const names = await namesIn(folder)
  const fit = names.filter((path) => !left.test(path) && (type === 'dataset' || ofModel.test(path)))
  if (fit.length === 0) throw new BtError('BT_DATA_FILE', `${folder}: there is no file of a ${type} in it`)
  return Promise.all(
    fit
      .toSorted()
      .map(async (path) => ({ path, file: join(folder, path), bytes: (await stat(join(folder, path))).size })),
  )
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true })
    const files = await Promise.all(
      entries.map(async (entry) => {
        const path = join(entry.parentPath, entry.name)
        return entry.isFile() || (entry.isSymbolicLink() && (await stat(path)).isFile()) ? [path] : []
      }),
    )
    return files.flat().map((path) => path.slice(join(folder, '/').length).replaceAll('\\', '/'))
  } catch (error) {
    if (!hasCode(error, 'ENOENT') && !hasCode(error, 'ENOTDIR')) throw error
    throw new BtError('BT_DATA_FILE', `${folder}: no such folder`, { cause: error })
  }
}

/** "model" for a folder with a model or an adapter in it, else "dataset". */
export async function typeOf(folder: string): Promise<RepoType> {
  const names = await namesIn(folder)
  return names.some((name) => /^(adapter_config\.json|config\.json|[^/]*\.gguf)$/.test(name)) ? 'model' : 'dataset'
}

/** Hex hash of a file as the Hub lists it. */
export async function hubHash({ file, bytes }: LocalFile, large: boolean): Promise<string> {
  const hash = createHash(large ? 'sha256' : 'sha1')
  if (!large) hash.update(`blob ${bytes}\0`)
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
