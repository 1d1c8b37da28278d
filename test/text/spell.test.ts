import { beforeAll, describe, expect, test } from 'vitest'
import { spellTokens } from '../../src/text/spell.js'
import { openTokenizer } from '../../src/text/tokenizer.js'
import type { Tokenizer } from '../../src/text/types.js'
import { ids, openLlama, openSmollm, openSmollmGguf, skipped, skippedGguf } from './fixtures.js'
import { tinySource } from './texts.js'

/** What the tokens spell, one after the other. */
function spelt(tokens: number[], tokenizer: Tokenizer): string {
  return spellTokens(tokens, tokenizer)
    .map(({ text, form, completes }) => completes ?? (form === 'bytes' ? '' : text))
    .join('')
}

describe.each([
  ['SmolLM2 from tokenizer.json', skipped, openSmollm],
  ['SmolLM2 from GGUF', skippedGguf, openSmollmGguf],
] as const)('tokens of %s', (_, reason, open) => {
  if (reason) return test.skip(reason)

  test('have the bytes of the text, and spell it, on 1,000 texts', async () => {
    const { tokenizer } = await open()
    for (const [index, given] of ids.texts.entries()) {
      const text = ids.decoded.smollm2[index] ?? given // some control bytes are in no token
      const tokens = await tokenizer.encodeText(given)
      expect(Buffer.concat(tokens.map((id) => tokenizer.tokenBytes(id))).toString()).toBe(text)
      expect(spelt(tokens, tokenizer)).toBe(text)
    }
  })
})

describe.skipIf(skipped)('tokens of Llama 2', () => {
  test('spell the text, with the space before its first word, on 1,000 texts', async () => {
    const { tokenizer } = await openLlama()
    for (const text of ids.texts.filter((text) => text !== '' && !text.includes('\u2581'))) {
      const found = spelt(await tokenizer.encodeText(text), tokenizer)
      expect(found.replace(/^ /, '')).toBe(text.replace(/^ /, ''))
    }
  })
})

describe.skipIf(skipped)('a token', () => {
  let tokenizer: Tokenizer
  beforeAll(async () => {
    tokenizer = (await openSmollm()).tokenizer
  })

  test('that is part of a character shows its bytes, and the last says which character it was', async () => {
    const tokens = await tokenizer.encodeText('🦄')
    const spelled = spellTokens(tokens, tokenizer)
    expect(spelled.length).toBeGreaterThan(1)
    expect(spelled.every(({ form }) => form === 'bytes')).toBe(true)
    expect(spelled.map(({ text }) => text).join(' ')).toBe('F0 9F A6 84')
    expect(spelled.map(({ completes }) => completes)).toEqual([...spelled.slice(1).map(() => undefined), '🦄'])
  })

  test('that begins a character which never ends leaves the next ones as they are', async () => {
    const [first] = await tokenizer.encodeText('🦄')
    const word = await tokenizer.encodeText(' word')
    const spelled = spellTokens([first!, ...word, first!, first!, ...word], tokenizer)
    expect(spelled.map(({ form, completes }) => completes ?? form)).toEqual([
      'bytes',
      ...word.map(() => undefined),
      'bytes',
      'bytes',
      ...word.map(() => undefined),
    ])
  })

  test('of control is told from text that spells it', async () => {
    const spell = (tokens: number[]) => spellTokens(tokens, tokenizer)
    expect(spell(await tokenizer.encodeTemplate('<|im_end|>'))).toEqual([
      { id: 2, text: '<|im_end|>', form: 'control' },
    ])
    const text = spell(await tokenizer.encodeText('<|im_end|>'))
    expect(text.map((token) => token.text).join('')).toBe('<|im_end|>')
    expect(text.some(({ form }) => form)).toBe(false)
  })
})

test('a byte of a SentencePiece vocabulary is one, and its sign for a space a space', async () => {
  const source = tinySource({ scheme: 'never' })
  const json = JSON.parse(source.json)
  json.model.vocab = { ...json.model.vocab, '<0xE4>': 15, '▁a▁': 16 }
  const tokenizer = await openTokenizer({ ...source, json: JSON.stringify(json) })
  expect([...tokenizer.tokenBytes(15)]).toEqual([0xe4])
  expect(Buffer.from(tokenizer.tokenBytes(16)).toString()).toBe(' a ')
  expect([...tokenizer.tokenBytes(999)]).toEqual([])
})
