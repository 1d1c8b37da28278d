import { appendFile, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type PreprocessOptions, preprocess } from '../../src/data/preprocess.js'
import { fileWith, fixture, folderWith, jsonl, pairs, readAll, shared } from './fixture.js'

type Row = Record<string, unknown>

/** Runs with an output in a new folder. */
async function run(inputs: string[], options: Partial<PreprocessOptions> = {}) {
  const folder = await folderWith()
  const output = options.output ?? join(folder, 'out.jsonl')
  const report = await preprocess({ inputs, output, nearDuplicates: false, ...options })
  return { report, folder, output, rows: await parse(output), text: await readFile(output, 'utf8') }
}

async function parse(path: string): Promise<Row[]> {
  const text = await readFile(path, 'utf8')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row)
}

const counts = (report: { dropped: { reason: string; count: number }[] }) =>
  Object.fromEntries(report.dropped.map(({ reason, count }) => [reason, count]))

const questions = (rows: readonly Row[]) => rows.map((row) => row.instruction)

const row = (index: number, more: Row = {}) => ({
  instruction: `Question ${index}?`,
  response: `Answer ${index}.`,
  ...more,
})

describe('rows', () => {
  test('carry id, source and their other columns, and read back as they were', async () => {
    const input = await fileWith(
      'in.jsonl',
      jsonl([row(1, { source: 'web', lang: 'en', score: { a: 1 }, id: 'x9' }), row(2)]),
    )
    const { rows, output, report } = await run([input])
    expect(rows).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f]{16}$/),
        ...row(1),
        source: 'web',
        lang: 'en',
        score: { a: 1 },
        source_id: 'x9',
      },
      { id: expect.any(String), ...row(2), source: 'in.jsonl' },
    ])
    expect(report).toMatchObject({ read: 2, kept: 2, droppedTotal: 0, outputs: { train: output } })
    const again = await run([output])
    expect(again.rows).toEqual(rows)
  })

  test('of several files in several formats come in input order, each file told by itself', async () => {
    const { rows, report } = await run([fixture('lima.jsonl'), fixture('alpaca.json'), fixture('oasst-messages.jsonl')])
    expect(rows.map(({ source }) => source)).toEqual([
      ...['kitchen', 'numbers', 'trades', 'trades'],
      ...['alpaca.json', 'alpaca.json'],
      ...['oasst-messages.jsonl', 'oasst-messages.jsonl', 'oasst-messages.jsonl'],
    ])
    expect(report.inputs.map(({ format, records, kept }) => [format, records, kept])).toEqual([
      ['LIMA', 5, 4],
      ['Alpaca', 2, 2],
      ['OASST1 messages', 21, 3],
    ])
    expect(report.read).toBe(report.kept + report.droppedTotal)
  })

  test('are the same bytes each time', async () => {
    const options = { nearDuplicates: 0.85, validation: 0.3, lang: ['en'] }
    const inputs = [fixture('lima.jsonl'), fixture('sharegpt.jsonl')]
    expect((await run(inputs, options)).text).toBe((await run(inputs, options)).text)
  })
})

describe('single turn', () => {
  test('keeps conversations of exactly one instruction and one response, and no others', async () => {
    const lima = await run([fixture('lima.jsonl')], { singleTurn: true })
    expect(questions(lima.rows)).toEqual(['Why does bread rise?', 'Who mends shoes?'])
    expect(counts(lima.report)).toEqual({ 'multi-turn conversation': 2, 'no reply in the conversation': 1 })
    expect(lima.report.multiTurn).toBe(0)
    const sharegpt = await run([fixture('sharegpt.jsonl')], { singleTurn: true })
    expect(questions(sharegpt.rows)).toEqual(['How do I sharpen a chisel?', 'Colour of snow?'])
    const oasst = await run([fixture('oasst-messages.jsonl')], { singleTurn: true })
    expect(questions(oasst.rows)).toEqual(['What is left when others go?', 'Hallo?'])
  })

  test('without it multi-turn rows stay, marked, and the mark outlives another pass', async () => {
    const all = await run([fixture('lima.jsonl')])
    expect(all.rows.map((one) => one.multi_turn === true)).toEqual([false, true, false, true])
    expect(all.report.multiTurn).toBe(2)
    const later = await run([all.output], { singleTurn: true })
    expect(questions(later.rows)).toEqual(['Why does bread rise?', 'Who mends shoes?'])
  })
})

describe('filters', () => {
  test('length limits count characters, not UTF-16 units, both ends included', async () => {
    const rows = [
      { instruction: 'ab', response: 'x' },
      { instruction: '😀😀😀', response: 'xx' },
      { instruction: 'abcd', response: 'xxx' },
      { instruction: 'abcde', response: 'xxxx' },
    ]
    const limits = { minInstruction: 3, maxInstruction: 4, minResponse: 2, maxResponse: 2 }
    const { rows: kept, report } = await run([await fileWith('in.jsonl', jsonl(rows))], limits)
    expect(questions(kept)).toEqual(['😀😀😀'])
    expect(counts(report)).toEqual({
      'instruction under 3 characters': 1,
      'response over 2 characters': 1,
      'instruction over 4 characters': 1,
    })
  })

  test('empty rows and duplicates go, and the report names where', async () => {
    const rows = [row(1), { instruction: ' \n', response: 'x' }, { instruction: 'x', response: '' }, row(1), row(2)]
    const input = await fileWith(
      'in.jsonl',
      jsonl([...rows, { instruction: ' Question 1?', response: 'Answer 1.\r\n' }]),
    )
    const { rows: kept, report } = await run([input])
    expect(questions(kept)).toEqual(['Question 1?', 'Question 2?'])
    expect(report.dropped).toEqual([
      { reason: 'empty instruction', count: 1, examples: [`${input}:2`] },
      { reason: 'empty response', count: 1, examples: [`${input}:3`] },
      { reason: 'duplicate', count: 2, examples: [`${input}:4 (like ${input}:1)`, `${input}:6 (like ${input}:1)`] },
    ])
  })

  test('near-duplicates go by default and stay when it is off', async () => {
    const text = 'It takes about ten minutes to boil an egg that is straight from the fridge until it is hard'
    const rows = [1, 2, 3].map((index) => ({
      instruction: `How long do I boil an egg${index === 3 ? '!' : '?'}`,
      response: `${index === 2 ? 'Well: ' : ''}${text} ${text.toUpperCase()}`,
    }))
    const input = await fileWith('in.jsonl', jsonl(rows))
    expect(counts((await run([input], { nearDuplicates: undefined })).report)).toEqual({ 'near-duplicate': 1 })
    expect((await run([input])).report.kept).toBe(3)
  })

  test('rank: better or equal stays, unranked goes', async () => {
    const { rows, report } = await run([fixture('oasst-messages.jsonl')], { maxRank: 0 })
    expect(questions(rows)).toEqual(['Which reply is best?'])
    expect(counts(report)).toMatchObject({ 'rank above 0': 1, 'not ranked': 1 })
  })

  test('language: by column where there is one, else by the text; what cannot be told stays and is counted', async () => {
    const german = {
      instruction: 'Warum ist der Himmel blau?',
      response: 'Weil die Luft blaues Licht stärker streut als rotes.',
    }
    const english = {
      instruction: 'Why is the sky blue?',
      response: 'Because air scatters blue light more than red light.',
    }
    const rows = [
      german,
      english,
      { instruction: '2+2=', response: '4' },
      { ...german, language: 'en-GB', response: 'x' },
    ]
    rows.push(
      { ...english, language: 'German', response: 'y' } as never,
      { ...english, language: 'python', response: english.response.repeat(2) } as never,
    )
    const { rows: kept, report } = await run([await fileWith('in.jsonl', jsonl(rows))], { lang: ['en'] })
    expect(kept.map(({ instruction, language }) => [instruction, language])).toEqual([
      [english.instruction, undefined],
      ['2+2=', undefined],
      [german.instruction, 'en-GB'],
      [english.instruction, 'python'],
    ])
    expect(counts(report)).toEqual({ 'other language': 2 })
    expect(report).toMatchObject({ languageDetected: 4, languageUnsure: 1 })
    await expect(run([fixture('lima.jsonl')], { lang: ['english'] })).rejects.toMatchObject({ code: 'BT_USAGE' })
    await expect(run([fixture('lima.jsonl')], { lang: ['la'] })).rejects.toMatchObject({
      code: 'BT_USAGE',
      message: /"la" cannot be told/,
    })
  })

  test('limits that no row could pass are refused', async () => {
    const wrong = [{ minInstruction: 5, maxInstruction: 4 }, { nearDuplicates: 1.5 }, { validation: 1 }]
    for (const options of wrong) await expect(run([fixture('lima.jsonl')], options)).rejects.toThrow()
  })
})

describe('validation', () => {
  const many = Array.from({ length: 300 }, (_, index) => row(index))

  test('is written beside the output; a row keeps its side when rows are added before and after', async () => {
    const first = await run([await fileWith('in.jsonl', jsonl(many.slice(50, 250)))], { validation: 0.2 })
    expect(first.report.outputs.validation).toBe(join(first.folder, 'out.validation.jsonl'))
    const held = new Set(questions(await parse(first.report.outputs.validation!)))
    expect(held.size).toBeGreaterThan(20)
    expect(first.report).toMatchObject({ train: 200 - held.size, validation: held.size, kept: 200 })
    expect(questions(first.rows).some((question) => held.has(question))).toBe(false)
    const second = await run([await fileWith('in.jsonl', jsonl(many.toReversed()))], { validation: 0.2 })
    const heldLater = new Set(questions(await parse(second.report.outputs.validation!)))
    for (const question of held) expect(heldLater.has(question)).toBe(true)
    expect(questions(second.rows).some((question) => held.has(question))).toBe(false)
  })

  test('goes where it is told to', async () => {
    const folder = await folderWith()
    const input = await fileWith('in.jsonl', jsonl(many))
    await run([input], { validation: 0.2, validationOutput: join(folder, 'deep', 'held.jsonl') })
    expect((await parse(join(folder, 'deep', 'held.jsonl'))).length).toBeGreaterThan(30)
    await expect(run([input], { validationOutput: join(folder, 'other.jsonl') })).rejects.toMatchObject({
      code: 'BT_USAGE',
    })
  })
})

describe('outputs', () => {
  test('nothing is overwritten unasked, nor an input ever', async () => {
    const first = await run([fixture('lima.jsonl')])
    await expect(run([fixture('alpaca.json')], { output: first.output })).rejects.toMatchObject({
      code: 'BT_OUTPUT_EXISTS',
      remedy: expect.stringContaining('--force'),
    })
    expect(await readFile(first.output, 'utf8')).toBe(first.text)
    const second = await run([fixture('alpaca.json')], { output: first.output, force: true })
    expect(second.rows).toHaveLength(2)
    await expect(run([first.output], { output: first.output, force: true })).rejects.toMatchObject({ code: 'BT_USAGE' })
  })

  test('a failure half-way leaves the old file and no other', async () => {
    const folder = await folderWith({ 'out.jsonl': 'old\n' })
    const broken = jsonl([...Array.from({ length: 3000 }, (_, index) => row(index)), { instruction: 'no response' }])
    const input = await fileWith('in.jsonl', broken)
    const options = { output: join(folder, 'out.jsonl'), force: true, validation: 0.1 }
    await expect(run([input], options)).rejects.toMatchObject({ code: 'BT_DATA_COLUMN' })
    await expect(run([input], { ...options, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'BT_INTERRUPTED',
    })
    expect(await readdir(folder)).toEqual(['out.jsonl'])
    expect(await readFile(join(folder, 'out.jsonl'), 'utf8')).toBe('old\n')
  })

  test('no row left is an error that says why, and writes nothing', async () => {
    const folder = await folderWith()
    await expect(
      run([fixture('lima.jsonl')], { output: join(folder, 'out.jsonl'), minResponse: 5000 }),
    ).rejects.toMatchObject({
      code: 'BT_DATA_EMPTY',
      message: expect.stringMatching(/4 response under 5000 characters \(.*lima.jsonl:1\)/),
    })
    expect(await readdir(folder)).toEqual([])
  })

  test('the report names every unreadable line with what is wrong', async () => {
    const folder = await folderWith()
    const input = await fileWith('in.jsonl', `${jsonl([row(1)])}{"instruction"\n\n[]\n${jsonl([row(2)])}`)
    const { report } = await run([input], { report: join(folder, 'report.json') })
    expect(report.malformed.map(({ place }) => place)).toEqual([`${input}:2`, `${input}:4`])
    expect(report).toMatchObject({ read: 4, kept: 2, droppedTotal: 2 })
    const written = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8')) as unknown
    expect(written).toEqual(JSON.parse(JSON.stringify(report)))
    await expect(run([input], { strict: true })).rejects.toMatchObject({ code: 'BT_DATA_MALFORMED', message: /:2: / })
  })

  test('progress ends at the size of the files', async () => {
    const input = await fileWith('in.jsonl', jsonl(Array.from({ length: 100 }, (_, index) => row(index))))
    const seen: { done: number; total?: number }[] = []
    await run([input], { onProgress: (progress) => seen.push(progress) })
    const size = (await readFile(input)).length
    expect(seen.at(-1)).toMatchObject({ done: size, total: size, unit: 'bytes' })
  })

  test('lengths are told in characters', async () => {
    const rows = [1, 2, 3, 4].map((length) => ({ instruction: 'é'.repeat(length), response: `x${length}` }))
    const { report } = await run([await fileWith('in.jsonl', jsonl(rows))])
    expect(report.instructionCharacters).toEqual({ mean: 2.5, median: 2, p95: 4, max: 4 })
  })
})

describe('real data', () => {
  const seed = shared('oasst1_en_seed.jsonl')
  test.skipIf(!seed)('the seed pairs keep nearly all rows, and reading them again changes nothing', async () => {
    const lines = (await readFile(seed!, 'utf8')).split('\n').slice(0, 1000)
    const { rows, report, output } = await run([await fileWith('seed.jsonl', lines.join('\n'))], {
      nearDuplicates: 0.85,
    })
    expect(report.read).toBe(1000)
    expect(report.kept).toBeGreaterThan(980)
    expect(counts(report)['near-duplicate']).toBeGreaterThan(0)
    const again = await readAll(output)
    expect(pairs(again.rows)).toEqual(rows.map(({ instruction, response }) => [instruction, response]))
    expect(again.rows.map(({ row: one }) => one.id)).toEqual(rows.map(({ id }) => id))
  })
})

describe('run again', () => {
  const again = async (input: string, more: Partial<PreprocessOptions> = {}) => {
    const folder = await folderWith()
    const options: PreprocessOptions = { inputs: [input], output: join(folder, 'out.jsonl'), nearDuplicates: false }
    const first = await preprocess({ ...options, ...more })
    return {
      folder,
      first,
      run: (other: Partial<PreprocessOptions> = {}) => preprocess({ ...options, ...more, ...other }),
    }
  }
  const five = () => fileWith('in.jsonl', jsonl([1, 2, 3, 4, 5].map((index) => row(index))))

  test('on a finished output it does nothing, and gives the same report', async () => {
    const { folder, first, run } = await again(await five(), { validation: 0.4 })
    const before = await stat(join(folder, 'out.jsonl'))
    const report = join(folder, 'report.json')
    expect(await run({ report })).toEqual({ ...first, outputs: { ...first.outputs, report }, alreadyDone: true })
    expect((await stat(join(folder, 'out.jsonl'))).mtimeMs).toBe(before.mtimeMs)
    expect(JSON.parse(await readFile(report, 'utf8'))).toEqual(JSON.parse(JSON.stringify(first)))
    expect((await run({ force: true })).alreadyDone).toBeUndefined()
  })

  test('with other options or inputs it says what differs and touches nothing', async () => {
    const input = await five()
    const { folder, run } = await again(input)
    const refused = (other: Partial<PreprocessOptions>) =>
      expect(run(other)).rejects.toMatchObject({ code: 'BT_OUTPUT_EXISTS', remedy: expect.stringContaining('--force') })
    await refused({ minResponse: 3 })
    await expect(run({ singleTurn: true, minResponse: 3 })).rejects.toThrow(
      `${join(folder, 'out.jsonl')} exists already: it was made with singleTurn false, not true; minResponse not set, not 3`,
    )
    await expect(run({ inputs: [fixture('lima.jsonl')] })).rejects.toThrow(
      `input ${input}, not ${fixture('lima.jsonl')}`,
    )
    await expect(run({ validation: 0.4 })).rejects.toThrow('out.validation.jsonl does not')
    await appendFile(input, '\n')
    await expect(run()).rejects.toThrow(`another content of ${input}`)
    expect((await run({ force: true })).kept).toBe(5)
    expect((await run()).alreadyDone).toBe(true)
  })

  test('after an upgrade, or when the input is gone, it says so', async () => {
    const input = await five()
    const { folder, run } = await again(input)
    const path = join(folder, 'out.jsonl.meta.json')
    const meta = JSON.parse(await readFile(path, 'utf8'))
    await writeFile(path, JSON.stringify({ ...meta, version: '0.0.0-old' }))
    await expect(run()).rejects.toThrow(/it was made with version "0\.0\.0-old", not "/)
    const rows = await readFile(join(folder, 'out.jsonl'))
    await rm(input)
    await expect(run()).rejects.toMatchObject({ code: 'BT_DATA_FILE', message: expect.stringContaining(input) })
    expect(await readFile(join(folder, 'out.jsonl'))).toEqual(rows)
  })

  test('it leaves rows of another command alone, whose record has the same name', async () => {
    const { folder, run } = await again(await five())
    await writeFile(join(folder, 'out.jsonl.meta.json'), JSON.stringify({ version: '1', fingerprint: {} }))
    await expect(run()).rejects.toMatchObject({ code: 'BT_OUTPUT_EXISTS' })
  })

  test('it does not take rows that were edited since for its own, nor rows without a record', async () => {
    const { folder, run } = await again(await five())
    await appendFile(join(folder, 'out.jsonl'), '{}\n')
    await expect(run()).rejects.toThrow('it was changed since it was made')
    await rm(join(folder, 'out.jsonl.meta.json'))
    await expect(run()).rejects.toThrow(/out\.jsonl exists already$/)
  })
})
