// The end of a conversation: the message that its last reply answers, or the reply to its last message.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mergeShards } from '../../src/generate/merge.js'
import type { GenerateInput } from '../../src/generate/options.js'
import { generate } from '../../src/generate/run.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'

const small = {
  threads: 1,
  device: 'cpu',
  precision: 'fp32',
  maxNewTokens: 10,
  guardRetries: 1,
  maxTokens: 900,
} as const
let folder: string
let model: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-last-'))
  model = await writeTinyModel(join(folder, 'model'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const [one, two, three] = tinyPairs(3) as [Pair, Pair, Pair]
interface Pair {
  instruction: string
  response: string
}
const user = ({ instruction }: Pair) => ({ role: 'user', content: instruction })
const assistant = ({ response }: Pair) => ({ role: 'assistant', content: response })
const both = (pair: Pair) => [user(pair), assistant(pair)]

let inputs = 0
async function run(rows: object[] | string, more: Partial<GenerateInput> = {}) {
  const input = typeof rows === 'string' ? rows : await writeRows(join(folder, `rows-${inputs++}.jsonl`), rows)
  const written = []
  for await (const row of generate({ model, input, turns: 'last', ...small, ...more })) written.push(row)
  return written
}

describe('the message before the last reply', () => {
  test('is written given all that was said before, whether it is missing or there', async () => {
    const [missing, known, alone] = await run([
      { messages: [...both(one), assistant(two)] },
      { messages: [...both(one), ...both(two)] },
      { messages: [assistant(two)] },
    ])
    expect(missing).not.toHaveProperty('reference')
    expect(known!.reference).toBe(two.instruction)
    expect(missing!.instruction).toBe(known!.instruction)
    expect(missing!.response).toBe(two.response)
    expect(alone!.instruction).not.toBe(missing!.instruction)
    const [plain] = await run([{ text: two.response }], { turns: 'first' })
    expect(alone!.instruction).toBe(plain!.instruction)
    expect(plain).not.toHaveProperty('messages')
    expect(missing!.messages).toEqual([
      ...both(one),
      { role: 'user', content: missing!.instruction },
      { role: 'assistant', content: two.response },
    ])
  })

  test('is one for each conversation, though the same reply ends them', async () => {
    const rows = await run([
      { messages: [...both(one), assistant(three)] },
      { messages: [...both(two), assistant(three)] },
      { messages: [...both(one), assistant(three)] },
    ])
    expect(rows[0]!.id).not.toBe(rows[1]!.id)
    expect(rows[0]!.instruction).not.toBe(rows[1]!.instruction)
    expect(rows[2]).toEqual(rows[0])
  })

  test('is ranked, and its conversation is a column of Parquet, in shards too', async () => {
    const talks = [one, two, three].map((pair) => ({ messages: [...both(two), assistant(pair)] }))
    const rows = await writeRows(join(folder, 'talks.jsonl'), talks)
    const whole = join(folder, 'whole.parquet')
    const written = await run(rows, { output: whole, n: 2 })
    expect(written.every(({ score }) => typeof score === 'number')).toBe(true)
    const output = join(folder, 'merged.parquet')
    for (const shard of ['1/2', '2/2']) await run(rows, { output, n: 2, shard })
    await mergeShards({ output })
    expect(await readFile(output)).toEqual(await readFile(whole))
    await expect(run(rows, { output: whole, n: 2, turns: 'first' })).rejects.toMatchObject({
      code: 'BT_OUTPUT_CHANGED',
      message: expect.stringContaining('turns last'),
    })
  })
})
