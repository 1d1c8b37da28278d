// What a file may be packed in, and what may be wrong with it.
import { createReadStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { fileWith, fixture, folderWith, jsonl, pairs, readAll } from './fixture.js'

const rows = [
  { instruction: 'One?', response: 'First, with "quotes", {braces}, [brackets] and a \\ backslash.' },
  { instruction: 'Two?', response: 'Second: café 😀\nnext line' },
  { instruction: 'Three?', response: 'Third' },
]
const expected = rows.map((row) => [row.instruction, row.response])

afterEach(() => vi.restoreAllMocks())

describe('the same rows come out of', () => {
  const text = jsonl(rows)
  test.each<[string, string, string | Uint8Array]>([
    ['JSONL', 'a.jsonl', text],
    ['JSONL without a last line end', 'a.jsonl', text.trimEnd()],
    [
      'JSONL with Windows line ends, empty lines and a byte order mark',
      'a.jsonl',
      `\ufeff${text.replaceAll('\n', '\r\n\r\n')}`,
    ],
    ['JSONL packed with gzip', 'a.jsonl.gz', gzipSync(text)],
    ['gzip of two members', 'a.gz', Buffer.concat([gzipSync(text.slice(0, 50)), gzipSync(text.slice(50))])],
    ['gzip that is not named so', 'a.jsonl', gzipSync(text)],
    ['a JSON array on one line', 'a.json', JSON.stringify(rows)],
    ['a JSON array on many lines', 'a.json', JSON.stringify(rows, null, 2)],
    ['a JSON array packed with gzip', 'a.json.gz', gzipSync(JSON.stringify(rows, null, 2))],
    ['a JSON array with a comma after the last', 'a.json', JSON.stringify(rows).replace(/\]$/, ',]')],
  ])('%s', async (_, name, content) => {
    const read = await readAll(await fileWith(name, content))
    expect(pairs(read.rows)).toEqual(expected)
    expect(read.drops.total).toBe(0)
  })

  test('a file that comes in pieces of any size', async () => {
    for (const content of [text, JSON.stringify(rows, null, 1)]) {
      const bytes = Buffer.from(content)
      for (const size of [1, 2, 3, 7, 64]) {
        const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
          bytes.subarray(at * size, (at + 1) * size),
        )
        vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from(pieces) as unknown as typeof process.stdin)
        const read = await readAll('-')
        expect(pairs(read.rows)).toEqual(expected)
        expect(read.rows[0]!.place).toMatch(/^stdin:\d/)
      }
    }
  })

  test('standard input, packed or not', async () => {
    const path = await fileWith('a.gz', gzipSync(text))
    vi.spyOn(process, 'stdin', 'get').mockReturnValue(createReadStream(path) as unknown as typeof process.stdin)
    expect(pairs((await readAll('-')).rows)).toEqual(expected)
  })
})

describe('Parquet', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await folderWith()
    const connection = await (await DuckDBInstance.create(':memory:')).connect()
    const copy = (select: string, name: string) =>
      connection.run(`COPY (${select}) TO '${join(folder, name)}' (ROW_GROUP_SIZE 2048)`)
    await copy(
      `SELECT 'Question ' || i AS question, 'Answer ' || i AS answer, i AS big, DATE '2024-02-29' AS day FROM range(20000) t(i)`,
      'many.parquet',
    )
    await copy(
      `SELECT * FROM read_json('${fixture('lima.jsonl')}', columns = {conversations: 'VARCHAR[]', source: 'VARCHAR'})`,
      'lima.parquet',
    )
    const types = `{message_id: 'VARCHAR', parent_id: 'VARCHAR', text: 'VARCHAR', role: 'VARCHAR', lang: 'VARCHAR',
      review_result: 'BOOLEAN', deleted: 'BOOLEAN', rank: 'INTEGER', message_tree_id: 'VARCHAR', tree_state: 'VARCHAR',
      labels: 'STRUCT(name VARCHAR[], value DOUBLE[], count INTEGER[])'}`
    await copy(`SELECT * FROM read_json('${fixture('oasst-messages.jsonl')}', columns = ${types})`, 'oasst.parquet')
  })

  test('rows come in file order over many row groups, with plain numbers and dates as text', async () => {
    const read = await readAll(join(folder, 'many.parquet'))
    expect(read.summary.format).toBe('question/answer')
    expect(pairs(read.rows)).toEqual(Array.from({ length: 20_000 }, (_, i) => [`Question ${i}`, `Answer ${i}`]))
    expect(read.rows[41]!.row.extra).toEqual({ big: 41, day: '2024-02-29' })
    expect(read.rows[41]!.place).toBe(`${join(folder, 'many.parquet')}:42`)
  })

  test.each([
    ['lima.parquet', 'lima.jsonl'],
    ['oasst.parquet', 'oasst-messages.jsonl'],
  ])('%s gives what %s gives', async (parquet, json) => {
    const read = await readAll(join(folder, parquet))
    const same = await readAll(fixture(json))
    expect(read.rows.map(({ row }) => row.id)).toEqual(same.rows.map(({ row }) => row.id))
    expect(read.rows.map(({ row }) => row.extra)).toEqual(same.rows.map(({ row }) => row.extra))
    expect(read.counts).toEqual(same.counts)
    expect(read.summary.format).toBe(same.summary.format)
  })

  test('a damaged file is an error, and so is one in a pipe', async () => {
    const bytes = await readFile(join(folder, 'many.parquet'))
    const path = await fileWith('cut.parquet', bytes.subarray(0, bytes.length - 100))
    await expect(readAll(path)).rejects.toMatchObject({
      code: 'BT_DATA_FORMAT',
      message: expect.stringContaining(path),
    })
    vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([bytes]) as unknown as typeof process.stdin)
    await expect(readAll('-')).rejects.toMatchObject({
      code: 'BT_DATA_FORMAT',
      message: expect.stringContaining('stdin'),
    })
  })
})

describe('a file that cannot be read as a whole is an error that says what it is', () => {
  test.each<[string, string | Uint8Array, string, RegExp]>([
    ['nothing', '', 'BT_DATA_EMPTY', /the file is empty/],
    ['white space', ' \n\n', 'BT_DATA_EMPTY', /the file is empty/],
    ['an empty array', '[ ]', 'BT_DATA_EMPTY', /there is no row in it/],
    ['gzip of nothing', gzipSync(''), 'BT_DATA_EMPTY', /the file is empty/],
    ['UTF-16', Buffer.from('\ufeff{"a":1}\n', 'utf16le'), 'BT_DATA_ENCODING', /is UTF-16/],
    ['gzip of UTF-16', gzipSync(Buffer.from('\ufeff{"a":1}\n', 'utf16le')), 'BT_DATA_ENCODING', /is UTF-16/],
    [
      'gzip cut off',
      gzipSync(jsonl(Array(5000).fill(rows[1]))).subarray(0, 200),
      'BT_DATA_FORMAT',
      /gzip data is damaged or cut off/,
    ],
    ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0, 0]), 'BT_DATA_FORMAT', /packed with zstd/],
    ['a zip archive', Buffer.from('PK\u0003\u0004 and more'), 'BT_DATA_FORMAT', /zip archive/],
    ['CSV', 'instruction,response\na,b\n', 'BT_DATA_MALFORMED', /:1: is not JSON/],
    [
      'an object over many lines',
      JSON.stringify(rows[0], null, 2),
      'BT_DATA_MALFORMED',
      /:1: is not JSON: it stops after "{"/,
    ],
    ['values that are no objects', '{\n3\n"x"\n', 'BT_DATA_MALFORMED', /no line of the file is better/],
  ])('%s', async (_, content, code, message) => {
    await expect(readAll(await fileWith('data.jsonl', content))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    })
  })

  test('a missing file and a directory', async () => {
    const folder = await folderWith()
    await mkdir(join(folder, 'sub'))
    await expect(readAll(join(folder, 'none.jsonl'))).rejects.toMatchObject({
      code: 'BT_DATA_FILE',
      message: /no such file/,
    })
    await expect(readAll(join(folder, 'sub'))).rejects.toMatchObject({
      code: 'BT_DATA_FILE',
      message: /is a directory/,
      remedy: expect.stringContaining('sub/*.jsonl'),
    })
  })

  test('an indented object is told apart with the command that mends it', async () => {
    const path = await fileWith('one.json', JSON.stringify(rows[0], null, 2))
    await expect(readAll(path)).rejects.toMatchObject({ remedy: expect.stringContaining(`jq -c . ${path}`) })
  })
})

describe('an unreadable line is counted, named and passed over', () => {
  const good = jsonl([rows[0]!])
  test.each<[string, string | Uint8Array, RegExp]>([
    ['broken JSON', '{"instruction": "a", response: 3}', /^is not JSON: /],
    ['a line that stops', '{"instruction": "a", "respo', /it stops after ".*respo"/],
    ['a list', '[1, 2]', /holds a list, an object was expected/],
    ['a number', '12', /holds 12, an object was expected/],
    ['a NUL byte', '{"instruction": "a\u0000"}', /NUL byte/],
    [
      'invalid UTF-8',
      Buffer.from('{"instruction": "caf\xe9"}', 'latin1'),
      /is not valid UTF-8 at character 21, after ".*caf"/,
    ],
    ['half of a surrogate pair', '{"instruction": "a\\ud83d", "response": "b"}', /half of a surrogate pair/],
    ['ten megabytes', JSON.stringify({ instruction: 'a', response: 'b'.repeat(1e7) }), /has 10\.0 MB, at most 8\.0 MB/],
  ])('%s', async (_, line, why) => {
    const content = Buffer.concat([Buffer.from(good), Buffer.from(line), Buffer.from(`\n${good}`)])
    const path = await fileWith('a.jsonl', content)
    const read = await readAll(path)
    expect(pairs(read.rows)).toEqual([expected[0], expected[0]])
    expect(read.rows[1]!.place).toBe(`${path}:3`)
    expect(read.counts).toEqual({ malformed: 1 })
    expect(read.drops.malformed).toEqual([{ place: `${path}:2`, why: expect.stringMatching(why) }])
    await expect(readAll(path, { strict: true })).rejects.toMatchObject({
      code: 'BT_DATA_MALFORMED',
      message: expect.stringMatching(`${path}:2: `),
    })
  })

  test('in an array: the element is named by its line and number, the end that never comes by its own', async () => {
    const path = await fileWith(
      'a.json',
      `[\n${JSON.stringify(rows[0])},\n{"instruction" 3},\n\n${JSON.stringify(rows[2])},\n{"instr`,
    )
    const read = await readAll(path)
    expect(pairs(read.rows)).toEqual([expected[0], expected[2]])
    expect(read.drops.malformed).toEqual([
      { place: `${path}:3 (item 2)`, why: expect.stringMatching(/^is not JSON/) },
      { place: `${path}:6 (item 4)`, why: expect.stringMatching(/cut off/) },
    ])
  })

  test('what stands after an array is not passed over in silence', async () => {
    const path = await fileWith('a.json', `${JSON.stringify(rows)}\n{"instruction": "lost"}`)
    expect((await readAll(path)).drops.malformed[0]!.why).toMatch(/more stands after the end/)
  })
})

describe('texts', () => {
  test('are one in spelling: NFC, plain line ends, no white space around, no control characters', async () => {
    const path = await fileWith(
      'a.jsonl',
      jsonl([{ prompt: '  cafe\u0301\r\nau\rlait\u0007\t!\n', response: '\ufeff x' }]),
    )
    const [read] = (await readAll(path)).rows
    expect(read!.row).toMatchObject({ instruction: 'café\nau\nlait\t!', response: 'x' })
  })

  test('have ids that depend on them alone', async () => {
    const one = await fileWith('a.jsonl', jsonl([{ prompt: 'café', response: 'x', more: 1 }]))
    const other = join(await folderWith(), 'b.json')
    await writeFile(other, JSON.stringify([{ question: 'cafe\u0301 ', answer: 'x\r\n' }]))
    const [a, b] = [(await readAll(one)).rows[0]!.row, (await readAll(other)).rows[0]!.row]
    expect(a.id).toBe(b.id)
    expect(a.id).toMatch(/^[0-9a-f]{16}$/)
    const swapped = await fileWith('c.jsonl', jsonl([{ prompt: 'x', response: 'café' }]))
    expect((await readAll(swapped)).rows[0]!.row.id).not.toBe(a.id)
  })
})
