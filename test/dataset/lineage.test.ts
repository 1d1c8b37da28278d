import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { writeParquetFromJsonl } from '../../src/data/parquet-write.js'
import { openDatabase } from '../../src/dataset/database.js'
import { buildLineage } from '../../src/dataset/lineage.js'
import { lineageInputsOf } from '../../src/dataset/run-files.js'
import type { LineageRow } from '../../src/dataset/trace.js'
import { sha256File } from '../../src/files.js'
import { packageRoot } from '../../src/paths.js'
import { fileWith, folderWith, jsonl } from '../data/fixture.js'
import { runFolder } from './run-folder.js'

async function rowsIn(file: string): Promise<Map<string, LineageRow>> {
  const database = await openDatabase(await folderWith())
  try {
    const rows = await database.rows<LineageRow>(`FROM read_parquet('${file}')`)
    return new Map(rows.map((row) => [row.id, row]))
  } finally {
    await database.close()
  }
}

describe('the lineage of a run', () => {
  let folder: string
  let output: string
  let rows: Map<string, LineageRow>
  beforeAll(async () => {
    folder = (await runFolder()).folder
    output = join(folder, 'lineage.parquet')
    const summary = await buildLineage(await lineageInputsOf(folder), output)
    expect(summary).toEqual({
      output,
      rows: 6,
      origins: { augmented: 2, rewritten: 1, seed: 3 },
      repeated: 0,
      unmatched: 0,
    })
    rows = await rowsIn(output)
  })

  test('has every row that was ever written, sorted by id', () => {
    expect([...rows.keys()]).toEqual([
      '0000000000000001',
      '0000000000000002',
      '0000000000000003',
      '3b1f000000000001',
      '3b1f000000000002',
      '77aa000000000003',
    ])
  })

  test('tells where a pair came from, what wrote it, its scores by iteration and what it trained', () => {
    expect(rows.get('3b1f000000000002')).toMatchObject({
      instruction: 'How does bread rise?',
      response: 'Bread rises when yeast eats sugar. It is then baked.',
      origin: 'augmented',
      source: 'web',
      place: join(folder, 'pages.jsonl:2'),
      span_from: 14,
      language: 'en',
      license: null,
      backward_model: 'basemodel',
      backward_adapter: 'backwardhash',
      template: '180f456627e5',
      sampling: '{"temperature":0.7,"topP":0.9,"seed":3}',
      seed: 3,
      attempt: 2,
      guard: ['loop'],
      written_log_prob: -1.25,
      original_response: null,
      in_training_of: ['m1'],
    })
    expect(rows.get('3b1f000000000002')!.iterations).toMatchObject([
      { iteration: 1, adapter: 'm0hash', quality: 4, pmi: 1.5, backward_pmi: 0.25, ifd: null, kept: true },
      { iteration: 2, adapter: null, quality: 2, kept: false, why: 'quality 2 is under 4' },
    ])
  })

  test('keeps the response that a rewriting replaced', () => {
    expect(rows.get('3b1f000000000001')).toMatchObject({
      origin: 'rewritten',
      response: 'Rivers carry water and stones to the sea.',
      original_response: 'Rivers carry water from the hills to the sea, and stones with it.',
      license: 'CC-BY-4.0',
      in_training_of: ['m1', 'm2'],
    })
  })

  test('tells seed rows that trained from those that were held back', () => {
    expect(rows.get('0000000000000001')).toMatchObject({
      origin: 'seed',
      in_training_of: ['m0', 'm1', 'm2'],
      attempt: null,
    })
    expect(rows.get('0000000000000003')).toMatchObject({ origin: 'seed', in_training_of: [], iterations: [] })
  })

  test('is the same file again', async () => {
    const again = join(folder, 'again.parquet')
    await buildLineage(await lineageInputsOf(folder), again)
    expect(await sha256File(again)).toBe(await sha256File(output))
  })

  test('leaves nothing beside it', async () => {
    expect((await readdir(folder)).filter((name) => /duckdb|tmp/.test(name))).toEqual([])
  })
})

test('rows of single commands have a lineage too, whatever holds them and whatever is missing', async () => {
  const folder = await folderWith({
    'pairs.jsonl': jsonl([
      { id: 'a', instruction: 'i', response: 'r', document: 'd', place: 'x.txt', span: [3, 9], license: 'CC0' },
      { id: 'a', instruction: 'later', response: 'r' },
      {
        id: 'c',
        messages: [
          { role: 'system', content: 's' },
          { role: 'user', content: 'u' },
          { role: 'assistant', content: 'v' },
        ],
      },
    ]),
    'seed.json': JSON.stringify([{ instruction: 'no id', response: 'yes' }]),
    'empty.jsonl': '',
  })
  const at = (name: string) => join(folder, name)
  await writeParquetFromJsonl(at('pairs.jsonl'), at('pairs.parquet'), {
    ...{ id: 'VARCHAR', instruction: 'VARCHAR', response: 'VARCHAR', document: 'VARCHAR', place: 'VARCHAR' },
    ...{ span: 'BIGINT[]', license: 'VARCHAR', messages: 'STRUCT(role VARCHAR, content VARCHAR)[]' },
  })
  const written = []
  for (const name of ['pairs.jsonl', 'pairs.parquet']) {
    const inputs = { pairs: [at(name)], seed: [at('seed.json')], segments: [at('empty.jsonl')] }
    const { origins, repeated } = await buildLineage(inputs, at('lineage.parquet'))
    expect({ origins, repeated }).toEqual({ origins: { augmented: 1, conversation: 1, seed: 1 }, repeated: 1 })
    written.push(await rowsIn(at('lineage.parquet')))
  }
  expect(written[0]).toEqual(written[1])
  expect(written[0]!.get('a')).toMatchObject({ instruction: 'i', span_from: 3, span_to: 9, license: 'CC0' })
  expect(written[0]!.get('c')).toMatchObject({ instruction: 'u', response: 'v' })
  expect([...written[0]!.values()].find(({ origin }) => origin === 'seed')!.id).toMatch(/^[0-9a-f]{16}$/)
})

test.each([
  ['{"id":"a"}\n{"id":"b"\n', /file\.jsonl:2: malformed JSON/, 'BT_DATA_MALFORMED'],
  [
    Buffer.from([0x7b, 0x22, 0x69, 0x64, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d, 10]),
    /file\.jsonl:1: .*UTF-8/,
    'BT_DATA_MALFORMED',
  ],
  ['{"id":"a","span":"x"}\n', /file\.jsonl.*line 1/, 'BT_DATA_MALFORMED'],
])('a file that cannot be read is named with its line (%#)', async (content, message, code) => {
  const file = await fileWith('file.jsonl', content)
  await expect(buildLineage({ pairs: [file] }, `${file}.parquet`)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message),
  })
})

test('a folder without rows of a run is refused', async () => {
  const folder = await folderWith()
  await expect(lineageInputsOf(folder)).rejects.toMatchObject({ code: 'BT_RUN_NOT_FOUND' })
  await mkdir(join(folder, 'file.jsonl'))
  await expect(buildLineage({ pairs: [join(folder, 'file.jsonl')] }, join(folder, 'l.parquet'))).rejects.toMatchObject({
    code: 'BT_DATA_FILE',
  })
})

test('memory is bounded where the rows are not: what does not fit goes beside the output', async () => {
  const folder = await folderWith()
  const database = await openDatabase(folder)
  const [pairs, scored] = [join(folder, 'pairs.parquet'), join(folder, 'scored.parquet')]
  const id = (seed: number) => `left(sha256(concat(i, '-', ${seed})), 16) AS id`
  await database.run(
    `COPY (SELECT ${id(1)}, repeat(sha256(concat(i, 'x')), 12) AS instruction, repeat(sha256(concat(i, 'y')), 12) AS response FROM range(180000) t(i)) TO '${pairs}' (ROW_GROUP_SIZE 20480)`,
  )
  await database.run(
    `COPY (SELECT ${id(1)}, 3.5 AS quality, true AS kept, 'why' AS why FROM range(180000) t(i)) TO '${scored}'`,
  )
  await database.close()
  const output = join(folder, 'lineage.parquet')
  // The texts alone are 280 MB.
  const summary = await buildLineage({ pairs: [pairs], scored: [{ iteration: 1, file: scored }] }, output, {
    memory: 1,
  })
  expect(summary).toMatchObject({ rows: 180_000, repeated: 0, unmatched: 0 })
}, 60_000)

test('each query of the docs answers on a run', async () => {
  const { folder } = await runFolder()
  await buildLineage(await lineageInputsOf(folder), join(folder, 'lineage.parquet'))
  const docs = await readFile(join(packageRoot, 'docs', 'lineage.md'), 'utf8')
  const queries = [...docs.matchAll(/```sql\n([\s\S]+?)```/g)].map((match) =>
    match[1]!.replaceAll("'lineage.parquet'", `'${join(folder, 'lineage.parquet')}'`),
  )
  const database = await openDatabase(folder)
  const answers = []
  for (const query of queries) answers.push(await database.rows(query))
  await database.close()
  expect(answers).toHaveLength(5)
  expect(answers[0]).toEqual([
    { origin: 'augmented', rows: 2, kept: 0 },
    { origin: 'rewritten', rows: 1, kept: 1 },
    { origin: 'seed', rows: 3, kept: 0 },
  ])
  expect(answers[1]![0]).toMatchObject({ iteration: 1, why: 'quality 1.5 is under 4', rows: 1 })
  expect(answers[2]![0]).toMatchObject({ id: '3b1f000000000002', first: 4, last: 2 })
  expect(answers[3]).toContainEqual({ source: 'web', license: 'CC-BY-4.0', rows: 1 })
  expect(answers[4]).toHaveLength(1)
})

test('the columns of the docs are those of the file', async () => {
  const file = await fileWith('pairs.jsonl', jsonl([{ id: 'a' }]))
  await buildLineage({ pairs: [file] }, `${file}.parquet`)
  const [row] = (await rowsIn(`${file}.parquet`)).values()
  const docs = await readFile(join(packageRoot, 'docs', 'lineage.md'), 'utf8')
  const table = docs.slice(docs.indexOf('## Columns'), docs.indexOf('## Asking'))
  const names = table
    .split('\n')
    .flatMap((line) => [...(/^\| (`[^|]+`) \|/.exec(line)?.[1] ?? '').matchAll(/`(\w+)`/g)].map((match) => match[1]))
  expect(names.toSorted()).toEqual(Object.keys(row!).toSorted())
  await writeFile(file, '')
})
