// The tokenizer.json made from GGUF metadata and from SentencePiece models, held to the libraries' own ids.
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Tokenizer } from 'tokenizers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tokenizerFromGguf } from '../../src/models/gguf-tokenizer.js'
import { openModel } from '../../src/models/open.js'
import { tokenizerFromSentencePiece } from '../../src/models/sentencepiece.js'
import { modelFolder } from '../../src/paths.js'
import { failureOf, fixtures, readFixture, shared, temporaryFolder } from './folder.js'

const texts = [
  ...[
    'Hello world',
    ' leading',
    '  two',
    'tab\tnew\nline\n\n',
    'naïve café 日本語 🙂 👩‍👩‍👧',
    "I'm you're DON'T",
    '12345 67.89',
  ],
  ...[
    'def f(x):\n    return x**2  # ok',
    '',
    ' ',
    '\u00a0nbsp',
    'a▁b',
    'ﬁ e\u0301',
    '\r\n\r\n',
    '<|im_start|>user\nhi<|im_end|>',
  ],
]

async function idsOf(json: string, texts: string[]): Promise<number[][]> {
  const tokenizer = Tokenizer.fromString(json)
  return Promise.all(texts.map(async (text) => (await tokenizer.encode(text)).getIds()))
}

const cacheBefore = process.env.BT_NATIVE_CACHE
const demo = join(modelFolder('smollm2-135m'), 'model.gguf')
beforeAll(async () => {
  process.env.BT_NATIVE_CACHE = await temporaryFolder()
})
afterAll(() => {
  if (cacheBefore === undefined) delete process.env.BT_NATIVE_CACHE
  else process.env.BT_NATIVE_CACHE = cacheBefore
})

describe('byte-level BPE', async () => {
  const fixture = await readFixture<{
    texts: string[]
    tokens: string[]
    merges: string[]
    ids: Record<string, number[][]>
  }>('bpe.json')
  const metadata = (pre?: string) => ({
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': pre,
    'tokenizer.ggml.tokens': fixture.tokens,
    'tokenizer.ggml.merges': fixture.merges,
  })

  test.each(Object.keys(fixture.ids))('cuts words as %s does', async (pre) => {
    const { json } = await tokenizerFromGguf(metadata(pre))
    expect(await idsOf(json, fixture.texts)).toEqual(fixture.ids[pre])
  })

  test('of Llama 3 takes digits by threes and whole words first, Tekken one by one', async () => {
    const digits = async (pre: string) => {
      const { json, addBos } = await tokenizerFromGguf({ ...metadata(pre), 'tokenizer.ggml.bos_token_id': 0 })
      const { pre_tokenizer, model } = JSON.parse(json)
      const pattern = pre_tokenizer.pretokenizers[0].pattern.Regex as string
      return {
        addBos,
        whole: model.ignore_merges,
        three: pattern.includes('\\p{N}{1,3}'),
        ids: await idsOf(json, fixture.texts),
      }
    }
    expect(await digits('llama-bpe')).toMatchObject({ addBos: true, whole: true, three: true })
    expect(await digits('tekken')).toMatchObject({ addBos: true, whole: true, three: false })
  })

  test('is refused when the pre-tokenizer is unknown or missing', async () => {
    expect((await failureOf(tokenizerFromGguf(metadata('falcon')))).message).toContain('"falcon"')
    expect((await failureOf(tokenizerFromGguf(metadata('toString')))).message).toContain('"toString"')
    expect((await failureOf(tokenizerFromGguf(metadata()))).message).toContain('no tokenizer.ggml.pre')
    const unigram = { ...metadata('default'), 'tokenizer.ggml.model': 't5' }
    expect((await failureOf(tokenizerFromGguf(unigram))).message).toContain('"t5"')
  })

  test('takes control tokens from their type, and every end token that it has', async () => {
    const { tokenizer } = await openModel(join(fixtures, 'qwen2.gguf'))
    const n = fixture.tokens.length
    expect(tokenizer).toMatchObject({
      chatTemplate: '{{ messages }}',
      bosToken: '<|endoftext|>',
      eosToken: '<|im_end|>',
      eosIds: [n + 2, n],
      addBos: false,
    })
    expect(await idsOf(tokenizer.json, ['<|im_start|>e'])).toEqual([[n + 1, fixture.tokens.indexOf('e')]])
  })
})

describe('SentencePiece', () => {
  const model = () => readFile(join(fixtures, 'spm.model'))

  test('gives the ids of the library itself, from tokenizer.model and from GGUF', async () => {
    const { texts, ids } = await readFixture<{ texts: string[]; ids: number[][] }>('spm.json')
    const fromModel = await tokenizerFromSentencePiece(await model())
    expect(await idsOf(fromModel.json, texts)).toEqual(ids)
    expect(fromModel).toMatchObject({ bosToken: '<s>', eosToken: '</s>', eosIds: [2], addBos: true })
    const fromGguf = (await openModel(join(fixtures, 'spm.gguf'))).tokenizer
    expect(JSON.parse(fromGguf.json)).toEqual(JSON.parse(fromModel.json))
    expect(fromGguf).toMatchObject({ bosToken: '<s>', eosToken: '</s>', eosIds: [2], addBos: true })
  })

  test('decodes to the text again, bytes of unknown characters included', async () => {
    const tokenizer = Tokenizer.fromString((await tokenizerFromSentencePiece(await model())).json)
    for (const text of ['the quick 日本語 🙂 fox', '  two\n\nlines\t']) {
      expect(await tokenizer.decode((await tokenizer.encode(text)).getIds(), true)).toBe(text)
    }
  })

  test('is derived once and then read from the cache', async () => {
    const folder = join(process.env.BT_NATIVE_CACHE!, 'tokenizers')
    const first = await tokenizerFromSentencePiece(await model())
    const names = await readdir(folder)
    const again = await tokenizerFromSentencePiece(await model())
    expect(again).toEqual(first)
    expect(await readdir(folder)).toEqual(names)
    expect(await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))).toContain(first.json)
  })

  test('a damaged file, a text file and a unigram model are refused', async () => {
    const bytes = await model()
    for (const part of [bytes.subarray(0, 1000), Buffer.from('{"a": 1}'), Buffer.alloc(0)]) {
      expect((await failureOf(tokenizerFromSentencePiece(part))).message).toContain('not a SentencePiece model')
    }
    // trainer_spec (field 2) { model_type (field 3): unigram }, after the pieces: the last value counts
    const unigram = Buffer.concat([bytes, Buffer.from([0x12, 2, 0x18, 1])])
    expect((await failureOf(tokenizerFromSentencePiece(unigram))).message).toContain('type 1')
  })

  const llama2 = join(shared, 'models/llama2/tokenizer.model')
  test.skipIf(!existsSync(llama2))("of Llama 2 has Llama 2's ids", async () => {
    const { json } = await tokenizerFromSentencePiece(await readFile(llama2))
    // From the sentencepiece package: runs of spaces merge last, which the order of the ids would not tell.
    expect(await idsOf(json, ['Hello world', ' leading', '  two', 'def f(x):\n    return x**2  # ok'])).toEqual([
      [15043, 3186],
      [29871, 8236],
      [259, 1023],
      [822, 285, 29898, 29916, 1125, 13, 1678, 736, 921, 1068, 29906, 29871, 396, 3431],
    ])
  })
})

const smol = join(shared, 'models/smollm2-135m-instruct/tokenizer.json')
test.skipIf(!existsSync(smol) || !existsSync(demo))(
  "SmolLM2 read from GGUF has its own tokenizer.json's ids",
  async () => {
    const { tokenizer } = await openModel(demo)
    expect(await idsOf(tokenizer.json, texts)).toEqual(await idsOf(await readFile(smol, 'utf8'), texts))
    expect(tokenizer).toMatchObject({ eosToken: '<|im_end|>', eosIds: [2, 0], addBos: false })
    expect(tokenizer.chatTemplate).toContain('<|im_start|>')
  },
)
