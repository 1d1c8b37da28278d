import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LoraTensor } from '../../binding.js'
import type { GenerateInput } from '../../src/generate/options.js'
import { type GenerateControl, generate } from '../../src/generate/run.js'
import type { GeneratedRow, GenerateSummary } from '../../src/generate/types.js'
import { writeAdapter } from '../../src/models/adapter.js'
import { train } from '../../src/train/run.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'

let folder: string
let adapter: string
let input: string
const rows = tinyPairs(24)
let outputs = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-generate-'))
  const model = await writeTinyModel(join(folder, 'model'))
  input = await writeRows(join(folder, 'texts.jsonl'), rows)
  adapter = join(folder, 'adapter')
  const small = { epochs: 3, learningRate: 0.01, validation: 0, threads: 1, device: 'cpu', precision: 'fp32' } as const
  for await (const _ of train({ model, data: input, output: adapter, ...small }));
})
afterAll(() => rm(folder, { recursive: true, force: true }))

function optionsFor(more: Partial<GenerateInput> = {}): GenerateInput {
  return { adapter, input, maxNewTokens: 12, threads: 1, device: 'cpu', precision: 'fp32', ...more }
}

const newOutput = (ending = 'jsonl') => join(folder, `out-${outputs++}.${ending}`)

async function run(options: GenerateInput, control?: GenerateControl) {
  const written: GeneratedRow[] = []
  const iterator = generate(options, control)
  let next = await iterator.next()
  for (; !next.done; next = await iterator.next()) written.push(next.value)
  return { rows: written, summary: next.value as GenerateSummary }
}

async function linesOf(path: string): Promise<GeneratedRow[]> {
  return (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

/** An adapter that fits no model: only loading it tells. */
async function misfit(): Promise<string> {
  const path = join(folder, 'misfit')
  const tensors = [0, 1].flatMap((layer): LoraTensor[] => [
    { name: `layers.${layer}.self_attn.q_proj.lora_A`, shape: [1, 7], data: new Float32Array(7) },
    { name: `layers.${layer}.self_attn.q_proj.lora_B`, shape: [7, 1], data: new Float32Array(7) },
  ])
  const shape = { r: 1, alpha: 1, dropout: 0, targets: ['q_proj'] as const }
  await writeAdapter(path, { baseModel: join(folder, 'model'), ...shape, tensors })
  return path
}

const texts = (generated: GeneratedRow[]) => generated.map(({ response, instruction }) => [response, instruction])

describe('the task', () => {
  test('of a model alone is what is told; an adapter keeps its own', async () => {
    const alone = { adapter: undefined, model: join(folder, 'model'), limit: 3, greedy: true, guard: ['none' as const] }
    const { rows: written } = await run(optionsFor({ ...alone, task: 'forward', column: 'instruction' }))
    expect(written.map(({ instruction }) => instruction)).toEqual(rows.slice(0, 3).map((row) => row.instruction))
    expect(written.map(({ reference }) => reference)).toEqual(rows.slice(0, 3).map((row) => row.response))
    await expect(run(optionsFor({ task: 'forward' }))).rejects.toMatchObject({
      code: 'BT_USAGE',
      message: expect.stringContaining('--task forward'),
    })
  })
})

describe('generated rows', () => {
  test('come in the order of the input, with its references', async () => {
    const { rows: written, summary } = await run(optionsFor())
    expect(written.map(({ response }) => response)).toEqual(rows.map(({ response }) => response))
    expect(written.map(({ reference }) => reference)).toEqual(rows.map(({ instruction }) => instruction))
    expect(written.every(({ tokens, finish }) => (finish === 'length' ? tokens === 12 : tokens < 12))).toBe(true)
    expect(summary).toMatchObject({ rows: 24, written: 24, interrupted: false, alreadyDone: false })
  })

  test('do not depend on the order of the rows, on their neighbours or on the batch size', async () => {
    const { rows: forward } = await run(optionsFor())
    const shuffled = await writeRows(join(folder, 'shuffled.jsonl'), rows.toReversed())
    const { rows: backward } = await run(optionsFor({ input: shuffled, batchSize: 3 }))
    expect(texts(backward.toReversed())).toEqual(texts(forward))
    const { rows: alone } = await run(optionsFor({ limit: 1, batchSize: 1 }))
    expect(texts(alone)).toEqual(texts(forward.slice(0, 1)))
  })

  test('are sampled: another seed gives others, the same text the same', async () => {
    const repeated = await writeRows(join(folder, 'repeated.jsonl'), [rows[0]!, rows[1]!, rows[0]!])
    const { rows: first } = await run(optionsFor({ input: repeated, temperature: 1.5, topK: 0, topP: 1 }))
    const { rows: other } = await run(optionsFor({ input: repeated, temperature: 1.5, topK: 0, topP: 1, seed: 1 }))
    expect(first[2]!.instruction).toBe(first[0]!.instruction)
    expect(texts(other)).not.toEqual(texts(first))
  })

  test('are cut by rule when the text is too long, and the cut is counted', async () => {
    const long = await writeRows(join(folder, 'long.jsonl'), [{ text: 'word '.repeat(200) }, { text: 'short' }])
    const { rows: written, summary } = await run(optionsFor({ input: long, maxTokens: 200 }))
    expect(written[0]!.cut).toBeGreaterThan(700)
    expect(written[1]!.cut).toBe(0)
    expect(written[0]!.response).toHaveLength(999)
    expect(summary.cut).toBe(1)
  })

  test('that cannot be read are counted with their line, never dropped in silence', async () => {
    const damaged = join(folder, 'damaged.jsonl')
    await writeFile(damaged, '{"text": "one"}\n{"text": "two\n{"text": ""}\n{"text": "three"}\n')
    const { rows: written, summary } = await run(optionsFor({ input: damaged }))
    expect(written.map(({ response }) => response)).toEqual(['one', 'three'])
    expect(summary.dropped.flatMap(({ examples }) => examples).join(' ')).toMatch(/damaged\.jsonl:2.*damaged\.jsonl:3/)
  })
})

describe('an output file', () => {
  test('that was left in the midst goes on to the same rows', async () => {
    const whole = newOutput()
    await run(optionsFor({ output: whole }))
    const output = newOutput()
    let seen = 0
    for await (const _ of generate(optionsFor({ output }))) if (++seen === 5) break
    const before = await linesOf(output)
    expect(before.length).toBeGreaterThanOrEqual(4)
    const { summary } = await run(optionsFor({ output, batchSize: 5 }))
    expect(summary.written).toBe(24 - before.length)
    expect(await readFile(output, 'utf8')).toBe(await readFile(whole, 'utf8'))
  })

  test('with a half-written last line loses that line alone', async () => {
    const output = newOutput()
    await run(optionsFor({ output, limit: 6 }))
    const text = await readFile(output, 'utf8')
    await writeFile(output, text.slice(0, -20))
    const { summary } = await run(optionsFor({ output, limit: 7 }))
    expect(summary).toMatchObject({ rows: 7, written: 2 })
    expect((await readFile(output, 'utf8')).startsWith(text)).toBe(true)
  })

  test('that is finished is said to be so; more rows are added, and force starts over', async () => {
    const output = newOutput()
    await run(optionsFor({ output, limit: 3 }))
    expect((await run(optionsFor({ output, limit: 3 }))).summary).toMatchObject({
      alreadyDone: true,
      rows: 3,
      written: 0,
    })
    expect((await run(optionsFor({ output, limit: 5 }))).summary).toMatchObject({ alreadyDone: false, written: 2 })
    const forced = await run(optionsFor({ output, limit: 2, seed: 9, force: true }))
    expect(forced.summary).toMatchObject({ rows: 2, written: 2 })
    expect(await linesOf(output)).toHaveLength(2)
  })

  test('refuses other options and another input by name', async () => {
    const output = newOutput()
    await run(optionsFor({ output, limit: 3 }))
    await expect(run(optionsFor({ output, limit: 4, temperature: 0.2 }))).rejects.toMatchObject({
      code: 'BT_OUTPUT_CHANGED',
      message: expect.stringContaining('temperature 0.7, not 0.2'),
    })
    const other = await writeRows(join(folder, 'other.jsonl'), tinyPairs(30).slice(20))
    await expect(run(optionsFor({ output, input: other }))).rejects.toMatchObject({ code: 'BT_INPUT_CHANGED' })
  })

  test('notices a row whose text was edited under the same id', async () => {
    const named = rows.slice(0, 4).map((row, index) => ({ id: `row-${index}`, ...row }))
    const file = await writeRows(join(folder, 'named.jsonl'), named)
    const output = newOutput()
    await run(optionsFor({ output, input: file, limit: 3 }))
    await writeRows(file, named.with(1, { ...named[1]!, response: 'something else' }))
    await expect(run(optionsFor({ output, input: file }))).rejects.toMatchObject({
      code: 'BT_INPUT_CHANGED',
      message: expect.stringContaining('row 2 '),
    })
  })

  test('knows the precision that "auto" stood for', async () => {
    const output = newOutput()
    await run(optionsFor({ output, limit: 2, precision: 'auto' }))
    const { fingerprint } = JSON.parse(await readFile(`${output}.meta.json`, 'utf8'))
    expect(['fp32', 'bf16']).toContain(fingerprint.precision)
    const same = { output, limit: 2, precision: fingerprint.precision }
    expect((await run(optionsFor(same))).summary.alreadyDone).toBe(true)
    expect((await run(optionsFor({ ...same, precision: 'auto' }))).summary.alreadyDone).toBe(true)
    const other = fingerprint.precision === 'fp32' ? 'bf16' : 'fp32'
    await expect(run(optionsFor({ ...same, precision: other }))).rejects.toMatchObject({ code: 'BT_OUTPUT_CHANGED' })
  })

  test('stays as it is, or is not made, when the rows to write can not be', async () => {
    const output = newOutput()
    const absent = join(folder, 'absent.jsonl')
    await expect(run(optionsFor({ output, input: absent }))).rejects.toMatchObject({ code: 'BT_DATA_FILE' })
    await expect(readFile(output)).rejects.toMatchObject({ code: 'ENOENT' })

    await run(optionsFor({ output, limit: 2 }))
    const files = [output, `${output}.meta.json`]
    const before = await Promise.all(files.map((path) => readFile(path, 'utf8')))
    const forced = optionsFor({ output, limit: 2, adapter: await misfit(), force: true })
    await expect(run(forced)).rejects.toThrow()
    expect(await Promise.all(files.map((path) => readFile(path, 'utf8')))).toEqual(before)
    await expect(run({ ...forced, output: join(folder, 'new.jsonl') })).rejects.toThrow()
    await expect(readFile(join(folder, 'new.jsonl'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('that is not ours is not touched', async () => {
    const output = newOutput()
    await writeFile(output, 'precious\n')
    await expect(run(optionsFor({ output }))).rejects.toMatchObject({ code: 'BT_OUTPUT_EXISTS' })
    // What preprocess made has a record of the same name.
    await writeFile(`${output}.meta.json`, JSON.stringify({ version: '1', shaping: {}, inputs: [], outputs: [] }))
    await expect(run(optionsFor({ output }))).rejects.toMatchObject({ code: 'BT_OUTPUT_EXISTS' })
    expect(await readFile(output, 'utf8')).toBe('precious\n')
  })

  test('has one writer at a time', async () => {
    const output = newOutput()
    const first = generate(optionsFor({ output }))
    await first.next()
    await expect(run(optionsFor({ output }))).rejects.toMatchObject({ code: 'BT_LOCKED' })
    await first.return({} as GenerateSummary)
  })

  test('as .json is one array of the same rows, and leaves no work log', async () => {
    const lines = newOutput()
    await run(optionsFor({ output: lines, limit: 4 }))
    const output = newOutput('json')
    await run(optionsFor({ output, limit: 4 }))
    expect(JSON.parse(await readFile(output, 'utf8'))).toEqual(await linesOf(lines))
    await expect(readFile(`${output}.partial.jsonl`)).rejects.toMatchObject({ code: 'ENOENT' })
    expect((await run(optionsFor({ output, limit: 4 }))).summary.alreadyDone).toBe(true)
  })
})

describe('a stop', () => {
  test('by the signal keeps the rows so far and says so', async () => {
    const output = newOutput()
    const stop = new AbortController()
    const { summary } = await run(optionsFor({ output, batchSize: 2 }), {
      signal: stop.signal,
      onProgress: ({ done }) => done >= 4 && stop.abort(),
    })
    expect(summary.interrupted).toBe(true)
    const kept = await linesOf(output)
    expect(kept).toHaveLength(summary.rows)
    expect(kept.length).toBeLessThan(24)
  })
})

test('rows that may grow longer than the model reads are refused', async () => {
  await expect(run(optionsFor({ maxTokens: 1000, maxNewTokens: 100 }))).rejects.toMatchObject({
    code: 'BT_USAGE',
    message: expect.stringMatching(/1000.*100.*1024/),
  })
})

describe('models', () => {
  test('without an adapter write too, and an adapter folder may be named as the model', async () => {
    const base = await run(optionsFor({ adapter: undefined, model: join(folder, 'model'), limit: 2 }))
    expect(base.rows).toHaveLength(2)
    const named = await run(optionsFor({ adapter: undefined, model: adapter, limit: 2 }))
    expect(texts(named.rows)).toEqual(texts((await run(optionsFor({ limit: 2 }))).rows))
  })

  test('an adapter without our record is used with a warning', async () => {
    const plain = join(folder, 'plain-adapter')
    await cp(adapter, plain, { recursive: true })
    await rm(join(plain, 'bt_native.json'))
    const warnings: string[] = []
    await run(optionsFor({ adapter: plain, model: join(folder, 'model'), limit: 1 }), {
      onWarning: (text) => warnings.push(text),
    })
    expect(warnings).toEqual([expect.stringContaining('no bt_native.json')])
  })

  test('with another template are refused', async () => {
    const other = await writeTinyModel(join(folder, 'other-model'))
    const config = JSON.parse(await readFile(join(other, 'tokenizer_config.json'), 'utf8'))
    config.chat_template = config.chat_template.replace("message['role']", "'my ' + message['role']")
    await writeFile(join(other, 'tokenizer_config.json'), JSON.stringify(config))
    await expect(run(optionsFor({ model: other, limit: 1 }))).rejects.toMatchObject({ code: 'BT_TEMPLATE_MISMATCH' })
  })
})
