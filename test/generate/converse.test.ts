import { mkdtemp, readdir, readFile, readlink, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Drops } from '../../src/data/drops.js'
import { loadPairs } from '../../src/data/load.js'
import { normaliseText } from '../../src/data/normalise.js'
import { readRecords } from '../../src/data/records.js'
import { writeDataset } from '../../src/dataset/write.js'
import { sha256 } from '../../src/files.js'
import { type ConverseSummary, converse, type WrittenConversation } from '../../src/generate/converse.js'
import type { ConverseInput } from '../../src/generate/converse-options.js'
import { type GenerateControl, generate } from '../../src/generate/run.js'
import { readSectioned, type SectionOptions } from '../../src/generate/sectioned.js'
import { train } from '../../src/train/run.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'

const small = { threads: 1, device: 'cpu', precision: 'fp32' } as const
let folder: string
let adapter: string
let input: string
let outputs = 0

/** Five documents of 1, 2, 3, 4 and 5 sections, as `segment` writes them. */
const segments = Array.from({ length: 5 }, (_, document) =>
  Array.from({ length: document + 1 }, (_, at) => ({
    id: `d${document}s${at}`,
    text: tinyPairs(20)[document * 3 + at]!.response,
    heading: `Part ${at}`,
    title: `Page ${document}`,
    source: 'docs',
    url: null,
    language: 'en',
    document: `document-${document}`,
    place: `docs.jsonl:${document + 1}`,
    span: [100 * at, 100 * at + 80],
  })),
).flat()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-converse-'))
  const model = await writeTinyModel(join(folder, 'model'))
  input = await writeRows(join(folder, 'segments.jsonl'), segments)
  const talks = Array.from({ length: 12 }, (_, from) => ({
    messages: tinyPairs(from + 3)
      .slice(from)
      .flatMap(({ instruction, response }) => [
        { role: 'user', content: instruction },
        { role: 'assistant', content: response },
      ]),
  }))
  adapter = join(folder, 'adapter')
  const data = await writeRows(join(folder, 'talks.jsonl'), talks)
  const how = { epochs: 3, learningRate: 0.01, validation: 0, samples: 0, maxTokens: 1000 }
  for await (const _ of train({ model, data, output: adapter, ...how, ...small }));
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** What this process holds open. */
async function openFiles(): Promise<string[]> {
  const held = await readdir('/proc/self/fd')
  return Promise.all(held.map((one) => readlink(`/proc/self/fd/${one}`).catch(() => '')))
}

const newOutput = (ending = 'jsonl') => join(folder, `out-${outputs++}.${ending}`)
const optionsFor = (more: Partial<ConverseInput> = {}): ConverseInput => ({
  ...{ adapter, input, maxNewTokens: 12, maxTokens: 900, guardRetries: 1, ...small },
  ...more,
})

async function run(more: Partial<ConverseInput> = {}, control?: GenerateControl) {
  const rows: WrittenConversation[] = []
  const iterator = converse(optionsFor(more), control)
  let next = await iterator.next()
  for (; !next.done; next = await iterator.next()) rows.push(next.value)
  return { rows, summary: next.value as ConverseSummary }
}

const roles = ({ messages }: WrittenConversation) => messages.map(({ role }) => role)
const said = ({ messages }: WrittenConversation, role: string) =>
  messages.filter((message) => message.role === role).map(({ content }) => content)

describe('a conversation', () => {
  test('has a document’s sections as replies, in order, and a written message before each', async () => {
    const { rows, summary } = await run()
    expect(rows.map(({ title }) => title)).toEqual(['Page 0', 'Page 1', 'Page 2', 'Page 3', 'Page 4'])
    for (const [at, row] of rows.entries()) {
      const own = segments.filter(({ document }) => document === `document-${at}`)
      expect(said(row, 'assistant')).toEqual(own.map(({ text }) => text))
      expect(roles(row)).toEqual(own.flatMap(() => ['user', 'assistant']))
      expect(said(row, 'user').every((text) => text !== '')).toBe(true)
      expect(row.sections.map(({ id, heading, span }) => ({ id, heading, span }))).toEqual(
        own.map(({ id, heading, span }) => ({ id, heading, span })),
      )
      expect(row).toMatchObject({ source: 'docs', language: 'en', document: `document-${at}`, turns: own.length })
      expect(row.span).toEqual([0, 100 * at + 80])
      expect(row).not.toHaveProperty('heading')
    }
    expect(summary).toMatchObject({ rows: 5, written: 5, turns: 15, interrupted: false, dropped: [] })
  })

  test('is written message by message as generate writes a next message, given all before it', async () => {
    const { rows } = await run({ limit: 3 })
    for (const { messages } of rows) {
      const open = messages.flatMap(({ role }, at) =>
        role === 'user' ? [{ messages: messages.toSpliced(at, 1).slice(0, at + 1) }] : [],
      )
      const path = await writeRows(join(folder, 'open.jsonl'), open)
      const { column: _, ...options } = optionsFor({ input: path })
      const written: string[] = []
      const { minTurns: __, maxTurns: ___, minCharacters: ____, maxCharacters: _____, ...common } = options
      for await (const row of generate({ ...common, turns: 'last' })) written.push(normaliseText(row.instruction))
      expect(written).toEqual(messages.filter(({ role }) => role === 'user').map(({ content }) => content))
    }
  })

  test('does not depend on its neighbours or on the batch size', async () => {
    const together = (await run()).rows
    const apart = (await run({ batchSize: 1 })).rows
    expect(apart).toEqual(together)
  })

  test('is one of several where a document has more sections than it may have turns', async () => {
    const { rows } = await run({ maxTurns: 3 })
    expect(rows.map(({ turns }) => turns)).toEqual([1, 2, 3, 2, 2, 2, 3])
    expect(rows.slice(3, 5).map(({ span }) => span)).toEqual([
      [0, 180],
      [200, 380],
    ])
  })

  test('is not made of a document with fewer sections than are asked for, which is counted', async () => {
    const { rows, summary } = await run({ minTurns: 3, limit: 2 })
    expect(rows.map(({ title }) => title)).toEqual(['Page 2', 'Page 3'])
    expect(summary.dropped).toMatchObject([
      {
        reason: 'fewer than 3 sections',
        count: 2,
        examples: [expect.stringMatching(/segments\.jsonl:1$/), expect.anything()],
      },
    ])
  })

  test('is what train learns every message of', async () => {
    const output = newOutput()
    await run({ output })
    const { rows } = await loadPairs(output, { conversations: { system: false } })
    expect(rows.map(({ conversation }) => conversation?.exchanges.length ?? 1)).toEqual([1, 2, 3, 4, 5])
  })

  test('is whole in a data set, with where it comes from; in Alpaca its earlier turns are the history', async () => {
    const output = newOutput()
    const { rows } = await run({ output })
    const made = join(folder, 'data-set')
    await writeDataset({ input: [output], output: made, formats: ['messages', 'alpaca', 'sharegpt'] })
    const messages = (await readFile(join(made, 'messages.jsonl'), 'utf8')).trim().split('\n')
    expect(messages.map((line) => JSON.parse(line))).toMatchObject(
      rows.map(({ id, messages, document, span, source }) => ({ id, messages, document, span, source })),
    )
    const alpaca = JSON.parse(await readFile(join(made, 'alpaca.json'), 'utf8'))
    expect(
      alpaca.map(({ output, history = [] }: { output: string; history?: object[] }) => [output, history.length]),
    ).toEqual(rows.map((row) => [said(row, 'assistant').at(-1), row.turns - 1]))
  })

  test('marks what the guard could not mend, in its section and as a whole', async () => {
    const { rows, summary } = await run({ maxNewTokens: 2, guard: ['end'] })
    expect(summary.faulty).toBeGreaterThan(0)
    const faulty = rows.filter(({ guard }) => guard)
    expect(faulty.length).toBeGreaterThan(0)
    for (const { guard, sections } of faulty) {
      expect(guard).toEqual(['end'])
      expect(sections.some((section) => section.guard?.includes('end'))).toBe(true)
    }
  })
})

describe('an output of conversations', () => {
  test('that was left in the midst goes on to the same rows', async () => {
    const whole = newOutput()
    await run({ output: whole })
    const output = newOutput()
    for await (const _ of converse(optionsFor({ output, batchSize: 1 }))) break
    expect((await readFile(output, 'utf8')).trim().split('\n')).toHaveLength(1)
    await vi.waitFor(async () => expect(await openFiles()).not.toContain(await realpath(input)))
    expect((await run({ output })).summary).toMatchObject({ rows: 5, written: 4 })
    expect(await readFile(output, 'utf8')).toBe(await readFile(whole, 'utf8'))
    expect((await run({ output })).summary).toMatchObject({ alreadyDone: true, rows: 5 })
  })

  test('by the signal keeps whole conversations, and refuses other options and inputs', async () => {
    const output = newOutput()
    const stop = new AbortController()
    const { summary } = await run(
      { output, batchSize: 1 },
      { signal: stop.signal, onProgress: ({ done }) => done >= 1 && stop.abort() },
    )
    expect(summary).toMatchObject({ interrupted: true })
    expect(summary.rows).toBeLessThan(5)
    await expect(run({ output, maxTurns: 3 })).rejects.toMatchObject({
      code: 'BT_OUTPUT_CHANGED',
      message: expect.stringContaining('maxTurns 8, not 3'),
    })
    const other = await writeRows(join(folder, 'other.jsonl'), segments.slice(6))
    await expect(run({ output, input: other })).rejects.toMatchObject({ code: 'BT_INPUT_CHANGED' })
  })

  test('as Parquet has the same rows', async () => {
    const output = newOutput('parquet')
    const { rows } = await run({ output })
    const stored: Record<string, unknown>[] = []
    for await (const { value } of readRecords(output, { drops: new Drops() })) stored.push(value)
    expect(stored.map(({ id, messages, span }) => ({ id, messages, span }))).toEqual(
      rows.map(({ id, messages, span }) => ({ id, messages, span })),
    )
    expect(stored.map(({ sections }) => (sections as { tokens: number }[]).map(({ tokens }) => tokens))).toEqual(
      rows.map(({ sections }) => sections.map(({ tokens }) => tokens)),
    )
  })
})

test('a forward adapter is refused', async () => {
  const forward = join(folder, 'forward')
  const data = await writeRows(join(folder, 'pairs.jsonl'), tinyPairs(4))
  const how = { task: 'forward', maxSteps: 1, validation: 0, samples: 0 } as const
  for await (const _ of train({ model: join(folder, 'model'), data, output: forward, ...how, ...small }));
  await expect(run({ adapter: forward })).rejects.toMatchObject({ code: 'BT_USAGE' })
})

describe('the sections of a whole text', () => {
  const sectionsOf = async (path: string, more: Partial<SectionOptions> = {}) => {
    const options = { minTurns: 2, maxTurns: 8, minCharacters: 20, maxCharacters: 200, ...more }
    const source = readSectioned({ input: path, ...options })
    const found = []
    for await (const text of source.texts) found.push(text)
    return { found, dropped: source.dropped() }
  }
  const markdown = [
    '# Tea',
    '## Leaves',
    'They grow on hills, and are picked by hand.',
    '## Water',
    'It boils first, and is poured after a while.',
    '## References',
    'A list of books that nobody has read.',
  ].join('\n\n')

  const leaves = 'They grow on hills, and are picked by hand.'
  const water = 'It boils first, and is poured after a while.'
  const sections = [
    { id: sha256(leaves).slice(0, 16), heading: 'Leaves', text: leaves },
    { id: sha256(water).slice(0, 16), heading: 'Water', text: water },
  ]

  test('stand under its headings, in Markdown and in a page, with the place of each', async () => {
    const path = join(folder, 'tea.md')
    await writeFile(path, markdown)
    const { found } = await sectionsOf(path)
    const placed = (text: string, content: string) => [content.indexOf(text), content.indexOf(text) + text.length]
    expect(found.map((text) => text.sections)).toEqual([
      sections.map((section) => ({ ...section, span: placed(section.text, markdown) })),
    ])
    expect(found[0]!.source).toBe('tea.md')
    expect(found[0]!.lineage).toEqual({
      document: sha256(markdown).slice(0, 16),
      place: path,
      title: 'Tea',
      span: [markdown.indexOf(leaves), markdown.indexOf(water) + water.length],
    })
    const page = join(folder, 'tea.html')
    const filler = 'Whoever has time waits for a minute more, since nothing is lost by it, and drinks it then. '.repeat(
      4,
    )
    const body = `<h2>Leaves</h2><p>${leaves} ${filler}</p><h2>Water</h2><p>${water} ${filler}</p>`
    await writeFile(page, `<html><head><title>Tea</title></head><body><article>${body}</article></body></html>`)
    const { found: fromPage } = await sectionsOf(page, { maxCharacters: 1000 })
    expect(fromPage.map(({ lineage, sections: own }) => [lineage.title, own.map(({ heading }) => heading)])).toEqual([
      ['Tea', ['Leaves', 'Water']],
    ])
    expect(fromPage[0]!.sections[1]!.text).toBe(`${water} ${filler}`.trim())
  })

  test('are those of a text in a row, which keeps what is known of it', async () => {
    const rows = await writeRows(join(folder, 'tea.jsonl'), [
      { text: markdown, url: 'https://example.org/tea', source: 'web', title: 'Of tea', language: 'en' },
      { text: 'No heading, and no second part.' },
      { text: '# References\n\nA list of books that nobody has read.' },
      { text: `${'#'.repeat(3)} Empty\n\n<!-- nothing -->` },
    ])
    const { found, dropped } = await sectionsOf(rows)
    expect(found.map(({ sections: own }) => own)).toEqual([sections])
    expect(found[0]).toMatchObject({
      source: 'web',
      lineage: { url: 'https://example.org/tea', title: 'Of tea', language: 'en', place: `${rows}:1` },
    })
    expect(dropped).toMatchObject([
      { reason: 'fewer than 2 sections', count: 1, examples: [`${rows}:2`] },
      { reason: 'no section', count: 2, examples: [`${rows}:3`, `${rows}:4`] },
    ])
    const { found: all } = await sectionsOf(rows, { minTurns: 1 })
    expect(all.map(({ sections: own }) => own.length)).toEqual([2, 1])
  })
})
