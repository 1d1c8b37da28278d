import { describe, expect, test } from 'vitest'
import { parseColumns } from '../../src/data/formats.js'
import { fileWith, fixture, jsonl, pairs, readAll, shared } from './fixture.js'

describe('conversations', () => {
  test('LIMA: the first pair of each, other turns marked, no reply counted', async () => {
    const { rows, counts, summary } = await readAll(fixture('lima.jsonl'))
    expect(summary).toMatchObject({ format: 'LIMA', records: 5 })
    expect(rows.map(({ row }) => [row.instruction, row.response, row.multiTurn === true, row.source])).toEqual([
      ['Why does bread rise?', expect.stringMatching(/^Yeast/), false, 'kitchen'],
      ['Name a prime above ten.', 'Eleven.', true, 'numbers'],
      ['Who mends shoes?', 'A cobbler.', false, 'trades'],
      ['How deep is the well?', 'Nine metres.', true, 'trades'],
    ])
    expect(counts).toEqual({ 'no reply in the conversation': 1 })
  })

  test('ShareGPT: system texts are kept aside, a greeting first or a tool call makes it multi-turn', async () => {
    const { rows, counts, summary } = await readAll(fixture('sharegpt.jsonl'))
    expect(summary.format).toBe('ShareGPT')
    expect(rows.map(({ row }) => [row.instruction, row.multiTurn === true, row.extra])).toEqual([
      ['How do I sharpen a chisel?', false, { source_id: 'a1' }],
      ['Colour of snow?', false, { source_id: 'a2', system: 'Answer in one word.' }],
      ['What is a lathe?', true, { source_id: 'a3' }],
    ])
    expect(counts).toEqual({ 'no reply in the conversation': 2 })
  })

  test('messages: content in parts is joined, an image is not text', async () => {
    const { rows, drops, summary } = await readAll(fixture('messages.jsonl'))
    expect(summary.format).toBe('messages')
    expect(pairs(rows)).toEqual([
      ['Say hello in Welsh.', 'Helo.'],
      ['Spell cat.', 'C-A-T.'],
    ])
    expect(rows[0]!.row.extra).toEqual({ topic: 'greetings' })
    expect(rows[1]!.row.multiTurn).toBe(true)
    expect(drops.malformed[0]!.place).toMatch(/messages\.jsonl:3$/)
    expect(drops.malformed[0]!.why).toMatch(/turn 1 holds no text/)
  })
})

describe('columns', () => {
  test('Alpaca: the input stands below the instruction', async () => {
    const { rows, summary } = await readAll(fixture('alpaca.json'))
    expect(summary.format).toBe('Alpaca')
    expect(pairs(rows)).toEqual([
      ['Give three uses of a brick.', 'A wall, a doorstop, a weight.'],
      [
        'Turn the sentence into the past tense.\n\nShe walks to [the] "old" mill, {slowly}.',
        'She walked to [the] "old" mill, {slowly}.',
      ],
    ])
    expect(rows.map(({ place }) => place.replace(/.*\//, ''))).toEqual([
      'alpaca.json:2 (item 1)',
      'alpaca.json:7 (item 2)',
    ])
  })

  test.each([
    ['instruction', 'response'],
    ['instruction', 'output'],
    ['prompt', 'completion'],
    ['prompt', 'response'],
    ['question', 'answer'],
    ['question', 'response'],
    ['query', 'response'],
    ['query', 'answer'],
    ['input', 'output'],
    ['inputs', 'targets'],
  ])('%s and %s are known', async (instruction, response) => {
    const path = await fileWith('rows.jsonl', jsonl([{ [instruction]: 'Ask', [response]: 'Tell', other: 7 }]))
    const { rows } = await readAll(path)
    expect(pairs(rows)).toEqual([['Ask', 'Tell']])
    expect(rows[0]!.row).toMatchObject({ source: 'rows.jsonl', extra: { other: 7 } })
  })

  test('prompt and completion may be messages', async () => {
    const row = { prompt: [{ role: 'user', content: 'Ask' }], completion: [{ role: 'assistant', content: 'Tell' }] }
    expect(pairs((await readAll(await fileWith('rows.jsonl', jsonl([row])))).rows)).toEqual([['Ask', 'Tell']])
  })

  test('a mapping wins over what would be recognised, and may name source, language and rank', async () => {
    const row = {
      instruction: 'no',
      response: 'no',
      title: 'Ask',
      body: 'Tell',
      site: 'forum',
      tongue: 'de',
      place: '2',
    }
    const path = await fileWith('rows.jsonl', jsonl([row]))
    const columns = parseColumns('instruction=title,response=body,source=site,lang=tongue,rank=place')
    const [read] = (await readAll(path, { columns })).rows
    expect(read).toMatchObject({ lang: 'de', rank: 2, row: { instruction: 'Ask', response: 'Tell', source: 'forum' } })
  })

  test('a mapping that does not say enough is refused', () => {
    expect(() => parseColumns('instruction=a')).toThrow(/needs both/)
    expect(() => parseColumns('instruction=a,reply=b')).toThrow(/"reply=b"/)
  })

  test('a row without a column of its format is an error that names line, column and what is there', async () => {
    const path = await fileWith(
      'rows.jsonl',
      jsonl([
        { instruction: 'a', response: 'b' },
        { instruction: 'c', output: 'd' },
      ]),
    )
    const error = await readAll(path).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'BT_DATA_COLUMN' })
    expect(error).toMatchObject({ message: `${path}:2: "response" is missing (columns here: instruction, output)` })
    expect(error).toMatchObject({
      remedy: expect.stringContaining('--columns instruction=instruction,response=output'),
    })
  })

  test('columns that no format knows are an error that offers a mapping', async () => {
    const path = await fileWith('rows.jsonl', jsonl([{ title: 'a', body: 'b' }]))
    await expect(readAll(path)).rejects.toMatchObject({
      code: 'BT_DATA_COLUMN',
      message: expect.stringContaining(':1: no known pair of columns (columns here: title, body)'),
      remedy: expect.stringContaining('--columns instruction=title,response=body'),
    })
  })

  test('a list where text belongs is malformed, nothing is empty, a number is text', async () => {
    const rows = [
      { question: 'q1', answer: ['x'] },
      { question: 'q2', answer: null },
      { question: 'q3', answer: 4 },
    ]
    const { rows: read, drops } = await readAll(await fileWith('rows.jsonl', jsonl(rows)))
    expect(pairs(read)).toEqual([
      ['q2', ''],
      ['q3', '4'],
    ])
    expect(drops.malformed[0]!.why).toBe('"answer" holds a list, text was expected')
  })
})

describe('OASST1', () => {
  const expected = [
    ['Which reply is best?', 'This one.', true, 0],
    ['What is left when others go?', 'What nobody took away.', false, 3],
    ['Hallo?', 'Hallo!', false, undefined],
  ]
  const dropped = {
    'no reply': 1,
    'no fit reply': 1,
    'prompt rejected by its reviewers': 1,
    'prompt in an abandoned tree': 1,
  }

  test.each(['oasst-messages.jsonl', 'oasst-trees.jsonl'])(
    'the best fit reply to each first prompt: %s',
    async (name) => {
      const { rows, counts } = await readAll(fixture(name))
      expect(rows.map(({ row, rank }) => [row.instruction, row.response, row.multiTurn === true, rank])).toEqual(
        expected,
      )
      const orphan = name.includes('trees') ? {} : { 'reply whose prompt is not in the file': 1 }
      expect(counts).toEqual({ ...dropped, ...orphan })
      expect(rows[2]!.lang).toBe('de')
    },
  )

  test('every fit reply on request, best first', async () => {
    const { rows } = await readAll(fixture('oasst-messages.jsonl'), { allReplies: true })
    expect(rows.map(({ row }) => row.response)).toEqual([
      'This one.',
      'Second best.',
      'What nobody took away.',
      'Worse.',
      'Hallo!',
    ])
  })

  test('a selection of replies alone is refused', async () => {
    const path = await fileWith('m.jsonl', jsonl([{ message_id: 'a', parent_id: 'b', text: 't', role: 'assistant' }]))
    await expect(readAll(path)).rejects.toMatchObject({ code: 'BT_DATA_FORMAT' })
  })

  const messages = shared('oasst1_en_validation_messages.jsonl')
  const evaluation = shared('oasst1_en_eval.jsonl')
  test.skipIf(!messages || !evaluation)('gives the very pairs of the published validation split', async () => {
    const { rows } = await readAll(messages!)
    const ranked = rows.filter(({ rank }) => rank === 0).map(({ row }) => row.id)
    const published = (await readAll(evaluation!)).rows.map(({ row }) => row.id)
    expect(published).toHaveLength(186)
    expect(ranked.toSorted()).toEqual(published.toSorted())
  })
})
