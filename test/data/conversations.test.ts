// Whole conversations out of every format that holds them, and what is said of the turns that cannot be learned.
import { expect, test } from 'vitest'
import { loadPairs } from '../../src/data/load.js'
import { rowId } from '../../src/data/normalise.js'
import { splitValidation } from '../../src/data/split.js'
import { fileWith, jsonl } from './fixture.js'

const whole = { conversations: { system: true } }

async function load(rows: object[], options = whole) {
  return loadPairs(await fileWith('talk.jsonl', jsonl(rows)), options)
}

const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string) => ({ role: 'assistant', content })

test.each([
  ['messages', { messages: [user(' One? '), assistant('1.'), user('Two?'), assistant('2.')] }],
  ['LIMA', { conversations: ['One?', '1.', 'Two?', '2.'] }],
  [
    'ShareGPT',
    {
      conversations: [
        { from: 'human', value: 'One?' },
        { from: 'gpt', value: '1.\r\n' },
        { from: 'human', value: 'Two?' },
        { from: 'gpt', value: '2.' },
      ],
    },
  ],
  ['prompt/completion', { prompt: [user('One?'), assistant('1.'), user('Two?')], completion: [assistant('2.')] }],
] as const)('a conversation of %s keeps all exchanges, normalised', async (_, record) => {
  const { rows, dropped } = await load([record])
  expect(rows).toHaveLength(1)
  expect(rows[0]).toMatchObject({
    instruction: 'One?',
    response: '1.',
    conversation: {
      exchanges: [
        { instruction: 'One?', response: '1.' },
        { instruction: 'Two?', response: '2.' },
      ],
    },
  })
  expect(rows[0]!.id).not.toBe(rowId('One?', '1.'))
  expect(dropped).toEqual([])
})

test('a pair is a pair: no conversation, and the id that it always had', async () => {
  const { rows } = await load([
    { messages: [user('One?'), assistant('1.')] },
    { messages: [user('A'), assistant('B'), user('C')] },
  ])
  expect(rows.map(({ conversation }) => conversation)).toEqual([undefined, undefined])
  expect(rows.map(({ id }) => id)).toEqual([rowId('One?', '1.'), rowId('A', 'B')])
})

test('a system text is kept where it is wanted, and tells rows apart there', async () => {
  const records = ['Be brief.', 'Be kind.'].map((content) => ({
    messages: [{ role: 'system', content }, user('One?'), assistant('1.')],
  }))
  const { rows } = await load(records)
  expect(rows.map(({ conversation }) => conversation!.system)).toEqual(['Be brief.', 'Be kind.'])
  expect(new Set(rows.map(({ id }) => id)).size).toBe(2)
  const without = await load(records, { conversations: { system: false } })
  expect(without.rows).toHaveLength(1)
  expect(without.rows[0]).toMatchObject({ id: rowId('One?', '1.') })
  expect(without.dropped).toMatchObject([{ reason: 'duplicate', count: 1 }])
})

test('conversations that begin alike are no duplicates; the same one twice is', async () => {
  const talk = (end: string) => ({ messages: [user('One?'), assistant('1.'), user('And?'), assistant(end)] })
  const { rows, dropped } = await load([talk('2.'), talk('3.'), talk('2.')])
  expect(rows).toHaveLength(2)
  expect(dropped).toMatchObject([{ reason: 'duplicate', count: 1 }])
})

test('a conversation ends before a tool call, two turns of one speaker, or an empty turn, and that is counted with its place', async () => {
  const start = [user('One?'), assistant('1.')]
  const { rows, dropped } = await load([
    { messages: [...start, user('Two?'), { role: 'tool', content: 'x' }, assistant('2.')] },
    { messages: [...start, user('a'), user('b'), assistant('c')] },
    { messages: [...start, user('a'), assistant(' '), user('b'), assistant('c')] },
    { messages: [...start, user('Two?'), assistant('2.'), user('\n'), assistant('3.')] },
    { messages: [...start, user('an unanswered end is nothing to tell')] },
  ])
  expect(rows.map(({ conversation }) => conversation?.exchanges.length ?? 1)).toEqual([1, 2])
  const reasons = Object.fromEntries(dropped.map(({ reason, examples }) => [reason, examples]))
  expect(reasons['turns after a tool call, or after two turns of one speaker']).toEqual([
    expect.stringMatching(/talk\.jsonl:1 \(exchange 2\)$/),
  ])
  expect(reasons['empty instruction']).toEqual([expect.stringMatching(/talk\.jsonl:4 \(exchange 3\)$/)])
})

const message = (id: string, parent: string | null, role: string, text: string, rank: number | null, more = {}) => ({
  message_id: id,
  parent_id: parent,
  message_tree_id: 'root',
  role,
  text,
  rank,
  ...more,
})

const threads = [
  message('root', null, 'prompter', 'Prompt', null),
  message('r1', 'root', 'assistant', 'Worse', 1),
  message('r0', 'root', 'assistant', 'Best', 0),
  message('p0', 'r0', 'prompter', 'Unanswered', 0),
  message('p1', 'r0', 'prompter', 'Go on', 1),
  message('p2', 'r0', 'prompter', 'Deleted', null, { deleted: true }),
  message('a1', 'p1', 'assistant', 'Second', 1),
  message('a0', 'p1', 'assistant', 'First', 0),
  message('a2', 'p0', 'assistant', 'Spam', 0, { review_result: false }),
  message('q0', 'a0', 'prompter', 'The end', 0),
]

type Message = (typeof threads)[number]

function nested({ parent_id: _, message_tree_id: __, ...own }: Message): object {
  return { ...own, replies: threads.filter(({ parent_id }) => parent_id === own.message_id).map(nested) }
}

test.each([
  ['messages', threads],
  ['trees', [{ message_tree_id: 'root', tree_state: 'ready_for_export', prompt: nested(threads[0]!) }]],
])('OASST1 %s: the best reply, then the best message to it that has a fit reply, and so on', async (_, records) => {
  const { rows } = await load(records)
  expect(rows).toHaveLength(1)
  expect(rows[0]!.conversation!.exchanges).toEqual([
    { instruction: 'Prompt', response: 'Best' },
    { instruction: 'Go on', response: 'First' },
  ])
})

test('OASST1 messages whose ids run in a circle end', async () => {
  const { rows } = await load([
    message('root', null, 'prompter', 'Prompt', null),
    message('a', 'root', 'assistant', 'Reply', 0),
    message('root', 'a', 'prompter', 'Again', 0),
  ])
  expect(rows).toMatchObject([{ instruction: 'Prompt', response: 'Reply' }])
})

test('a split keeps a conversation, and all that begin alike, on one side', async () => {
  const records = Array.from({ length: 60 }, (_, i) => ({
    messages: [user(`Question ${i >> 1}?`), assistant(`${i}`), user('And?'), assistant(`${i} more`)],
  }))
  const { rows } = await load(records)
  const { train, validation } = splitValidation(rows, 0.3, 0)
  expect(train.length + validation.length).toBe(60)
  const held = new Set(validation.map(({ instruction }) => instruction))
  expect(held.size).toBeGreaterThan(0)
  for (const { instruction } of train) expect(held.has(instruction)).toBe(false)
})
