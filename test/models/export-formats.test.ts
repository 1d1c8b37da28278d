// What is written for other programs is read here as the same model: tokenizers and hyperparameters in GGUF,
// configurations for transformers, shards.
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Tokenizer } from 'tokenizers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bpeTokenizerJson } from '../../src/models/bpe-json.js'
import { openGguf } from '../../src/models/gguf.js'
import { ggufHyperparameters } from '../../src/models/gguf-hyperparameters.js'
import { entry, plainMetadata } from '../../src/models/gguf-metadata.js'
import { tokenizerFromGguf } from '../../src/models/gguf-tokenizer.js'
import { ggufTokenizer } from '../../src/models/gguf-vocabulary.js'
import { writeGguf } from '../../src/models/gguf-write.js'
import { configFromHf, hfConfigSchema } from '../../src/models/hf-config.js'
import { hfConfig } from '../../src/models/hf-config-write.js'
import { openFolder } from '../../src/models/hf-folder.js'
import { readSafetensorsHeader } from '../../src/models/safetensors-header.js'
import { writeShards } from '../../src/models/safetensors-write.js'
import { tokenizerFromSentencePiece } from '../../src/models/sentencepiece.js'
import type { TokenizerSource } from '../../src/models/types.js'
import { tinyConfig } from '../native/tiny.js'
import { writeTinyModel } from '../train/tiny-model.js'
import { failureOf, fixtures, readFixture, shared, temporaryFolder } from './folder.js'

const cacheBefore = process.env.BT_NATIVE_CACHE
beforeAll(async () => {
  process.env.BT_NATIVE_CACHE = await temporaryFolder()
})
afterAll(() => {
  if (cacheBefore === undefined) delete process.env.BT_NATIVE_CACHE
  else process.env.BT_NATIVE_CACHE = cacheBefore
})

async function idsOf(json: string, texts: string[]): Promise<number[][]> {
  const tokenizer = Tokenizer.fromString(json)
  return Promise.all(texts.map(async (text) => (await tokenizer.encode(text)).getIds()))
}

const texts = [
  'Hello world',
  '  two',
  "I'm you're DON'T",
  '12345 67.89',
  'naïve café 日本語 🙂',
  'tab\tnew\nline\n\n',
  ' ',
]

describe('a tokenizer in GGUF', async () => {
  const bpe = await readFixture<{ tokens: string[]; merges: string[]; ids: Record<string, number[][]> }>('bpe.json')

  test.each(['gpt-2', 'smollm', 'llama-bpe', 'qwen2', 'tekken'])('of byte-level BPE that cuts as %s', async (pre) => {
    const added = [{ id: 3, content: bpe.tokens[3]!, special: true }]
    const { json } = bpeTokenizerJson({ ...bpe, added, pre })
    const source: TokenizerSource = {
      json,
      bosToken: bpe.tokens[3],
      eosIds: [3],
      addBos: true,
      chatTemplate: '{{ 1 }}',
    }
    const metadata = plainMetadata(ggufTokenizer(source, bpe.tokens.length + 2))
    expect(metadata['tokenizer.ggml.pre']).toBe(pre)
    const again = await tokenizerFromGguf(metadata)
    expect(await idsOf(again.json, texts)).toEqual(await idsOf(json, texts))
    expect(again).toMatchObject({ bosToken: bpe.tokens[3], eosIds: [3], addBos: true, chatTemplate: '{{ 1 }}' })
    // Rows of the embedding that the tokenizer does not know.
    expect((metadata['tokenizer.ggml.tokens'] as string[]).slice(-2)).toEqual([
      `[PAD${bpe.tokens.length}]`,
      `[PAD${bpe.tokens.length + 1}]`,
    ])
    expect((metadata['tokenizer.ggml.token_type'] as number[]).slice(-2)).toEqual([5, 5])
  })

  test('is known by what it does, not by how its file is written', async () => {
    const { json } = bpeTokenizerJson({ ...bpe, added: [], pre: 'smollm' })
    const parsed = JSON.parse(json)
    const [digits, byteLevel] = parsed.pre_tokenizer.pretokenizers
    parsed.pre_tokenizer.pretokenizers = [
      digits,
      { use_regex: true, type: 'ByteLevel', add_prefix_space: false, trim_offsets: false },
    ]
    parsed.model.merges = bpe.merges.map((merge) => merge.split(' '))
    const other: TokenizerSource = { json: JSON.stringify(parsed), eosIds: [], addBos: false }
    const metadata = ggufTokenizer(other, bpe.tokens.length)
    expect(metadata['tokenizer.ggml.pre']).toEqual(entry.text('smollm'))
    expect(metadata['tokenizer.ggml.merges']).toEqual(entry.texts(bpe.merges))
    parsed.pre_tokenizer.pretokenizers = [byteLevel, digits]
    const unknown: TokenizerSource = { ...other, json: JSON.stringify(parsed) }
    expect((await failureOf((async () => ggufTokenizer(unknown, 9))())).code).toBe('BT_TOKENIZER_UNKNOWN')
  })

  test('of SentencePiece has scores that give the same merges', async () => {
    const source = await tokenizerFromSentencePiece(await readFile(join(fixtures, 'spm.model')))
    const { model } = JSON.parse(source.json)
    const metadata = plainMetadata(ggufTokenizer(source, Object.keys(model.vocab).length))
    expect(metadata).toMatchObject({ 'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.add_space_prefix': true })
    const again = await tokenizerFromGguf(metadata)
    expect(await idsOf(again.json, texts)).toEqual(await idsOf(source.json, texts))
    expect(JSON.parse(again.json).model.merges).toEqual(model.merges)
    expect(again).toMatchObject({ bosToken: source.bosToken, eosToken: source.eosToken, eosIds: source.eosIds })
    expect(new Set(metadata['tokenizer.ggml.scores'] as number[]).size).toBeGreaterThan(100)
    // Merges that are in no order of pieces: "abc" is made before and after "bcd".
    const [a, b] = [model.merges[0], model.merges[1]]
    const mixed = { ...JSON.parse(source.json), model: { ...model, merges: [a, b, a, ...model.merges.slice(2)] } }
    const refused = { ...source, json: JSON.stringify(mixed) }
    expect((await failureOf((async () => ggufTokenizer(refused, 9999))())).message).toContain('no scores give')
  })
})

const llama2 = join(shared, 'models/llama2/tokenizer.model')
test.skipIf(!existsSync(llama2))("Llama 2's merges come from scores, of which some are equal", async () => {
  const source = await tokenizerFromSentencePiece(await readFile(llama2))
  const again = await tokenizerFromGguf(plainMetadata(ggufTokenizer(source, 32_000)))
  expect(JSON.parse(again.json)).toEqual(JSON.parse(source.json))
})

describe('ends of a text', () => {
  test('that have no common name are declared', async () => {
    const tokens = ['a', '<end>', '<stop>', '<|im_end|>']
    const added = [1, 2, 3].map((id) => ({ id, content: tokens[id]!, special: true }))
    const { json } = bpeTokenizerJson({ tokens, merges: [], added, pre: 'gpt-2' })
    const metadata = plainMetadata(ggufTokenizer({ json, eosIds: [1, 2, 3], addBos: false }, 4))
    expect(metadata['tokenizer.ggml.eot_token_id']).toBe(2)
    expect(metadata['tokenizer.ggml.eom_token_id']).toBe(undefined)
    expect((await tokenizerFromGguf(metadata)).eosIds).toEqual([1, 2, 3])
  })
})

const families = [
  { ...tinyConfig },
  { ...tinyConfig, qkvBias: true, outBias: true, mlpBias: true },
  { ...tinyConfig, ropeScaling: { type: 'linear', factor: 4 } as const },
  {
    ...tinyConfig,
    ropeTheta: 500_000,
    ropeScaling: {
      type: 'llama3',
      factor: 32,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositions: 8192,
    } as const,
  },
  { ...tinyConfig, slidingWindow: 100 },
  { ...tinyConfig, family: 'mistral' as const, tieWordEmbeddings: false },
  { ...tinyConfig, family: 'qwen2' as const, qkvBias: true, slidingWindow: 128 },
  { ...tinyConfig, family: 'qwen3' as const, qkNorm: true, headDim: 16 },
]

test.each(families)('hyperparameters of %j are the same in both formats', async (config) => {
  const { metadata, ropeFactors } = ggufHyperparameters(config) // reads them back itself
  expect(ropeFactors !== undefined).toBe(config.ropeScaling?.type === 'llama3')
  expect(metadata['general.architecture']!.value).toMatch(/^(llama|qwen2|qwen3)$/)
  const again = configFromHf('config.json', hfConfigSchema.parse(hfConfig(config, 'bfloat16', { eos: 2 })))
  expect({ ...again, family: config.family }).toEqual(config)
})

test('a model that transformers has no class for is refused, with what differs', async () => {
  const odd = { ...tinyConfig, family: 'qwen2' as const, qkvBias: false }
  const error = await failureOf((async () => hfConfig(odd, 'float32', {}))())
  expect(error).toMatchObject({ code: 'BT_EXPORT_UNSUPPORTED', message: expect.stringContaining('qkvBias false') })
  const scaling = {
    type: 'llama3',
    factor: 8,
    lowFreqFactor: 2,
    highFreqFactor: 4,
    originalMaxPositions: 8192,
  } as const
  const unread = await failureOf((async () => ggufHyperparameters({ ...tinyConfig, ropeScaling: scaling }))())
  expect(unread.code).toBe('BT_EXPORT_UNSUPPORTED')
})

async function* inPieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

test('tensors of a GGUF file start on 32 bytes, in any number of pieces', async () => {
  const path = join(await temporaryFolder(), 'odd.gguf')
  const bytes = (count: number) => Uint8Array.from({ length: count }, (_, i) => i % 251)
  const tensors = [
    { name: 'a', type: 'F32' as const, shape: [3], bytes: () => inPieces(bytes(12), 5) },
    { name: 'b', type: 'Q8_0' as const, shape: [2, 32], bytes: () => inPieces(bytes(68), 68) },
    { name: 'c', type: 'BF16' as const, shape: [1, 2, 3], bytes: () => inPieces(bytes(12), 1) },
  ]
  await writeGguf(
    path,
    { 'general.architecture': entry.text('llama'), 'general.naïve': entry.texts(['é', '']) },
    tensors,
  )
  const { gguf } = await import('@huggingface/gguf')
  const { metadata, tensorInfos, tensorDataOffset } = await gguf(path, { allowLocalFile: true })
  expect(metadata).toMatchObject({ 'general.naïve': ['é', ''], tensor_count: 3n, kv_count: 2n })
  expect(tensorInfos.map(({ name, dtype, shape, offset }) => [name, dtype, shape.map(Number), Number(offset)])).toEqual(
    [
      ['a', 0, [3], 0],
      ['b', 8, [32, 2], 32],
      ['c', 30, [3, 2, 1], 128],
    ],
  )
  const file = await readFile(path)
  const start = Number(tensorDataOffset)
  expect(start % 32).toBe(0)
  expect(file.length).toBe(start + 160)
  expect(new Uint8Array(file.subarray(start + 32, start + 32 + 68))).toEqual(bytes(68))
  expect((await failureOf(openGguf(path))).code).toBe('BT_TENSOR_MISSING') // a file all the same
})

test('shards hold as much as fits, and their index names each tensor', async () => {
  const model = await writeTinyModel(join(await temporaryFolder(), 'model'))
  const whole = await openFolder(model)
  const folder = join(await temporaryFolder(), 'sharded')
  await mkdir(folder)
  const file = await readFile(whole.files[0]!)
  const tensors = whole.tensors.map(({ name, shape, offset, byteLength }) => ({
    ...{ name, type: 'F32' as const, shape },
    bytes: () => inPieces(file.subarray(offset, offset + byteLength), 1000),
  }))
  const names = await writeShards(folder, tensors, 20_000)
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    await writeFile(join(folder, name), await readFile(join(model, name)))
  }
  const shards = names.filter((name) => name.endsWith('.safetensors'))
  expect(shards[0]).toBe(`model-00001-of-0000${shards.length}.safetensors`)
  expect(shards.length).toBeGreaterThan(3)
  const sizes = await Promise.all(
    shards.map(async (name) => {
      const { tensors } = await readSafetensorsHeader(join(folder, name))
      return { count: tensors.length, bytes: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0) }
    }),
  )
  for (const { count, bytes } of sizes) if (count > 1) expect(bytes).toBeLessThanOrEqual(20_000)
  const index = JSON.parse(await readFile(join(folder, 'model.safetensors.index.json'), 'utf8'))
  expect(index.metadata.total_size).toBe(sizes.reduce((sum, { bytes }) => sum + bytes, 0))
  expect((await openFolder(folder)).hash).toBe(whole.hash)
})
