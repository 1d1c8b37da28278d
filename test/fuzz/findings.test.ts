// Files that once gave something else than an error that can be read: stacks that ended, lists without bounds, waits.
import { copyFile, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { Drops } from '../../src/data/drops.js'
import { readRows } from '../../src/data/rows.js'
import { readAdapter } from '../../src/models/adapter.js'
import { configFromGguf } from '../../src/models/gguf-config.js'
import { configFromHf, hfConfigSchema } from '../../src/models/hf-config.js'
import { checkTensors } from '../../src/models/layout.js'
import { readSafetensors } from '../../src/models/safetensors.js'
import { readSafetensorsHeader } from '../../src/models/safetensors-header.js'
import { safetensorsHeader } from '../../src/models/safetensors-write.js'
import { spmTokenizerJson } from '../../src/models/spm-json.js'
import { readDocuments } from '../../src/segment/documents.js'
import { openTokenizer } from '../../src/text/tokenizer.js'

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))
const newFolder = () => mkdtemp(join(tmpdir(), 'bt-finding-'))

async function fileWith(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(await newFolder(), name)
  await writeFile(path, content)
  return path
}

async function all<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const read: T[] = []
  for await (const row of rows) read.push(row)
  return read
}

describe('safetensors', () => {
  test('a tensor of an odd number of bytes is refused by its type', async () => {
    const header = safetensorsHeader([{ name: 'a', dtype: 'U8', shape: [3], byteLength: 3 }])
    const path = await fileWith('a.safetensors', Buffer.concat([header, Buffer.alloc(3)]))
    await expect(readSafetensors(path)).rejects.toMatchObject({ code: 'BT_TENSOR_TYPE' })
  })

  test('a header with a text of megabytes is read', async () => {
    const note = 'a\\"{'.repeat(4_000_000)
    const header = safetensorsHeader([{ name: 'a', dtype: 'U8', shape: [1], byteLength: 1 }], { note })
    const path = await fileWith('a.safetensors', Buffer.concat([header, Buffer.alloc(1)]))
    expect((await readSafetensorsHeader(path)).metadata.note).toBe(note)
  })
})

test('an adapter that names a layer beyond all others is refused, not filled up', async () => {
  const folder = await newFolder()
  for (const name of ['adapter_config.json', 'adapter_model.safetensors']) {
    await copyFile(fixture(`models/peft/${name}`), join(folder, name))
  }
  const weights = join(folder, 'adapter_model.safetensors')
  const { tensors } = await readSafetensors(weights)
  const entries = tensors.map(({ name, shape, data }, at) => ({
    name: at === 0 ? name.replace(/layers\.\d+/, 'layers.99999999999') : name,
    dtype: 'F32',
    shape,
    byteLength: data.byteLength,
  }))
  const data = tensors.map(({ data }) => new Uint8Array(data.buffer))
  await writeFile(weights, Buffer.concat([safetensorsHeader(entries), ...data]))
  await expect(readAdapter(folder)).rejects.toMatchObject({ code: 'BT_ADAPTER_TENSOR' })
})

describe('a number of layers without bounds', () => {
  const hf = {
    architectures: ['LlamaForCausalLM'],
    vocab_size: 32,
    hidden_size: 32,
    intermediate_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 2,
  }
  test('in config.json is refused where it is read', () => {
    expect(hfConfigSchema.safeParse(hf).success).toBe(true)
    expect(hfConfigSchema.safeParse({ ...hf, num_hidden_layers: 4_294_967_296 }).success).toBe(false)
  })

  test('is held to the number of tensors that there are', () => {
    const config = { ...configFromHf('config.json', hfConfigSchema.parse(hf)), layers: 4_000_000_000 }
    expect(() => checkTensors('model', config, [])).toThrow('4000000000 layers')
  })

  test.each([
    ['llama.block_count', -1],
    ['llama.block_count', 1.5],
    ['llama.attention.head_count', 0],
    ['llama.attention.head_count', 3],
    ['llama.attention.head_count_kv', 3],
  ])('%s %d in GGUF is refused by name', (key, value) => {
    const metadata = {
      'general.architecture': 'llama',
      'llama.embedding_length': 64,
      'llama.attention.head_count': 4,
      'llama.block_count': 2,
      'llama.feed_forward_length': 96,
      'llama.context_length': 2048,
      'llama.attention.layer_norm_rms_epsilon': 1e-6,
      [key]: value,
    }
    const read = () => configFromGguf(metadata, { embedding: [96, 64], has: () => false })
    expect(read).toThrow('do not fit each other')
  })
})

test('a piece of a vocabulary that is a book is refused: its merges would take for ever', () => {
  const pieces = ['a', 'a'.repeat(200_000)].map((text) => ({ text, score: 0, type: 1 }))
  expect(() => spmTokenizerJson(pieces, true)).toThrow('piece 1 of the vocabulary has 200000 characters')
})

describe('a tokenizer.json whose parts are of other kinds', async () => {
  const whole = JSON.parse(await readFile(fixture('parity/llama/tokenizer.json'), 'utf8'))
  const deep = '{"type":"Sequence","normalizers":['.repeat(20_000)
  test.each([
    ['is null', 'null'],
    ['has no model', '{}'],
    ['has an id beyond all others', JSON.stringify({ ...whole, model: { ...whole.model, vocab: { a: 4e9 } } })],
    ['has a token without text', JSON.stringify({ ...whole, added_tokens: [{ id: 0 }] })],
    ['has tokens that are no list', JSON.stringify({ ...whole, added_tokens: 3 })],
    ['has a merge of three', JSON.stringify({ ...whole, model: { ...whole.model, merges: [['a', 'b', 'c']] } })],
    ['has a normalizer of numbers', JSON.stringify({ ...whole, normalizer: { type: 'Sequence', normalizers: 5 } })],
    [
      'is nested thousands deep',
      JSON.stringify({ ...whole, normalizer: 'DEEP' }).replace('"DEEP"', `${deep}${']}'.repeat(20_000)}`),
    ],
  ])('%s', async (_, json) => {
    await expect(openTokenizer({ json, eosIds: [], addBos: false })).rejects.toMatchObject({ code: 'BT_TOKENIZER' })
  })
})

test('a line that is nested thousands deep is counted, and the others are read', async () => {
  const deep = `${'['.repeat(20_000)}1${']'.repeat(20_000)}`
  const path = await fileWith(
    'rows.jsonl',
    `{"instruction":"a","response":"b"}\n{"instruction":"c","response":"d","extra":${deep}}\n`,
  )
  const drops = new Drops({ strict: false })
  const rows = await all(readRows(path, { drops }))
  expect(rows).toHaveLength(1)
  expect(drops.malformed).toMatchObject([{ place: `${path}:2`, why: expect.stringContaining('levels deep') }])
})

test.each(['1.5', 'x', '1e999'])('an archive with a record of length %s ends', async (length) => {
  const path = await fileWith(
    'crawl.warc',
    `WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: ${length}\r\n\r\nabc\r\n\r\n`,
  )
  const read = all(readDocuments(path, { drops: new Drops({ strict: false }), format: 'auto' }))
  await expect(read).rejects.toMatchObject({ code: 'BT_DATA_FORMAT', message: expect.stringContaining('length') })
})

test.each(['metadata', 'response', 'request'])(
  'an archive that is cut off in a record of type %s ends',
  async (type) => {
    const kind = type === 'response' ? 'application/pdf' : 'text/plain'
    const path = await fileWith(
      'crawl.warc',
      `WARC/1.0\r\nWARC-Type: ${type}\r\nContent-Type: ${kind}\r\nContent-Length: 5000\r\n\r\nHTTP/1.1 404 No\r\n\r\ncut`,
    )
    const read = all(readDocuments(path, { drops: new Drops({ strict: false }), format: 'auto' }))
    await expect(read).rejects.toMatchObject({ code: 'BT_DATA_FORMAT', message: expect.stringContaining('breaks off') })
  },
)
