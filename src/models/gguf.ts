// Opens a .gguf file: header through @huggingface/gguf, tensors under Hugging Face's names. Weights are not read.
import { open, stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import type { GGUFTensorInfo } from '@huggingface/gguf'
import type { ModelConfig, TensorEntry } from '../../binding.js'
import { BtError, messageOf } from '../errors.js'
import { architectureOf, configFromGguf } from './gguf-config.js'
import { type Metadata, optional, type TypedMetadata } from './gguf-metadata.js'
import { ggmlTypes, hubName } from './gguf-tables.js'
import { tokenizerFromGguf } from './gguf-tokenizer.js'
import { elementsOf, storedBytes } from './layout.js'
import { assembleSource } from './source.js'
import { cachedSource } from './source-cache.js'
import type { ModelSource, UnnamedSource } from './types.js'

/** Not weights: rotary tables, which the configuration covers. */
const tables = /^(rope_freqs\.weight|blk\.\d+\.attn_rot_embd\.weight)$/

export interface GgufOptions {
  name?: string
  reference?: string
}

/**
 * @throws {BtError} BT_GGUF when the file is damaged, BT_MODEL_UNKNOWN, BT_MODEL_UNSUPPORTED, BT_TOKENIZER_UNKNOWN,
 * BT_TENSOR_UNKNOWN, BT_TENSOR_MISSING, BT_TENSOR_SHAPE, BT_TENSOR_TYPE, BT_TENSOR_OUT_OF_RANGE
 */
export async function openGguf(path: string, options: GgufOptions = {}): Promise<ModelSource> {
  const file = resolve(path)
  const source = await cachedSource(file, () => readSource(file))
  const name = options.name ?? basename(file).replace(/\.gguf$/i, '')
  return { ...source, name, reference: options.reference ?? path }
}

async function readSource(file: string): Promise<UnnamedSource> {
  const header = await readHeader(file)
  return naming(file, async () => {
    const { metadata, infos } = header
    const byName = new Map(infos.map((info) => [info.name, info]))
    const embedding = byName.get('token_embd.weight')
    if (embedding === undefined) throw new BtError('BT_TENSOR_MISSING', 'missing token_embd.weight')
    const config = configFromGguf(metadata, {
      embedding: shapeOf(embedding),
      has: (name) => byName.has(name),
      ropeFactors: await readRopeFactors(file, header),
    })
    return assembleSource({
      path: file,
      format: 'gguf',
      config,
      files: [file],
      tensors: tensorTable(header, config),
      tokenizer: await tokenizerFromGguf(metadata),
    })
  })
}

/** A file's metadata with the type of each entry, to be written again. @throws {BtError} BT_GGUF */
export async function readGgufMetadata(path: string): Promise<TypedMetadata> {
  return (await readHeader(resolve(path))).typed
}

interface Header {
  metadata: Metadata
  typed: TypedMetadata
  infos: GGUFTensorInfo[]
  /** Bytes from the start of the file to the first tensor. */
  dataOffset: number
  fileSize: number
}

async function readHeader(file: string): Promise<Header> {
  const { size } = await stat(file)
  await checkMagic(file)
  const { gguf } = await import('@huggingface/gguf')
  try {
    const parsed = await gguf(file, { allowLocalFile: true, typedMetadata: true })
    const { metadata, typedMetadata, tensorInfos, tensorDataOffset, littleEndian } = parsed
    if (!littleEndian) throw new Error('it is stored big-endian')
    if (Number(tensorDataOffset) > size) throw new Error('it ends within its header')
    return {
      metadata: metadata as unknown as Metadata,
      typed: typedMetadata as TypedMetadata,
      infos: tensorInfos,
      dataOffset: Number(tensorDataOffset),
      fileSize: size,
    }
  } catch (error) {
    throw new BtError('BT_GGUF', `${file}: the GGUF header cannot be read: ${messageOf(error)}`, {
      remedy: 'The file is damaged or cut short: fetch it again.',
      cause: error,
    })
  }
}

/** So that a file of another kind is named as such before megabytes of it are parsed. */
async function checkMagic(file: string): Promise<void> {
  const handle = await open(file, 'r')
  try {
    const start = Buffer.alloc(4)
    await handle.read(start, 0, 4, 0)
    if (start.toString('latin1') !== 'GGUF') {
      throw new BtError('BT_GGUF', `${file}: not a GGUF file: it does not start with "GGUF"`)
    }
  } finally {
    await handle.close()
  }
}

/** Puts the file's name before the message of any BtError that `work` throws. */
async function naming<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof BtError) || error.message.startsWith(file)) throw error
    throw new BtError(error.code, `${file}: ${error.message}`, { remedy: error.remedy, cause: error })
  }
}

/** Row-major, outermost first: GGUF lists the innermost dimension first. */
function shapeOf(info: GGUFTensorInfo): number[] {
  return info.shape.map(Number).reverse()
}

function tensorTable(header: Header, config: ModelConfig): TensorEntry[] {
  if ((optional(header.metadata, 'split.count', 'number') ?? 1) > 1) {
    throw new BtError('BT_MODEL_UNSUPPORTED', 'a GGUF model split over several files is not supported', {
      remedy: 'Join the parts with `llama-gguf-split --merge`.',
    })
  }
  const { interleaved } = architectureOf(header.metadata)
  const table = header.infos.filter(({ name }) => !tables.test(name)).map((info) => tensorEntry(header, info))
  for (const entry of table) {
    if (!interleaved) break
    if (/\.q_proj\.(weight|bias)$/.test(entry.name)) entry.interleavedHeads = config.heads
    if (/\.k_proj\.(weight|bias)$/.test(entry.name)) entry.interleavedHeads = config.kvHeads
  }
  checkOverlap(table)
  return table
}

function tensorEntry(header: Header, info: GGUFTensorInfo): TensorEntry {
  const type = ggmlTypes[info.dtype as number]
  if (type === undefined) {
    throw new BtError('BT_TENSOR_TYPE', `${info.name} is stored as GGML type ${info.dtype}, which is not supported`, {
      remedy: `Supported are ${Object.values(ggmlTypes).join(', ')}.`,
    })
  }
  const shape = shapeOf(info)
  const byteLength = storedBytes(type, shape)
  if (byteLength === undefined) {
    throw new BtError('BT_TENSOR_SHAPE', `${info.name} is [${shape}], not whole blocks of ${type}`)
  }
  const offset = header.dataOffset + Number(info.offset)
  if (!Number.isSafeInteger(offset + byteLength) || offset + byteLength > header.fileSize) {
    throw new BtError(
      'BT_TENSOR_OUT_OF_RANGE',
      `${info.name} lies at ${offset} to ${offset + byteLength}, the file has ${header.fileSize} bytes`,
      { remedy: 'The file is cut short: fetch it again.' },
    )
  }
  return { name: hubName(info.name), type, shape, file: 0, offset, byteLength }
}

function checkOverlap(table: readonly TensorEntry[]): void {
  const sorted = [...table].sort((a, b) => a.offset - b.offset)
  const names = new Set<string>()
  let before: TensorEntry | undefined
  for (const entry of sorted) {
    if (names.has(entry.name)) throw new BtError('BT_GGUF', `${entry.name} is stored twice`)
    names.add(entry.name)
    if (before !== undefined && before.offset + before.byteLength > entry.offset) {
      throw new BtError('BT_TENSOR_OUT_OF_RANGE', `${before.name} and ${entry.name} overlap`)
    }
    before = entry
  }
}

/** rope_freqs.weight: some dozens of numbers that stand for Llama 3's rope scaling. */
async function readRopeFactors(file: string, header: Header): Promise<Float32Array | undefined> {
  const info = header.infos.find(({ name }) => name === 'rope_freqs.weight')
  if (info === undefined) return undefined
  const { type, offset, byteLength, shape } = tensorEntry(header, info)
  if (type !== 'F32' || elementsOf(shape) > 4096)
    throw new BtError('BT_GGUF', 'rope_freqs.weight is not a short F32 row')
  const handle = await open(file, 'r')
  try {
    const bytes = new Uint8Array(byteLength)
    await handle.read(bytes, 0, byteLength, offset)
    return new Float32Array(bytes.buffer)
  } finally {
    await handle.close()
  }
}
