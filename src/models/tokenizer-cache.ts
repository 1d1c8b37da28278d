// Deriving a SentencePiece vocabulary's merges takes a quarter of a second: the resulting tokenizer.json is kept in
// the user's cache, by the hash of what it was made from.
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../errors.js'
import { sha256, writeFileAtomic } from '../files.js'
import { cacheFolder } from '../paths.js'

/** Raise when the derivation changes, so that old results are not used. */
const derivation = 2

/** The cached JSON for `content`, or what `derive` makes, which is then cached. A cache that cannot be written is not used. */
export async function cachedTokenizer(content: string | Uint8Array, derive: () => string): Promise<string> {
  const folder = join(cacheFolder(), 'tokenizers')
  const path = join(folder, `${sha256(content).slice(0, 32)}-${derivation}.json`)
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) return derive() // an unreadable cache costs time, not the result
  }
  const json = derive()
  await mkdir(folder, { recursive: true })
    .then(() => writeFileAtomic(path, json))
    .catch(() => undefined) // a read-only home: derived again next time
  return json
}
