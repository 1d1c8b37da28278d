// Rows that an earlier run has encoded: the same ids, found by everything that they are a function of.
import { appendFile, cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { findLibtorch } from '../../src/native/find.js'
import * as tokenizer from '../../src/text/tokenizer.js'
import { completeOptions, type TrainInput } from '../../src/train/options.js'
import { type Prepared, prepare } from '../../src/train/prepare.js'
import { runCli } from '../cli/run-cli.js'
import { tinyPairs, writeRows, writeTinyModel } from './tiny-model.js'

vi.mock('../../src/text/tokenizer.js', { spy: true })

let folder: string
let model: string
let data: string
const libtorch = findLibtorch().find(({ taken }) => taken)!.path
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-rows-'))
  model = await writeTinyModel(join(folder, 'model'))
  // A repeated row is dropped; the longest response is cut to 512 tokens; the last target alone is too long.
  const long = { instruction: 'Say much.', response: 'so much '.repeat(80) }
  const never = { instruction: 'Say '.repeat(160), response: 'No.' }
  data = await writeRows(join(folder, 'seed.jsonl'), [...tinyPairs(20), tinyPairs(1)[0]!, long, never])
})
afterAll(() => rm(folder, { recursive: true }))

let cache: string
beforeEach(async () => {
  cache = await mkdtemp(join(folder, 'cache-'))
  vi.stubEnv('BT_NATIVE_CACHE', cache)
  vi.mocked(tokenizer.openTokenizer).mockClear()
})
afterEach(() => vi.unstubAllEnvs())

async function prepared(more: Partial<TrainInput> = {}): Promise<Prepared> {
  const given = { model, data, output: join(folder, 'out'), validation: 0.2, ...more }
  return prepare(completeOptions(given), {})
}

const opened = () => vi.mocked(tokenizer.openTokenizer).mock.calls.length

/** Whether a run with these options finds its rows kept. */
async function hits(more: Partial<TrainInput> = {}): Promise<boolean> {
  const before = opened()
  await (await prepared(more)).encode({})
  return opened() === before
}

test('a second run gets the same rows, counts and identity, and opens no tokenizer', async () => {
  const first = await prepared()
  const rows = await first.encode({})
  expect(rows.counts).toMatchObject({ cutRows: 1, tooLong: 1, dropped: [{ reason: 'duplicate', count: 1 }] })
  expect(rows.validation.length).toBeGreaterThan(0)
  const second = await prepared()
  expect(await second.encode({})).toEqual(rows)
  expect(second.identity).toEqual(first.identity)
  expect(second.template).toEqual(first.template)
  expect(opened()).toBe(1)
})

test('other rows, options, validation rows or columns are not found', async () => {
  await hits()
  expect(await hits()).toBe(true)
  const others: Partial<TrainInput>[] = [
    { maxTokens: 511 },
    { task: 'forward' },
    { ask: 'Which message does this answer?' },
    { form: 'plain' },
    { turns: 'last' },
    { skipEmpty: true },
    { validation: 0.3 },
    { columns: 'instruction=instruction,response=response' },
    { validationData: data },
  ]
  for (const other of others) {
    expect(await hits(other), JSON.stringify(other)).toBe(false)
    expect(await hits(other), JSON.stringify(other)).toBe(true)
  }
  // What does not shape the rows finds them.
  expect(await hits({ seed: 3, batchSize: 2, learningRate: 0.1 })).toBe(true)
})

test('a changed file is not found, and neither is the file that it was made from under another name', async () => {
  const changed = join(folder, 'changed.jsonl')
  await cp(data, changed)
  await hits({ data: changed })
  await appendFile(changed, `${JSON.stringify(tinyPairs(30)[29])}\n`)
  expect(await hits({ data: changed })).toBe(false)
  expect(await hits()).toBe(false) // its name stands in what was dropped
})

test('another tokenizer is not found', async () => {
  await hits()
  const other = join(folder, 'other-model')
  await cp(model, other, { recursive: true })
  const path = join(other, 'tokenizer.json')
  const json = JSON.parse(await readFile(path, 'utf8'))
  json.pre_tokenizer.use_regex = false
  await writeFile(path, JSON.stringify(json))
  expect(await hits({ model: other })).toBe(false)
})

test('damaged rows are encoded and kept anew', async () => {
  await hits()
  const [name] = await readdir(join(cache, 'rows'))
  const path = join(cache, 'rows', name!)
  const whole = await readFile(path)
  await writeFile(path, whole.subarray(0, whole.length - 40))
  expect(await hits()).toBe(false)
  expect(await readFile(path)).toEqual(whole)
  expect(await hits()).toBe(true)
})

test('rows of a file that changes while it is read are not kept', async () => {
  const moving = join(folder, 'moving.jsonl')
  await cp(data, moving)
  const reading = await prepared({ data: moving })
  await appendFile(moving, '\n')
  await reading.encode({})
  expect(await readdir(cache)).toEqual([])
})

test('two processes at once train alike, and leave one whole entry', async () => {
  const train = (output: string) => {
    const small = '--epochs 1 --batch-size 4 --grad-accum-steps 1 --validation 0 --precision fp32 --threads 1 --json'
    const named = ['--model', model, '--data', data, '--output', join(folder, output)]
    return runCli(['train', ...named, ...small.split(' ')], {
      env: { BT_NATIVE_CACHE: cache, BT_NATIVE_LIBTORCH: libtorch },
    })
  }
  const losses = ({ stdout }: { stdout: string }) => [...stdout.matchAll(/"loss":([\d.]+)/g)].map(([, loss]) => loss)
  const runs = await Promise.all([train('one'), train('two')])
  runs.push(await train('three'))
  for (const run of runs) expect(run).toMatchObject({ code: 0, stderr: '' })
  expect(losses(runs[0]!).length).toBeGreaterThan(3)
  expect(runs.map(losses)).toEqual([losses(runs[0]!), losses(runs[0]!), losses(runs[0]!)])
  expect(await readdir(join(cache, 'rows'))).toHaveLength(1)
})
