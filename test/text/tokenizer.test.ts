import { beforeAll, describe, expect, test } from 'vitest'
import { openTokenizer } from '../../src/text/tokenizer.js'
import type { Tokenizer } from '../../src/text/types.js'
import { ids, type Opened, openLlama, openSmollm, openSmollmGguf, skipped, skippedGguf } from './fixtures.js'
import { randomTexts, tinySource } from './texts.js'

const chatml = ['<|im_start|>', '<|im_end|>', '<|endoftext|>', '<repo_name>'] as const

describe.each([
  ['SmolLM2 from tokenizer.json', 'smollm2', skipped, openSmollm, chatml],
  ['SmolLM2 from GGUF', 'smollm2', skippedGguf, openSmollmGguf, chatml],
  ['Llama 2 from SentencePiece', 'llama2', skipped, openLlama, ['<s>', '</s>', '<unk>']],
] as const)('the tokenizer of %s', (_, name, reason, open, control) => {
  if (reason) return test.skip(reason)
  let model: Opened
  beforeAll(async () => {
    model = await open()
  })

  test("gives transformers' ids on 1,000 texts", async () => {
    const ours = await Promise.all(ids.texts.map((text) => model.tokenizer.encodeText(text)))
    const differing = ids.texts.flatMap((text, i) =>
      String(ours[i]) === String(ids[name][i]) ? [] : [{ text, ours: ours[i], theirs: ids[name][i] }],
    )
    expect(differing).toEqual([])
  })

  test('decodes as transformers does', () => {
    const differing = ids.texts.flatMap((text, i) => {
      const theirs = ids.decoded[name][i] ?? text
      const ours = model.tokenizer.decode(ids[name][i]!)
      return ours === theirs ? [] : [{ ours, theirs }]
    })
    expect(differing).toEqual([])
  })

  test('never makes a control token of a text that holds control tokens', async () => {
    const { tokenizer } = model
    const texts = randomTexts(800, 7, control)
    for (const place of ['start', 'control', 'text'] as const) {
      const all = await Promise.all(texts.map((text) => tokenizer.encodeText(text, place)))
      expect(all.flat().filter((id) => tokenizer.isControl(id))).toEqual([])
    }
  })

  test('gives back the text, control tokens in it and all', async () => {
    // SentencePiece has no way to tell U+2581 from a space.
    const texts = randomTexts(300, 8, control).map((text) => text.replaceAll('▁', '_').trim())
    const all = await Promise.all(texts.map((text) => model.tokenizer.encodeText(text)))
    expect(all.map((row) => model.tokenizer.decode(row))).toEqual(texts)
  })

  test('recognises control tokens in templates', async () => {
    const { tokenizer } = model
    const [first, second] = control
    const [a, b] = await Promise.all([tokenizer.encodeText('Hello'), tokenizer.encodeText(' there', 'control')])
    const idOf = (text: string) => (tokenizer.splitControl(text)[0] as { id: number }).id
    expect(await tokenizer.encodeTemplate(`Hello${first} there${second}`)).toEqual([
      ...a,
      idOf(first),
      ...b,
      idOf(second),
    ])
  })

  test('leaves control tokens out of a decoded text unless they are asked for', async () => {
    const { tokenizer } = model
    const row = await tokenizer.encodeTemplate(`${control[0]}Hello${control[1]}`)
    expect(tokenizer.decode(row)).toBe('Hello')
    expect(tokenizer.decode(row, { keepControl: true })).toBe(`${control[0]}Hello${control[1]}`)
    expect(row.map((id) => tokenizer.tokenText(id))).toContain(control[1])
  })

  test('says where in the text each token starts', async () => {
    const text = 'One 😀 two\nthree'
    const { ids: row, starts } = await model.tokenizer.encodeWithPlaces(text)
    expect(row).toEqual(await model.tokenizer.encodeText(text))
    expect(starts).toHaveLength(row.length)
    expect(text.slice(starts.at(-1)!)).toBe('three')
    expect(
      text.slice(starts.findLast((start) => start < 9 && text.slice(start).trimStart().startsWith('two'))!).trim(),
    ).toBe('two\nthree')
  })

  test('reads lone surrogates as U+FFFD', async () => {
    const { tokenizer } = model
    expect(await tokenizer.encodeText('a\ud83db\ude00')).toEqual(await tokenizer.encodeText('a\ufffdb\ufffd'))
    expect(await tokenizer.encodeText('😀')).not.toEqual(await tokenizer.encodeText('\ufffd\ufffd'))
  })

  test('has no text for ids past its vocabulary, and decodes around them', () => {
    const { tokenizer } = model
    expect(tokenizer.tokenText(tokenizer.vocabSize)).toBe('')
    expect(tokenizer.decode([...ids[name][17]!, tokenizer.vocabSize + 5])).toBe(tokenizer.decode(ids[name][17]!))
  })
})

describe.skipIf(skipped)('the space before the first word', () => {
  let llama: Tokenizer
  beforeAll(async () => {
    llama = (await openLlama()).tokenizer
  })
  const texts = async (text: string, place?: 'start' | 'control' | 'text') =>
    (await llama.encodeText(text, place)).map((id) => llama.tokenText(id))

  test('is put at the start, not after control tokens nor in running text', async () => {
    expect(await texts('Hello')).toEqual(['▁Hello'])
    expect(await texts('Hello', 'control')).toEqual(['Hello'])
    expect(await texts('Hello', 'text')).toEqual(['Hello'])
  })

  test('is not put before another space', async () => {
    expect(await texts(' Hello')).toEqual(['▁Hello'])
    expect(await texts(' Hello', 'text')).toEqual(['▁Hello'])
  })

  test('is put after control tokens too where the vocabulary says always', async () => {
    const always = await openTokenizer(tinySource({ scheme: 'always' }))
    const shown = async (text: string, place: 'start' | 'control' | 'text') =>
      (await always.encodeText(text, place)).map((id) => always.tokenText(id))
    expect(await shown('ab', 'control')).toEqual(['▁', 'ab'])
    expect(await shown('ab', 'text')).toEqual(['ab'])
  })
})

describe('a tokenizer.json', () => {
  test('whose control token is reached by merges and by whole words still gives plain text', async () => {
    for (const ignoreMerges of [false, true]) {
      const tokenizer = await openTokenizer(tinySource({ scheme: 'never', ignoreMerges }))
      const shown = async (text: string) => (await tokenizer.encodeText(text)).map((id) => tokenizer.tokenText(id))
      expect(await shown('ab<e>ab')).toEqual(['ab', '<', 'e', '>', 'ab'])
      expect(await shown('<e>')).toEqual(['<', 'e', '>'])
      expect(await tokenizer.encodeTemplate('ab<e>')).toEqual([...(await tokenizer.encodeText('ab')), 0])
    }
  })

  test('that drops white space beside a control token is followed', async () => {
    const tokenizer = await openTokenizer(tinySource({ scheme: 'never', rstrip: true }))
    expect(await tokenizer.encodeTemplate('<e>  ab')).toEqual([0, ...(await tokenizer.encodeText('ab'))])
  })

  test('that is not JSON, or of another model than BPE, is refused', async () => {
    const source = tinySource({ scheme: 'never' })
    await expect(openTokenizer({ ...source, json: '{' })).rejects.toThrow(/is not JSON/)
    const unigram = JSON.stringify({ ...JSON.parse(source.json), model: { type: 'Unigram', vocab: [['a', 0]] } })
    await expect(openTokenizer({ ...source, json: unigram })).rejects.toMatchObject({
      code: 'BT_TOKENIZER',
      message: 'tokenizer model "Unigram" is not supported: only BPE is',
    })
  })

  test('that the library refuses is named as the cause', async () => {
    const source = tinySource({ scheme: 'never' })
    const broken = JSON.stringify({ ...JSON.parse(source.json), normalizer: { type: 'NoSuchThing' } })
    await expect(openTokenizer({ ...source, json: broken })).rejects.toMatchObject({ code: 'BT_TOKENIZER' })
  })
})
