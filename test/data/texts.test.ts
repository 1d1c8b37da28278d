import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterEach, expect, test, vi } from 'vitest'
import { Drops } from '../../src/data/drops.js'
import { type ReadTextsOptions, readTexts } from '../../src/data/texts.js'
import { collect, fileWith, fixture, jsonl, shared } from './fixture.js'

async function texts(path: string, options: Omit<ReadTextsOptions, 'drops'> = {}) {
  const drops = new Drops()
  const rows = await collect(readTexts(path, { ...options, drops }))
  return { rows, texts: rows.map(({ text }) => text), drops }
}

const stdin = (...pieces: string[]) =>
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from(pieces.map((piece) => Buffer.from(piece))) as never)

afterEach(() => vi.restoreAllMocks())

test.each(['response', 'text', 'output', 'completion', 'answer', 'content'])(
  'the column "%s" is taken',
  async (column) => {
    const { rows } = await texts(await fileWith('in.jsonl', jsonl([{ title: 'T', [column]: ' One\r\n' }])))
    expect(rows).toEqual([
      { index: 0, text: 'One', extra: { title: 'T' }, place: expect.stringMatching(/in\.jsonl:1$/) },
    ])
  },
)

test('the response of a pair is the text, its instruction travels along; the other side on request', async () => {
  const path = await fileWith('in.jsonl', jsonl([{ instruction: 'Ask', response: 'Tell' }]))
  expect((await texts(path)).rows[0]).toMatchObject({ text: 'Tell', extra: { instruction: 'Ask' } })
  expect((await texts(path, { side: 'instruction' })).rows[0]).toMatchObject({
    text: 'Ask',
    extra: { response: 'Tell' },
  })
  expect((await texts(fixture('lima.jsonl'))).rows[0]).toMatchObject({
    text: expect.stringMatching(/^Yeast/),
    extra: { instruction: 'Why does bread rise?', source: 'kitchen' },
  })
})

test('a column can be named, and one that is not there is an error with the line', async () => {
  const path = await fileWith('in.jsonl', jsonl([{ body: 'One', text: 'no' }, { text: 'Two' }]))
  await expect(texts(path, { column: 'body' })).rejects.toMatchObject({
    code: 'BT_DATA_COLUMN',
    message: `${path}:2: "body" is missing (columns here: text)`,
  })
  const other = await fileWith('in.jsonl', jsonl([{ body: 'One' }]))
  await expect(texts(other)).rejects.toMatchObject({
    code: 'BT_DATA_COLUMN',
    remedy: expect.stringContaining('--column body'),
  })
  expect((await texts(other, { column: 'body' })).texts).toEqual(['One'])
})

test('empty and unreadable rows are counted, and the index has no gap', async () => {
  const path = await fileWith(
    'in.jsonl',
    `${jsonl([{ text: 'a' }, { text: ' ' }, { text: null }])}{\n${jsonl([{ text: 7 }, { text: 'b' }])}`,
  )
  const { rows, drops } = await texts(path)
  expect(rows.map(({ index, text, place }) => [index, text, place.replace(/.*:/, '')])).toEqual([
    [0, 'a', '1'],
    [1, 'b', '6'],
  ])
  expect(drops.counts().map(({ reason, count }) => [reason, count])).toEqual([
    ['empty text', 2],
    ['malformed', 2],
  ])
})

test('a .txt file is one text, whatever it begins with, packed or not', async () => {
  const text = '{ A poem }\n\nin two parts\n'
  expect((await texts(await fileWith('in.txt', text))).texts).toEqual(['{ A poem }\n\nin two parts'])
  expect((await texts(await fileWith('in.md.gz', gzipSync(text)))).texts).toEqual(['{ A poem }\n\nin two parts'])
})

test('a pipe carries rows or plain text', async () => {
  stdin('{"text": "a"}\n{"te', 'xt": "b"}\n')
  expect((await texts('-')).texts).toEqual(['a', 'b'])
  stdin('Just a ', 'sentence.\nAnd more.')
  expect((await texts('-')).texts).toEqual(['Just a sentence.\nAnd more.'])
  stdin('[The first line in brackets]\n')
  expect((await texts('-')).texts).toEqual(['[The first line in brackets]'])
  stdin('')
  await expect(texts('-')).rejects.toMatchObject({ code: 'BT_DATA_EMPTY', message: 'stdin: the file is empty' })
})

test('reading stops when the reader does, and a long file is not read ahead', async () => {
  let given = 0
  const endless = async function* () {
    for (;;) {
      given++
      yield Buffer.from(jsonl([{ text: `row ${given}` }]))
    }
  }
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from(endless(), { highWaterMark: 1 }) as never)
  for await (const { index } of readTexts('-', { drops: new Drops() })) if (index === 99) break
  expect(given).toBeLessThan(200)
})

const c4 = shared('c4_demo.jsonl')
test.skipIf(!c4)('web documents come one by one', async () => {
  const { rows, drops } = await texts(c4!)
  expect(rows).toHaveLength(300)
  expect(drops.total).toBe(0)
  expect(rows.every(({ text, index }, place) => text.length > 0 && index === place)).toBe(true)
})
