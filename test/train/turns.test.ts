// Training on conversations: what a row of several targets learns, which rows a file gives, and what is refused.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packBatch } from '../../src/data/packing.js'
import { openModel } from '../../src/models/open.js'
import { openRuntime, type Runtime } from '../../src/native/runtime.js'
import { makeTemplate } from '../../src/text/template.js'
import { openTokenizer } from '../../src/text/tokenizer.js'
import type { Conversation, Task } from '../../src/text/types.js'
import { audit } from '../../src/train/audit.js'
import type { TrainEvent } from '../../src/train/events.js'
import { completeOptions, type TrainInput } from '../../src/train/options.js'
import { prepare } from '../../src/train/prepare.js'
import { train } from '../../src/train/run.js'
import { runCli } from '../cli/run-cli.js'
import { farthest, gradientsOf } from '../native/gradients.js'
import { tinyLora, tinyTrainer } from '../native/tiny.js'
import { tinyPairs, writeRows, writeTinyModel } from './tiny-model.js'

let folder: string
let model: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-turns-'))
  model = await writeTinyModel(join(folder, 'model'))
})
afterAll(() => rm(folder, { recursive: true }))

const talk = (turns: number, from = 0): Conversation => ({ exchanges: tinyPairs(from + turns).slice(from) })

function messagesOf({ system, exchanges }: Conversation): object {
  const turns = exchanges.flatMap(({ instruction, response }) => [
    { role: 'user', content: instruction },
    { role: 'assistant', content: response },
  ])
  return { messages: [...(system ? [{ role: 'system', content: system }] : []), ...turns] }
}

const dataOf = (name: string, talks: Conversation[]) => writeRows(join(folder, name), talks.map(messagesOf))

async function encode(input: Omit<TrainInput, 'model'>) {
  return (await prepare(completeOptions({ model, validation: 0, ...input }), {})).encode({})
}

describe('a row of several targets', () => {
  let runtime: Runtime
  beforeAll(async () => {
    runtime = await openRuntime({ device: 'cpu', threads: 2 })
  })
  afterAll(() => runtime?.close())

  test.each([
    ['forward', 1],
    ['forward', 2],
    ['backward', 3],
    ['backward', 5],
  ] as const)('has the loss and the gradients of a row for each of them (%s, %i)', async (task: Task, seed) => {
    const source = await openModel(model)
    const tokenizer = await openTokenizer(source.tokenizer)
    const template = await makeTemplate(task, tokenizer, source.tokenizer)
    const talks = [talk(4, seed), talk(2, 3 * seed), talk(1, seed + 4)]
    const together = (await Promise.all(talks.map((one) => template.encodeConversation(one, 2000)))).flatMap(
      ({ rows }) => rows,
    )
    const alone = await Promise.all(
      talks.flatMap(({ exchanges }) =>
        exchanges.map(async (_, at) => {
          const { rows } = await template.encodeConversation({ exchanges: exchanges.slice(0, at + 1) }, 2000, 'last')
          return rows[0]!
        }),
      ),
    )
    expect([together.length, alone.length]).toEqual([3, 7])
    const { config, files, tensors } = source
    const loaded = await runtime.loadModel({ config, files, tensors, dtype: 'float32' })
    for (const engine of ['fused', 'reference'] as const) {
      const [one, other] = await Promise.all(
        [together, alone].map((rows) => {
          const batch = packBatch(
            rows,
            rows.map((_, row) => row),
          )
          return gradientsOf(loaded, tinyLora, { ...tinyTrainer, engine }, [batch])
        }),
      )
      expect(Math.abs(one!.loss - other!.loss)).toBeLessThan(1e-5)
      expect(farthest(one!.tensors, other!.tensors)).toBeLessThan(1e-5)
    }
    await loaded.close()
  })
})

describe('a file of conversations', () => {
  const talks = [talk(3), { ...talk(2, 10), system: 'Be kind.' }, talk(1, 20), talk(4, 30)]

  test('gives every turn by default, the last, or the first pair alone', async () => {
    const data = await dataOf('turns.jsonl', talks)
    const counts = async (more: Partial<TrainInput>) => (await encode({ data, maxTokens: 1024, ...more })).counts
    expect(await counts({})).toMatchObject({ train: 4, targets: 10, cutRows: 0 })
    expect(await counts({ turns: 'last' })).toMatchObject({ train: 4, targets: 4 })
    expect(await counts({ turns: 'first' })).toMatchObject({ train: 4, targets: 4 })
    const [all, last, first] = await Promise.all(
      (['all', 'last', 'first'] as const).map((turns) => counts({ turns, task: 'forward' })),
    )
    expect(all!.tokens).toBe(last!.tokens)
    expect(first!.tokens).toBeLessThan(last!.tokens)
  })

  test('of pairs alone gives the same rows and the same identity with any choice of turns', async () => {
    const data = await dataOf('pairs.jsonl', [talk(1), talk(1, 1), talk(1, 2)])
    const prepared = (turns: 'all' | 'last' | 'first') =>
      prepare(completeOptions({ model, data, turns, validation: 0 }), {})
    const [all, last, first] = await Promise.all([prepared('all'), prepared('last'), prepared('first')])
    const { rows: whole } = { rows: await all.encode({}) }
    for (const other of [last, first]) {
      expect(await other.encode({})).toEqual(whole)
      expect([other.identity.data, other.template]).toEqual([all.identity.data, all.template])
    }
    expect(all.template).not.toHaveProperty('conversation')
  })

  test('that give several rows tell them apart by the exchange, from a kept entry too', async () => {
    const data = await dataOf('long.jsonl', [talk(12), talk(1, 20)])
    const rows = await encode({ data, maxTokens: 300 })
    const ids = rows.train.map(({ id }) => id)
    const [whole] = ids
    expect(whole).toMatch(/^[0-9a-f]{16}#1$/)
    expect(ids.length).toBeGreaterThan(3)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.slice(0, -1).every((id) => id.startsWith(whole!.slice(0, 17)))).toBe(true)
    expect(ids.at(-1)).toMatch(/^[0-9a-f]{16}$/)
    expect(rows.train.some(({ gaps }) => gaps)).toBe(true)
    expect(await encode({ data, maxTokens: 300 })).toEqual(rows)
    const found = await audit({ model, data, maxTokens: 300, validation: 0 }, { row: [ids[1]!] })
    expect(found.rows[0]).toMatchObject({ id: ids[1], row: 1 })
  })

  test('keeps the rows of one conversation on one side of a split', async () => {
    const data = await dataOf(
      'split.jsonl',
      Array.from({ length: 24 }, (_, at) => talk(6, 6 * at)),
    )
    const { train: trained, validation } = await encode({ data, maxTokens: 200, validation: 0.3 })
    const conversations = (rows: { id: string }[]) => new Set(rows.map(({ id }) => id.slice(0, 16)))
    const held = conversations(validation)
    expect(held.size).toBeGreaterThan(0)
    expect(validation.length).toBeGreaterThan(held.size)
    for (const id of conversations(trained)) expect(held.has(id)).toBe(false)
  })

  test('is shown by an audit with each target, what stands between, and the exchanges that were cut', async () => {
    const data = await dataOf('audit.jsonl', [talk(3), talk(12, 20)])
    const found = await audit({ model, data, maxTokens: 400, validation: 0, turns: 'all' }, { rows: 100 })
    const [first] = found.rows
    const kinds = first!.parts.map(({ kind }) => kind).filter((kind, at, all) => kind !== all[at - 1])
    expect(kinds).toEqual(['context', 'scored', 'context', 'scored', 'context', 'scored'])
    expect(found).toMatchObject({ targets: 15, rowsWithoutTarget: 0 })
    expect(found.template.conversation!.text).toContain('{target}<|im_end|>\n<|im_start|>user\n{context}')
    const cut = found.rows.find((row) => row.cut > 0)!
    const lost = cut.parts.filter(({ kind }) => kind === 'cut')
    expect(lost.length).toBe(cut.cut)
    expect(lost.map(({ text }) => text).join('')).toMatch(/Tell\s+me/)
  })

  test('is trained on, validated and resumed, and refused with another choice of turns', async () => {
    const data = await dataOf(
      'run.jsonl',
      Array.from({ length: 20 }, (_, at) => talk(1 + (at % 4), 4 * at)),
    )
    const output = join(folder, 'run')
    const small = { precision: 'fp32', device: 'cpu', threads: 1, validation: 0.2, epochs: 1, samples: 1 } as const
    const input: TrainInput = { model, data, output, maxTokens: 512, learningRate: 0.01, ...small }
    const events: TrainEvent[] = []
    for await (const event of train(input)) events.push(event)
    const counts = events.find((event) => event.type === 'data')!
    expect(counts.targets).toBeGreaterThan(counts.train)
    const finished = events.find((event) => event.type === 'finished')!
    expect(finished.validationLoss!).toBeLessThan(finished.baseLoss!)
    const again: string[] = []
    for await (const { type } of train(input)) again.push(type)
    expect(again).toEqual(['already-finished'])
    await expect(train({ ...input, turns: 'first' }).next()).rejects.toMatchObject({
      code: 'BT_RUN_CHANGED',
      message: expect.stringContaining('turns "all", not "first"'),
    })
  })
})

describe('rows without a target', () => {
  const rows = [
    ...tinyPairs(6),
    { instruction: '  ', response: 'Nobody asked.' },
    { instruction: 'Said nothing.', response: '' },
  ]

  test('are an error that names file, lines and what to do, and are left out where that is asked for', async () => {
    const data = await writeRows(join(folder, 'empty.jsonl'), rows)
    for (const [task, line] of [
      ['backward', 7],
      ['forward', 8],
    ] as const) {
      await expect(encode({ data, task })).rejects.toMatchObject({
        code: 'BT_DATA_TARGET',
        message: expect.stringMatching(new RegExp(`empty\\.jsonl: 1 row has no target.*empty\\.jsonl:${line}$`)),
        remedy: expect.stringContaining('--skip-empty'),
      })
      expect((await encode({ data, task, skipEmpty: true })).counts.train).toBe(6)
    }
    const printed = await runCli(['train', '--model', model, '--data', data, '--output', join(folder, 'never')])
    expect(printed.code).toBe(1)
    expect(printed.stderr).toMatch(/error BT_DATA_TARGET: .*empty\.jsonl:7\n {2}Mend or remove them/)
  })

  test('are an error in a conversation too: no reply at all, or an empty turn that was to be learned', async () => {
    const [user, assistant] = ['user', 'assistant'].map((role) => (content: string) => ({ role, content }))
    const start = [user!('One?'), assistant!('1.')]
    const data = await writeRows(join(folder, 'no-reply.jsonl'), [
      { messages: start },
      { messages: [user!('Hello?')] },
      { messages: [...start, user!('Two?'), assistant!(' ')] },
    ])
    await expect(encode({ data, task: 'forward' })).rejects.toMatchObject({
      code: 'BT_DATA_TARGET',
      message: expect.stringMatching(/no reply in the conversation in \S+no-reply\.jsonl:2/),
    })
  })

  test('are counted by an audit, which says that train refuses them', async () => {
    const data = await writeRows(join(folder, 'counted.jsonl'), rows)
    expect(await audit({ model, data })).toMatchObject({ refusedRows: 1, rowsWithoutTarget: 0, train: 6 })
    expect(await audit({ model, data, skipEmpty: true })).toMatchObject({ refusedRows: 0 })
  })

  test('in a validation file are an error as well', async () => {
    const data = await writeRows(join(folder, 'good.jsonl'), tinyPairs(6))
    const validationData = await writeRows(join(folder, 'bad.jsonl'), rows)
    await expect(encode({ data, validationData })).rejects.toMatchObject({ code: 'BT_DATA_TARGET' })
  })
})
