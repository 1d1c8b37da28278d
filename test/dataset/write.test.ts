import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { flagOf } from '../../src/cli/flags.js'
import { loadPairs } from '../../src/data/load.js'
import { hubLicense, sizeCategory } from '../../src/dataset/card.js'
import { datasetFields, datasetSchema } from '../../src/dataset/options.js'
import { type DatasetSummary, writeDataset } from '../../src/dataset/write.js'
import { packageRoot } from '../../src/paths.js'
import { runCli } from '../cli/run-cli.js'
import { fileWith, folderWith, jsonl } from '../data/fixture.js'
import { runFolder } from './run-folder.js'

const rows = [
  {
    id: 'aaaa',
    instruction: 'What is a river?',
    response: 'Water that flows.',
    source: 'oasst1',
    license: 'Apache-2.0',
    language: 'en',
  },
  {
    id: 'bbbb',
    instruction: 'Comment ça va ?',
    response: 'Bien 😀 | *merci* <b>\nÀ bientôt',
    system: 'Be brief.',
    source: 'web',
    license: 'CC BY-SA 4.0',
    language: 'fr',
    quality: 4.25,
    document: 'd1',
    place: 'x.jsonl:3',
    span: [4, 90],
  },
  {
    id: 'cccc',
    messages: [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hi. What is it?' },
      { role: 'user', content: 'A sum' },
      { role: 'assistant', content: 'Which?' },
    ],
    source: 'web',
    quality: 3.5,
  },
]
const broken = '{"instruction": "no end'
const formFiles = ['messages.jsonl', 'alpaca.json', 'sharegpt.jsonl', 'data.parquet']

let folder: string
let summary: DatasetSummary
beforeAll(async () => {
  // Conversations are another form than pairs, and a file is of one form.
  folder = await folderWith({
    'pairs.jsonl': `${jsonl(rows.slice(0, 2))}${broken}\n${jsonl([rows[0]!, { instruction: 'x', response: ' ' }])}`,
    'turns.jsonl': jsonl(rows.slice(2)),
  })
  summary = await writeDataset({
    input: [join(folder, 'pairs.jsonl'), join(folder, 'turns.jsonl')],
    output: join(folder, 'data'),
  })
})

async function conversations(file: string) {
  const { rows } = await loadPairs(file, { conversations: { system: true } })
  return rows.map(({ instruction, response, conversation, extra }) => ({
    exchanges: conversation?.exchanges ?? [{ instruction, response }],
    system: conversation?.system ?? extra?.system,
    id: extra?.source_id,
  }))
}

describe('a data set', () => {
  test('says what it holds, and what was left out', () => {
    expect(summary).toMatchObject({
      rows: 3,
      conversations: 1,
      withSystem: 2,
      licenses: [
        { name: null, rows: 1 },
        { name: 'Apache-2.0', rows: 1 },
        { name: 'CC BY-SA 4.0', rows: 1 },
      ],
      alreadyDone: false,
    })
    expect(summary.dropped.map(({ reason, count }) => [reason, count])).toEqual([
      ['malformed', 1],
      ['duplicate', 1],
      ['empty text', 1],
    ])
  })

  test.each(formFiles)('%s gives the same turns back', async (name) => {
    expect(await conversations(join(folder, 'data', name))).toEqual([
      {
        id: 'aaaa',
        system: undefined,
        exchanges: [{ instruction: 'What is a river?', response: 'Water that flows.' }],
      },
      {
        id: 'bbbb',
        system: 'Be brief.',
        exchanges: [{ instruction: 'Comment ça va ?', response: 'Bien 😀 | *merci* <b>\nÀ bientôt' }],
      },
      {
        id: 'cccc',
        system: 'Be kind.',
        exchanges: [
          { instruction: 'Hello', response: 'Hi. What is it?' },
          { instruction: 'A sum', response: 'Which?' },
        ],
      },
    ])
  })

  test('messages carry source, lineage and scores, the same columns in every row', async () => {
    const read = (await readFile(join(folder, 'data', 'messages.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(read[1]).toMatchObject({
      id: 'bbbb',
      source: 'web',
      license: 'CC BY-SA 4.0',
      language: 'fr',
      quality: 4.25,
      place: 'x.jsonl:3',
      span: [4, 90],
      pmi: null,
    })
    expect(new Set(read.map((row) => Object.keys(row).join()))).toHaveLength(1)
  })

  test('leaves no work behind, and is finished the second time', async () => {
    expect((await readdir(join(folder, 'data'))).toSorted()).toEqual(
      ['README.md', ...formFiles, 'messages.jsonl.meta.json'].toSorted(),
    )
    const again = await writeDataset({
      input: [join(folder, 'pairs.jsonl'), join(folder, 'turns.jsonl')],
      output: join(folder, 'data'),
    })
    expect(again).toMatchObject({ alreadyDone: true, rows: 3 })
    await expect(
      writeDataset({ input: [join(folder, 'pairs.jsonl')], output: join(folder, 'data') }),
    ).rejects.toMatchObject({ code: 'BT_OUTPUT_EXISTS' })
  })
})

describe('the card', () => {
  test('has front matter that the Hub reads', async () => {
    const card = await readFile(join(folder, 'data', 'README.md'), 'utf8')
    expect(parse(card.split('---\n')[1]!)).toEqual({
      pretty_name: 'data',
      license: ['unknown', 'apache-2.0', 'cc-by-sa-4.0'],
      language: ['en', 'fr'],
      size_categories: ['n<1K'],
      task_categories: ['text-generation'],
      tags: ['instruction-backtranslation', 'instruction-tuning', 'synthetic', 'bt-native'],
      configs: [{ config_name: 'default', data_files: [{ split: 'train', path: 'data.parquet' }] }],
    })
    expect(card).toContain('1 of 3 rows name no licence')
    expect(card).toMatch(/^quality, 1 to 5\n *3\.5\d* █/m)
    expect(card).toContain('> **Response:** Bien 😀 \\| \\*merci\\* \\<b\\>\n> À bientôt')
  })

  test('tells how the rows were made where a run is named', async () => {
    const run = await runFolder()
    const output = join(run.folder, 'data')
    await writeDataset({
      input: [join(run.folder, 'mix-1', 'rows.jsonl')],
      run: run.folder,
      output,
      title: 'Loop',
      license: 'cc-by-4.0',
      samples: 0,
    })
    const card = await readFile(join(output, 'README.md'), 'utf8')
    expect(card).toMatch(/^# Loop\n\n4 rows .* by instruction backtranslation/m)
    expect(card).toMatch(/^license: cc-by-4\.0$/m)
    expect(card).toContain('| origin | rows |\n|---|---:|\n| seed | 2 |\n| augmented | 1 |\n| rewritten | 1 |')
    expect(card).toMatch(
      /\*\*instructions\*\*\n\n\| option \| value \|\n\|---\|---\|\n\| model \| basemodel \|\n\| adapter \| backwardhash \|\n\| template \| 180f456627e5 \|\n\| temperature \| 0\.7 \|/,
    )
    expect(card).toContain('**curation 1**')
    expect(card).not.toContain('## Samples')
  })

  test("of one's own stays", async () => {
    const file = await fileWith('pairs.jsonl', jsonl(rows.slice(0, 1)))
    const output = await folderWith({ 'README.md': 'mine' })
    expect((await writeDataset({ input: [file], output })).card).toBeUndefined()
    expect(await readFile(join(output, 'README.md'), 'utf8')).toBe('mine')
    await writeDataset({ input: [file], output, force: true })
    expect(await readFile(join(output, 'README.md'), 'utf8')).toContain('pretty_name')
  })

  test.each([
    ['Apache-2.0', 'apache-2.0'],
    ['CC0', 'cc0-1.0'],
    ['CC BY 4.0', 'cc-by-4.0'],
    ['cc-by-nc-sa-3.0', 'cc-by-nc-sa-3.0'],
    ['MIT License', 'mit'],
    ['my own words', 'other'],
    [null, 'unknown'],
  ])('%s is %s on the Hub', (name, id) => expect(hubLicense(name)).toBe(id))

  test('sizes have the names of the Hub', () => {
    expect([999, 1000, 99_999, 5_000_000].map(sizeCategory)).toEqual(['n<1K', '1K<n<10K', '10K<n<100K', '1M<n<10M'])
  })
})

test('nothing is left of a data set that failed', async () => {
  const folder = await folderWith({ 'bad.jsonl': '{"instruction":"a","response":"b"}\n', 'empty.jsonl': '' })
  const input = [join(folder, 'bad.jsonl'), join(folder, 'empty.jsonl')]
  await expect(writeDataset({ input, output: join(folder, 'data') })).rejects.toMatchObject({ code: 'BT_DATA_EMPTY' })
  expect(await readdir(join(folder, 'data'))).toEqual([])
})

test('a file that changes while it is read is told, and nothing is written', async () => {
  const file = await fileWith(
    'pairs.jsonl',
    jsonl(Array.from({ length: 2000 }, (_, at) => ({ instruction: `i ${at}`, response: 'r' }))),
  )
  const output = await folderWith()
  const onProgress = () => void utimes(file, new Date(), new Date(Date.now() + 5000))
  await expect(writeDataset({ input: [file], output }, { onProgress })).rejects.toMatchObject({
    code: 'BT_INPUT_CHANGED',
  })
  expect(await readdir(output)).toEqual([])
})

test('an output is no input', async () => {
  const folder = await folderWith({ 'messages.jsonl': jsonl(rows.slice(2)) })
  await expect(writeDataset({ input: [join(folder, 'messages.jsonl')], output: folder })).rejects.toMatchObject({
    code: 'BT_USAGE',
  })
  await writeFile(join(folder, 'x'), '')
})

test('the command says what came of it', async () => {
  const file = await fileWith('pairs.jsonl', jsonl(rows.slice(0, 2)))
  const output = join(await folderWith(), 'set')
  const { code, stderr } = await runCli([
    'dataset',
    '--input',
    file,
    '--output',
    output,
    '--formats',
    'parquet,messages',
  ])
  expect(code).toBe(0)
  expect(stderr).toMatch(
    /^rows +2\nlicences +Apache-2\.0 1, CC BY-SA 4\.0 1\nfiles +.*messages\.jsonl\n +.*data\.parquet\ncard +.*README\.md\nnext: npx bt-native publish /,
  )
})

test('the table of options in the docs is that of the command', async () => {
  const text = await readFile(join(packageRoot, 'docs', 'publishing.md'), 'utf8')
  const section = text.slice(text.indexOf('\n## Options of `dataset`') + 4).split('\n## ')[0]!
  const found = section.split('\n').flatMap((line) => {
    const [, name, flag, value] = /^\| `(\w+)` \| `(--[\w-]+)` \| `?([^`|]+?)`? \|.+\|$/.exec(line) ?? []
    return name ? [{ name, flag, default: value }] : []
  })
  const defaults = datasetSchema.parse({ input: ['i'], output: 'o' }) as Record<string, unknown>
  const expected = Object.keys(datasetFields).map((name) => {
    const required = name === 'input' || name === 'output'
    return { name, flag: flagOf(name), default: required ? 'required' : String(defaults[name] ?? 'none') }
  })
  expect(found).toEqual(expected)
})
