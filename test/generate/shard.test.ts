import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mergeShards } from '../../src/generate/merge.js'
import type { GenerateInput } from '../../src/generate/options.js'
import { generate } from '../../src/generate/run.js'
import { parseShard, shardPath } from '../../src/generate/shard.js'
import type { GenerateSummary } from '../../src/generate/types.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'

let folder: string
let model: string
let input: string
let outputs = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-shards-'))
  model = await writeTinyModel(join(folder, 'model'))
  // The same text in different shards, and a line that gives no row.
  const rows = [...tinyPairs(11), tinyPairs(11)[3]!]
  input = await writeRows(join(folder, 'texts.jsonl'), rows)
  await writeFile(input, `${await readFile(input, 'utf8')}{"response": "cut o\n`)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const newOutput = (ending: string) => join(folder, `out-${outputs++}${ending}`)
const small = { threads: 1, device: 'cpu', precision: 'fp32', maxNewTokens: 6, guardRetries: 1, batchSize: 4 } as const
const run = async (more: Partial<GenerateInput>) => {
  const rows = generate({ model, input, ...small, ...more })
  for (let next = await rows.next(); ; next = await rows.next()) if (next.done) return next.value
}

describe('a shard is told', () => {
  test.each([
    ['1/1', {}, [1, 1]],
    ['3/8', {}, [3, 8]],
    ['auto', { SLURM_ARRAY_TASK_ID: '0', SLURM_ARRAY_TASK_COUNT: '4', SLURM_ARRAY_TASK_MIN: '0' }, [1, 4]],
    ['auto', { SLURM_ARRAY_TASK_ID: '4', SLURM_ARRAY_TASK_COUNT: '4', SLURM_ARRAY_TASK_MIN: '1' }, [4, 4]],
    [
      'auto',
      { SLURM_ARRAY_TASK_ID: '9', SLURM_ARRAY_TASK_COUNT: '4', SLURM_ARRAY_TASK_MIN: '1', SLURM_ARRAY_TASK_STEP: '4' },
      [3, 4],
    ],
    ['auto', { JOB_COMPLETION_INDEX: '2', JOB_COMPLETION_COUNT: '3' }, [3, 3]],
  ])('by %s, %j', (text, env, [index, count]) => {
    expect(parseShard(text, env as NodeJS.ProcessEnv)).toEqual({ index, count })
  })

  test.each([
    ['9/8', {}, /no shard 9 of 8/],
    ['auto', {}, /no array job/],
    ['auto', { JOB_COMPLETION_INDEX: '2' }, /JOB_COMPLETION_COUNT is not set/],
    ['auto', { SLURM_ARRAY_TASK_ID: '2', SLURM_ARRAY_TASK_COUNT: 'x' }, /SLURM_ARRAY_TASK_COUNT is x/],
    ['auto', { SLURM_ARRAY_TASK_ID: '2', SLURM_ARRAY_TASK_COUNT: '4', SLURM_ARRAY_TASK_STEP: '3' }, /no shard/],
  ])('not by %s, %j', (text, env, message) => {
    expect(() => parseShard(text, env as NodeJS.ProcessEnv)).toThrow(message)
  })

  test.each([
    ['runs/pairs.jsonl', 'runs/pairs.shard-2-of-8.jsonl'],
    ['pairs.v1.jsonl.gz', 'pairs.v1.shard-2-of-8.jsonl.gz'],
    ['pairs.json', 'pairs.shard-2-of-8.jsonl'],
    ['pairs.parquet', 'pairs.shard-2-of-8.jsonl'],
  ])('%s goes to %s', (output, path) => {
    expect(shardPath(output, { index: 2, count: 8 })).toBe(path)
  })
})

describe('merged shards', () => {
  test.each(['.jsonl', '.jsonl.gz', '.json', '.parquet'])(
    'are the bytes of one run, and its record: %s',
    async (ending) => {
      const whole = newOutput(ending)
      await run({ output: whole })
      const output = newOutput(ending)
      for (const index of [2, 3, 1, 5, 4]) {
        const summary = await run({ output, shard: `${index}/5` })
        expect(summary.rows).toBe(index <= 2 ? 3 : 2)
      }
      expect(await mergeShards({ output })).toMatchObject({ rows: 12, shards: 5, alreadyDone: false })
      const content = async (path: string) => {
        const bytes = await readFile(path)
        return ending.endsWith('.gz') ? gunzipSync(bytes) : bytes
      }
      expect(await content(output)).toEqual(await content(whole))
      expect(JSON.parse(await readFile(`${output}.meta.json`, 'utf8'))).toEqual(
        JSON.parse(await readFile(`${whole}.meta.json`, 'utf8')),
      )
      expect(await mergeShards({ output })).toMatchObject({ alreadyDone: true })
      expect(await run({ output })).toMatchObject({ alreadyDone: true, rows: 12 })
    },
  )

  test('hold no more rows than a limit lets the whole have', async () => {
    const [whole, output] = [newOutput('.jsonl'), newOutput('.jsonl')]
    await run({ output: whole, limit: 5 })
    for (const index of [1, 2, 3]) await run({ output, shard: `${index}/3`, limit: 5 })
    await mergeShards({ output })
    expect(await readFile(output)).toEqual(await readFile(whole))
  })

  test('are not made of some, of unfinished ones, or of other options, which are named', async () => {
    const output = newOutput('.jsonl')
    await expect(mergeShards({ output })).rejects.toMatchObject({ code: 'BT_SHARDS' })
    await run({ output, shard: '1/2' })
    await expect(mergeShards({ output })).rejects.toMatchObject({ message: expect.stringContaining('shard 2 of 2') })
    const stop = new AbortController()
    const rows = generate({ model, input, ...small, output, shard: '2/2' }, { signal: stop.signal })
    await rows.next()
    stop.abort()
    while (!(await rows.next()).done);
    await expect(mergeShards({ output })).rejects.toMatchObject({ message: expect.stringContaining('is not finished') })
    await run({ output, shard: '2/2', force: true, seed: 5 })
    await expect(mergeShards({ output })).rejects.toMatchObject({ message: expect.stringContaining('other options') })
    await run({ output, shard: '1/3' })
    await expect(mergeShards({ output })).rejects.toMatchObject({ message: expect.stringContaining('of 2 and of 3') })
  })

  test('go on after a merge that was killed', async () => {
    const output = newOutput('.jsonl')
    for (const index of [1, 2]) await run({ output, shard: `${index}/2` })
    await mergeShards({ output })
    const text = await readFile(output, 'utf8')
    const meta = JSON.parse(await readFile(`${output}.meta.json`, 'utf8'))
    await writeFile(output, text.slice(0, 900))
    await writeFile(`${output}.meta.json`, JSON.stringify({ ...meta, finished: false, rows: undefined }))
    await mergeShards({ output })
    expect(await readFile(output, 'utf8')).toBe(text)
  })
})

test('one shard has one writer; others write beside it, and a merge waits for none', async () => {
  const output = newOutput('.jsonl')
  await run({ output, shard: '2/2' })
  await run({ output, shard: '1/2' })
  const first = generate({ model, input, ...small, output, shard: '1/2', force: true })
  await first.next()
  await expect(run({ output, shard: '1/2' })).rejects.toMatchObject({ code: 'BT_LOCKED' })
  expect(await run({ output, shard: '2/2' })).toMatchObject({ alreadyDone: true })
  await expect(mergeShards({ output })).rejects.toMatchObject({ code: expect.stringMatching(/BT_SHARDS|BT_LOCKED/) })
  await first.return({} as GenerateSummary)
})
