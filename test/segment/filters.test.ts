import { describe, expect, test } from 'vitest'
import { isJunkHeading } from '../../src/segment/headings.js'
import { openOverlap } from '../../src/segment/overlap.js'
import { openMasker, type PiiKind, piiKinds } from '../../src/segment/pii.js'
import { qualityReason } from '../../src/segment/quality.js'
import { fileWith, jsonl } from '../data/fixture.js'
import { prose } from './corpus.js'

describe('headings that promise no text', () => {
  test.each([
    'References',
    'See also:',
    '» Related Posts',
    '3. Bibliography',
    '12 Comments',
    'Leave a Reply',
    '* * *',
    '2024',
    'Siehe auch',
    'https://x.org/a',
    'x '.repeat(120),
  ])('%s', (heading) => expect(isJunkHeading(heading)).toBe(true))

  test.each([
    'How bread rises',
    '1. Introduction',
    'Index funds for beginners',
    'Commentary on Homer',
    'Sharing a flat',
    'Kontaktlinsen',
    '面包',
  ])('are not: %s', (heading) => expect(isJunkHeading(heading)).toBe(false))
})

describe('repeated text', () => {
  test('is found in lines, in phrases and in long passages', () => {
    const line = 'Call us now for a free quote on your new roof today.'
    expect(qualityReason(`${prose(400)}\n${`${line}\n`.repeat(6)}`, 1)).toBe('repeated lines')
    expect(qualityReason('buy cheap shoes '.repeat(50), 1)).toBe('repeated n-grams')
    const passage = prose(300, 5)
    expect(qualityReason(`${passage} ${prose(200, 6)} ${passage}`, 1)).toBe('repeated n-grams')
    expect(qualityReason(`${passage} ${prose(200, 6)} ${passage}`, 0)).toBeUndefined()
  })

  test('is not found in prose, of any script', () => {
    expect(qualityReason(natural, 1)).toBeUndefined()
    expect(
      qualityReason('面包是用面粉和水做成的食物,人们每天都吃。河边的老房子里住着一位修理钟表的匠人。', 1),
    ).toBeUndefined()
  })

  test('numbers and signs without words are left out', () => {
    expect(qualityReason('1,204 | 33.1 | 99 | --- | 77\n'.repeat(30), 1)).toBe('few letters')
  })
})

const natural =
  'A loaf begins with flour, water, salt and patience. Yeast eats the sugars that enzymes free from starch, and breathes out gas, which the stretched gluten holds in bubbles. Warmth hurries this along; a cool kitchen slows it down, and many bakers prefer the slower way because acids and aromas need hours to form.'

describe('masking', () => {
  const mask = async (text: string, kinds: readonly PiiKind[] = piiKinds) =>
    (await openMasker(new Set(kinds), 'US'))(text)

  test('replaces each kind and counts it', async () => {
    const { text, counts } = await mask(
      'Write to jane.doe+x@mail.example.co.uk or call (415) 555-2671 or +49 30 901820. From 203.0.113.9 or 2001:db8::1. ' +
        'Card 4111 1111 1111 1111, account DE89 3704 0044 0532 0130 00.',
    )
    expect(text).toBe(
      'Write to [EMAIL] or call [PHONE] or [PHONE]. From [IP] or [IP]. Card [CREDIT-CARD], account [IBAN].',
    )
    expect(counts).toEqual({ email: 1, phone: 2, ip: 2, 'credit-card': 1, iban: 1 })
  })

  test('leaves numbers alone whose check digits are wrong, versions, times and years', async () => {
    const text =
      'Card 4111 1111 1111 1112, account DE89 3704 0044 0532 0130 01, version 1.2.3.4, at 12:30:45, in 1999-2004, @home.'
    expect((await mask(text, ['credit-card', 'iban', 'ip', 'email'])).text).toBe(text)
  })

  test('replaces the kinds alone that are asked for', async () => {
    const { text } = await mask('a@b.example and 203.0.113.9', ['ip'])
    expect(text).toBe('a@b.example and [IP]')
  })

  test('takes linear time for what nearly looks like an address', async () => {
    const started = performance.now()
    await mask(`${'a'.repeat(200_000)}@ ${'a.'.repeat(100_000)} ${'1 '.repeat(100_000)} ${'a:'.repeat(100_000)}`, [
      'email',
      'iban',
      'credit-card',
      'ip',
    ])
    expect(performance.now() - started).toBeLessThan(3000)
  })
})

describe('overlap with an evaluation set', () => {
  test('is found in any column, whatever the case and the punctuation', async () => {
    const sentence = 'the captain of the copper bridge kept seven lanterns for every winter that the harbour froze'
    const file = await fileWith(
      'eval.jsonl',
      jsonl([{ messages: [{ role: 'user', content: `Why? ${sentence}.` }] }, { a: 'short' }]),
    )
    const overlap = await openOverlap([file], 13)
    expect(overlap.size).toBe(5)
    expect(
      overlap.find(`Before. The Captain of the "copper" bridge kept SEVEN lanterns for every winter, that was it.`),
    ).toBe('the captain of the copper bridge kept seven lanterns for every winter that')
    expect(overlap.find('The captain of the copper bridge kept seven lanterns for every summer.')).toBeUndefined()
  })

  test('cannot be looked for where no text is long enough', async () => {
    const file = await fileWith('eval.jsonl', jsonl([{ text: 'too short' }]))
    await expect(openOverlap([file], 13)).rejects.toMatchObject({ code: 'BT_DATA_EMPTY' })
    await expect(openOverlap([file.replace('/eval.jsonl', '')], 13)).rejects.toMatchObject({ code: 'BT_DATA_FILE' })
  })
})
