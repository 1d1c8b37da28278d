// Reads the header of a .safetensors file: where each tensor lies and of what kind. Weights are not read.
import { open } from 'node:fs/promises'
import { z } from 'zod'
import { BtError, hasCode, messageOf } from '../errors.js'

/** One tensor as the header gives it; offsets count from the start of the file. */
export interface StoredTensor {
  name: string
  /** "F32", "BF16", "I64", ... */
  dtype: string
  shape: number[]
  offset: number
  byteLength: number
}

export interface SafetensorsHeader {
  tensors: StoredTensor[]
  metadata: Record<string, string>
}

/** Bytes of one element. */
const dtypeBytes: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
}

/** The limit of the format's own reader. */
const maxHeaderBytes = 100_000_000

const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.number().int().nonnegative()),
  data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
})

/**
 * Format: 8 bytes of header length (little-endian), a JSON header, then the data.
 * Source: https://github.com/huggingface/safetensors#format
 * @throws {BtError} BT_MODEL_NOT_FOUND when there is no such file, BT_SAFETENSORS naming file and tensor when the
 * header is not valid, offsets overlap, leave gaps or do not fit dtype and shape, or the file is cut short
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  const { text, dataStart, fileSize } = await readHeaderText(path)
  const entries = parseHeader(path, text)
  const metadata = parseMetadata(path, entries.get('__metadata__'))
  entries.delete('__metadata__')
  const tensors = [...entries].map(([name, entry]) => storedTensor(path, name, entry, dataStart, fileSize))
  checkCoverage(path, tensors, dataStart, fileSize)
  return { tensors, metadata }
}

async function readHeaderText(path: string): Promise<{ text: string; dataStart: number; fileSize: number }> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    if (!hasCode(error, 'ENOENT')) throw error
    throw new BtError('BT_MODEL_NOT_FOUND', `${path}: no such file`, { cause: error })
  })
  try {
    const { size } = await handle.stat()
    if (size < 8) throw damaged(path, `has ${size} bytes, not even a header length`)
    const prefix = Buffer.alloc(8)
    await handle.read(prefix, 0, 8, 0)
    const length = Number(prefix.readBigUInt64LE())
    if (length > maxHeaderBytes) throw damaged(path, `claims a header of ${length} bytes: not a safetensors file`)
    if (8 + length > size) throw damaged(path, `is cut short within its header (${size} bytes of ${8 + length})`)
    const header = Buffer.alloc(length)
    await handle.read(header, 0, length, 8)
    return { text: header.toString('utf8'), dataStart: 8 + length, fileSize: size }
  } finally {
    await handle.close()
  }
}

/** JSON.parse keeps the last of two equal keys and says nothing, so the keys are looked for in the text, too. */
function parseHeader(path: string, text: string): Map<string, unknown> {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw damaged(path, `has a header that is not JSON: ${messageOf(error)}`)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw damaged(path, 'has a header that is not a JSON object')
  }
  const seen = new Set<string>()
  for (const name of topLevelKeys(text)) {
    if (seen.has(name)) throw damaged(path, `lists ${name} twice`)
    seen.add(name)
  }
  return new Map(Object.entries(parsed))
}

/** Keys of the outermost object of valid JSON, repeated ones included. A pattern would end the stack at texts of megabytes. */
function topLevelKeys(text: string): string[] {
  const keys: string[] = []
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') depth--
    else if (character === '"') {
      const end = stringEnd(text, at)
      if (depth === 1 && isBeforeColon(text, end)) keys.push(JSON.parse(text.slice(at, end)) as string)
      at = end - 1
    }
  }
  return keys
}

/** The place after the string of valid JSON that begins at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function isBeforeColon(text: string, at: number): boolean {
  while (/\s/.test(text[at] ?? '.')) at++
  return text[at] === ':'
}

function parseMetadata(path: string, value: unknown): Record<string, string> {
  if (value === undefined) return {}
  const parsed = z.record(z.string(), z.string()).safeParse(value)
  if (!parsed.success) throw damaged(path, 'has __metadata__ that is not text to text')
  return parsed.data
}

function storedTensor(path: string, name: string, entry: unknown, dataStart: number, fileSize: number): StoredTensor {
  const parsed = entrySchema.safeParse(entry)
  if (!parsed.success) throw damaged(path, `describes ${name} wrongly: ${z.prettifyError(parsed.error)}`)
  const { dtype, shape, data_offsets: offsets } = parsed.data
  const [begin, end] = offsets
  const bytes = Object.hasOwn(dtypeBytes, dtype) ? dtypeBytes[dtype]! : undefined
  if (bytes === undefined) throw damaged(path, `stores ${name} as ${dtype}, which is not a known type`)
  const needed = shape.reduce((product, size) => product * size, bytes)
  if (end - begin !== needed) {
    throw damaged(path, `gives ${name} ${end - begin} bytes where ${dtype} [${shape}] takes ${needed}`)
  }
  if (dataStart + end > fileSize) {
    throw damaged(path, `is cut short: ${name} ends at byte ${dataStart + end}, the file has ${fileSize}`)
  }
  return { name, dtype, shape, offset: dataStart + begin, byteLength: needed }
}

/** Tensors follow each other without overlap or gap, from the start of the data to the end of the file. */
function checkCoverage(path: string, tensors: StoredTensor[], dataStart: number, fileSize: number): void {
  let end = dataStart
  let before = 'the header'
  for (const { name, offset, byteLength } of [...tensors].sort(
    (a, b) => a.offset - b.offset || a.byteLength - b.byteLength,
  )) {
    if (offset < end) throw damaged(path, `has ${before} and ${name} overlap`)
    if (offset > end) throw damaged(path, `has ${offset - end} bytes of nothing before ${name}`)
    end = offset + byteLength
    before = name
  }
  if (end !== fileSize) throw damaged(path, `has ${fileSize - end} bytes after its last tensor, ${before}`)
}

function damaged(path: string, what: string): BtError {
  return new BtError('BT_SAFETENSORS', `${path} ${what}`, {
    remedy: 'The file is damaged or was not wholly copied: fetch it again.',
  })
}
