// What was read out of a GGUF header, kept: its vocabulary of tens of thousands of texts takes a fifth of a second to
// read, and the file stays the same for as long as its inode, size and times do.
import { stat } from 'node:fs/promises'
import { type Cache, cacheKey, codeStamp, readEntry, writeEntry } from '../cache.js'
import type { UnnamedSource } from './types.js'

const headers: Cache = { name: 'headers', maxBytes: 200_000_000, maxEntries: 32 }

/** The source of `file` as `read` makes it, or as it made it when the file was last read. */
export async function cachedSource(file: string, read: () => Promise<UnnamedSource>): Promise<UnnamedSource> {
  const key = await keyOf(file)
  const known = key === undefined ? undefined : await readEntry(headers, key)
  if (known) return decode(known)
  const source = await read()
  if (key !== undefined && key === (await keyOf(file))) await writeEntry(headers, key, encode(source))
  return source
}

/** Undefined where there is no such file: whoever reads it says so. */
async function keyOf(file: string): Promise<string | undefined> {
  const found = await stat(file, { bigint: true }).catch(() => undefined)
  if (!found?.isFile()) return undefined
  const { dev, ino, size, mtimeNs, ctimeNs } = found
  return cacheKey([codeStamp('models'), file, ...[dev, ino, size, mtimeNs, ctimeNs].map(String)])
}

/** A line of JSON, then the tokenizer.json, which need not be parsed to be kept. */
function encode(source: UnnamedSource): Uint8Array[] {
  const { json, ...tokenizer } = source.tokenizer
  return [Buffer.from(`${JSON.stringify({ ...source, tokenizer })}\n`), Buffer.from(json)]
}

function decode(bytes: Buffer): UnnamedSource {
  const end = bytes.indexOf(10)
  const source = JSON.parse(bytes.toString('utf8', 0, end)) as UnnamedSource
  return { ...source, tokenizer: { ...source.tokenizer, json: bytes.toString('utf8', end + 1) } }
}
