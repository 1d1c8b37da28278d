import { describe, expect, test } from 'vitest'
import { openEndOf, type Turn } from '../../src/data/conversation.js'
import { Drops } from '../../src/data/drops.js'
import { readTexts } from '../../src/data/texts.js'
import { fileWith, jsonl } from './fixture.js'

/** "u:Hello" is a user's turn. */
const turnsOf = (...said: string[]): Turn[] =>
  said.map((one) => {
    const roles = { u: 'user', a: 'assistant', s: 'system', t: 'other' } as const
    return { role: roles[one[0] as keyof typeof roles], text: one.slice(2) }
  })
const pair = (instruction: string, response: string) => ({ instruction, response })

describe('the end of a conversation that a message is written for', () => {
  test.each([
    ['a reply alone', ['a:A1'], { given: 'A1', exchanges: [] }],
    ['a message that is there', ['u:U1', 'a:A1'], { given: 'A1', reference: 'U1', exchanges: [] }],
    ['an empty message', ['u:U1', 'a:A1', 'u: ', 'a:A2'], { given: 'A2', exchanges: [pair('U1', 'A1')] }],
    ['a missing message', ['u:U1', 'a:A1', 'a:A2'], { given: 'A2', exchanges: [pair('U1', 'A1')] }],
    [
      'a message that nobody answered after it',
      ['u:U1', 'a:A1', 'u:U2', 'a:A2', 'u:U3'],
      { given: 'A2', reference: 'U2', exchanges: [pair('U1', 'A1')] },
    ],
    [
      'a system text and a greeting',
      ['s:Be kind.', 'a:Hello', 'u:U1', 'a:A1', 'u:U2', 'a:A2'],
      { given: 'A2', reference: 'U2', system: 'Be kind.', exchanges: [pair('U1', 'A1')] },
    ],
    [
      'a gap before',
      ['u:U1', 'u:U2', 'a:A2', 't:call', 'u:U3', 'a:A3', 'u:U4', 'a:A4'],
      { given: 'A4', reference: 'U4', exchanges: [pair('U3', 'A3')] },
    ],
  ])('%s', (_, said, expected) => {
    expect(openEndOf(turnsOf(...said), 'assistant')).toEqual(expected)
  })

  test.each([
    ['a message alone', ['u:U1'], { given: 'U1', exchanges: [] }],
    ['a reply that is there', ['u:U1', 'a:A1'], { given: 'U1', reference: 'A1', exchanges: [] }],
    ['a missing reply', ['u:U1', 'a:A1', 'u:U2'], { given: 'U2', exchanges: [pair('U1', 'A1')] }],
  ])('forward: %s', (_, said, expected) => {
    expect(openEndOf(turnsOf(...said), 'user')).toEqual(expected)
  })

  test('is not there where the conversation ends otherwise', () => {
    expect(openEndOf(turnsOf('u:U1'), 'assistant')).toHaveProperty('reason')
    expect(openEndOf(turnsOf('u:U1', 'a:A1', 't:call'), 'assistant')).toHaveProperty('reason')
    expect(openEndOf(turnsOf('u:U1', 'a:A1', 'u:U2', 'u:U3'), 'assistant')).toHaveProperty('reason')
    expect(openEndOf(turnsOf('u:U1', 'a:A1', 'a:A2'), 'user')).toHaveProperty('reason')
  })

  test('is read where the last exchange is asked for, and counted where there is none', async () => {
    const message = (role: string, content: string) => ({ role, content })
    const path = await fileWith(
      'ends.jsonl',
      jsonl([
        { id: 'x', messages: [message('user', ' One? '), message('assistant', '1.'), message('assistant', '2.')] },
        { messages: [message('user', 'Nobody?')] },
        { messages: [message('assistant', 'Hi.')], system: 'own' },
      ]),
    )
    const drops = new Drops()
    const rows = []
    for await (const row of readTexts(path, { drops, turns: 'last' })) rows.push(row)
    expect(rows.map(({ text, exchanges }) => ({ text, exchanges }))).toEqual([
      { text: '2.', exchanges: [pair('One?', '1.')] },
      { text: 'Hi.', exchanges: [] },
    ])
    expect(rows[0]!.extra).toMatchObject({ id: 'x' })
    expect(drops.counts()).toMatchObject([{ count: 1, examples: [`${path}:2`] }])
  })
})
