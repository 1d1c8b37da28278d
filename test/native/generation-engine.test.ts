// The engine that generation has on CPUs: a row's tokens and their log-probabilities have the same bits whatever stands
// beside it and however it is computed, for every family, type and way of holding weights.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type {
  AdvanceResult,
  Finished,
  Lora,
  Model,
  ModelConfig,
  Runtime,
  SamplerOptions,
  SamplerPrompt,
  TensorEntry,
} from '../../src/native/runtime.js'
import { openRuntime } from '../../src/native/runtime.js'
import { raggedBatch, tinyConfig, tinyLora, tinyModel, tinySampler, xorshift } from './tiny.js'

/** Heads of 16 take the loops of AVX-512 where the processor has them, heads of 8 the portable ones. */
const wide = { headDim: 16, heads: 6, kvHeads: 2, hiddenSize: 64, intermediateSize: 96, layers: 3 }
const families: Record<string, Partial<ModelConfig>> = {
  llama: {},
  'llama, rope scaled': {
    ropeScaling: { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 64 },
  },
  mistral: { family: 'mistral', slidingWindow: 21 },
  qwen2: { family: 'qwen2', qkvBias: true },
  qwen3: { family: 'qwen3', qkNorm: true },
  'llama with all biases, heads of 8': { headDim: 8, outBias: true, mlpBias: true, tieWordEmbeddings: false },
}

let one: Runtime
let two: Runtime
beforeAll(async () => {
  one = await openRuntime({ device: 'cpu', threads: 1 })
  two = await openRuntime({ device: 'cpu', threads: 2 })
})
afterAll(() => Promise.all([one?.close(), two?.close()]))

/** Prompts that begin alike, of 3 to 70 tokens, with words that come again. */
function prompts(count: number, maxNewTokens = 24): SamplerPrompt[] {
  const random = xorshift(7)
  const draw = () => Math.floor(((random() + 1) / 2) * tinyConfig.vocabSize)
  const opening = Array.from({ length: 21 }, draw)
  return Array.from({ length: count }, (_, id) => {
    const own = Array.from({ length: 1 + ((id * 13) % 24) }, draw)
    const tokens = id % 5 === 4 ? own : [...opening, ...own, ...own]
    return { id, tokens: Int32Array.from(tokens), maxNewTokens }
  })
}

type Options = Partial<SamplerOptions>

async function write(model: Model, list: SamplerPrompt[], options: Options, lora?: Lora) {
  const sampler = await model.createSampler({ ...tinySampler, maxTokens: 128, ...options }, lora)
  await sampler.add(list)
  const finished: Finished[] = []
  const sum = { computed: 0, generated: 0, proposed: 0, taken: 0 }
  for (let left = 1; left > 0; ) {
    const result: AdvanceResult = await sampler.advance(3)
    finished.push(...result.finished)
    for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += result[key]
    left = result.active + result.waiting
  }
  await sampler.close()
  return { ...sum, rows: finished.toSorted((a, b) => a.id - b.id) }
}

/** Tokens and the bits of their log-probabilities. */
function bits(rows: Finished[]) {
  return rows.map(({ id, tokens, logProbs }) => [id, tokens.join(), Buffer.from(logProbs.buffer).toString('hex')])
}

describe.each(Object.keys(families))('%s', (name) => {
  const config = { ...tinyConfig, ...wide, ...families[name] }

  test.each([
    ['float32', {}],
    ['bfloat16', {}],
    ['bfloat16', { weights: 'int8' }],
    ['float32', { weights: 'int4' }],
  ] as const)('in %s %j a row is the same alone, in any batch, with any threads, by lookup', async (dtype, weights) => {
    const list = prompts(12)
    const model = await two.loadModel({ ...tinyModel(config), dtype, lazy: true })
    const narrow = await one.loadModel({ ...tinyModel(config), dtype, lazy: true })
    for (const sampling of [{ temperature: 0 }, { temperature: 1.5, seed: 3 }]) {
      const common: Options = { ...sampling, ...weights, lookup: 0 }
      const expected = bits((await write(model, list, { ...common, maxSequences: 1 })).rows)
      const alone = []
      for (const prompt of list) alone.push(...(await write(narrow, [prompt], { ...common, maxSequences: 1 })).rows)
      expect(bits(alone)).toEqual(expected)
      expect(bits((await write(model, list, { ...common, maxSequences: 5 })).rows)).toEqual(expected)
      expect(bits((await write(narrow, list.toReversed(), { ...common, maxSequences: 64 })).rows)).toEqual(expected)
      const looked = await write(model, list, { ...common, maxSequences: 3, lookup: 5 })
      expect(bits(looked.rows)).toEqual(expected)
      if (sampling.temperature === 0) expect(looked.proposed).toBeGreaterThan(0)
    }
    await Promise.all([model.close(), narrow.close()])
  })

  test('in FP32 it has the log-probabilities of the reference', async () => {
    const model = await two.loadModel(tinyModel(config))
    const lora = await model.attachLora({
      ...tinyLora,
      targets: ['q_proj', 'v_proj', 'o_proj', 'up_proj', 'down_proj'],
    })
    await lora.load(
      (await lora.tensors()).map((one, at) => ({ ...one, data: one.data.map((x, i) => x + Math.sin(i + at) / 9) })),
    )
    const lengths = [40, 3, 26]
    const tokens = Int32Array.from({ length: 69 }, (_, i) => (i * i + 3 * i) % 64)
    tokens.copyWithin(43, 0, 20)
    const batch = {
      tokens,
      cuSeqlens: Int32Array.from([0, 40, 43, 69]),
      scored: Int32Array.of(5, 17, 39, 41, 42, 66, 68),
      rows: Int32Array.from(lengths.keys()),
    }
    for (const adapter of [undefined, lora]) {
      const expected = await model.logProbs(batch, adapter)
      for (const keepAdapter of [false, true]) {
        const sampler = await model.createSampler({ ...tinySampler, keepAdapter }, adapter)
        const found = await sampler.logProbs(batch)
        for (const [at, value] of expected.entries()) expect(found[at]).toBeCloseTo(value, 4)
        await sampler.close()
      }
    }
    await model.close()
  })
})

describe('the cache', () => {
  const config = { ...tinyConfig, ...wide }
  /** Of a block of 16 tokens: keys and values of all layers in FP32. */
  const blockBytes = wide.layers * 2 * wide.kvHeads * wide.headDim * 16 * 4
  let model: Model
  beforeAll(async () => {
    model = await two.loadModel({ ...tinyModel(config), lazy: true })
  })
  afterAll(() => model?.close())

  test('computes what prompts begin with in common once', async () => {
    const list = prompts(5).map(({ id, tokens }) => ({ id, tokens: tokens.subarray(0, 22 + id), maxNewTokens: 1 }))
    const alike = list.slice(0, 4) // the last has another opening
    const whole = alike.reduce((sum, { tokens }) => sum + tokens.length, 0)
    const { computed } = await write(model, alike, { maxSequences: 1 })
    expect(computed).toBe(whole - 3 * 21)
    // Side by side whole blocks are shared.
    expect((await write(model, alike, { maxSequences: 4 })).computed).toBe(whole - 3 * 16)
  })

  test('takes the part of a block over from none that is still to be computed', async () => {
    const common = Array.from({ length: 40 }, (_, at) => (at * at) % 64)
    const list = [40, 40, 30, 23].map((alike, id) => {
      const own = [id + 1, 50 - id, 9, id]
      return { id, tokens: Int32Array.from([...common.slice(0, alike), ...own]), maxNewTokens: 6 }
    })
    const expected = []
    for (const prompt of list) expected.push(...(await write(model, [prompt], { maxSequences: 1 })).rows)
    expect(bits((await write(model, list, { maxSequences: 4 })).rows)).toEqual(bits(expected))
  })

  test('takes in no more than it has room for, and gives the same rows', async () => {
    const list = prompts(9)
    const expected = bits((await write(model, list, { maxSequences: 9 })).rows)
    const sampler = await model.createSampler({
      ...tinySampler,
      maxTokens: 128,
      maxSequences: 9,
      cacheBytes: 11 * blockBytes,
    })
    await sampler.add(list)
    const { active, waiting, finished } = await sampler.advance(1)
    expect(active).toBeLessThan(9)
    expect(active + waiting + finished.length).toBe(9)
    for (let left = active + waiting; left > 0; ) {
      const result = await sampler.advance(4)
      finished.push(...result.finished)
      left = result.active + result.waiting
    }
    expect(bits(finished.toSorted((a, b) => a.id - b.id))).toEqual(expected)
    await sampler.close()
  })

  test('refuses a row that it could never hold', async () => {
    const sampler = await model.createSampler({ ...tinySampler, maxTokens: 128, cacheBytes: 2 * blockBytes })
    const prompt = { id: 4, tokens: new Int32Array(30), maxNewTokens: 3 }
    await expect(sampler.add([prompt])).rejects.toMatchObject({
      code: 'BT_ARGUMENT',
      message: expect.stringMatching(/prompt 4: .*33 tokens.*room for 32/),
    })
    await sampler.add([{ ...prompt, maxNewTokens: 2 }])
    expect((await sampler.advance(4)).finished).toHaveLength(1)
  })

  test('is intact after a call that was aborted', async () => {
    const list = prompts(6)
    const expected = bits((await write(model, list, { maxSequences: 3 })).rows)
    const sampler = await model.createSampler({ ...tinySampler, maxTokens: 128, maxSequences: 3 })
    await sampler.add(list)
    const running = sampler.advance(1000)
    two.abort()
    await running.catch((error) => expect(error.code).toBe('BT_ABORTED'))
    // Where it had not begun, or was done, what waits is written first.
    await sampler.advance(1000)
    await sampler.add(list)
    const finished = (await sampler.advance(1000)).finished
    expect(bits(finished.toSorted((a, b) => a.id - b.id))).toEqual(expected)
    await sampler.close()
  })
})

describe('adapters', () => {
  const config = { ...tinyConfig, ...wide }
  const shaken = async (model: Model, seed: number) => {
    const lora = await model.attachLora({ ...tinyLora, seed })
    const random = xorshift(seed)
    await lora.load((await lora.tensors()).map((one) => ({ ...one, data: one.data.map(() => 0.3 * random()) })))
    return lora
  }

  test('kept apart share the base; merged ones cost what they change', async () => {
    const model = await two.loadModel({ ...tinyModel(config), lazy: true })
    const [first, second] = [await shaken(model, 1), await shaken(model, 2)]
    const list = prompts(6)
    const weights = async () => (await two.memory()).weights
    const before = await weights()
    const base = await model.createSampler(tinySampler)
    const one = (await weights()) - before
    expect(one).toBeGreaterThan(0)
    const apart = await model.createSampler({ ...tinySampler, keepAdapter: true }, first)
    const pairs = (await weights()) - before - one
    expect(pairs).toBeLessThan(one / 4)
    const merged = await model.createSampler(tinySampler, first)
    expect((await weights()) - before - one - pairs).toBeLessThan(one / 2)
    const written = await Promise.all(
      [undefined, first, second].map((lora) => write(model, list, { keepAdapter: true, maxSequences: 4 }, lora)),
    )
    expect(new Set(written.map(({ rows }) => bits(rows).join())).size).toBe(3)
    // The same adapter, added to the weights: other roundings, the same model.
    const { rows } = await write(model, list, { maxSequences: 4 }, first)
    for (const [at, row] of rows.entries()) {
      expect(row.logProbs[0]).toBeCloseTo(written[1]!.rows[at]!.logProbs[0]!, 4)
    }
    await Promise.all([base, apart, merged].map((sampler) => sampler.close()))
    await model.close()
  })

  test('a sampler has the adapter as it was when it was made', async () => {
    const model = await two.loadModel({ ...tinyModel(config), lazy: true })
    const lora = await shaken(model, 1)
    const sampler = await model.createSampler({ ...tinySampler, maxTokens: 128 }, lora)
    const expected = bits((await write(model, prompts(3), {}, lora)).rows)
    await lora.load(await shaken(model, 2).then((other) => other.tensors()))
    await sampler.add(prompts(3))
    const { finished } = await sampler.advance(1000)
    expect(bits(finished.toSorted((a, b) => a.id - b.id))).toEqual(expected)
    await model.close()
  })
})

test('weights of few bits score like those that they stand for', async () => {
  const config = { ...tinyConfig, ...wide }
  const model = await two.loadModel({ ...tinyModel(config), lazy: true })
  const tokens = Int32Array.from({ length: 60 }, (_, i) => (i * i + 3 * i) % 64)
  const scored = Int32Array.from({ length: 59 }, (_, i) => i + 1)
  const batch = { tokens, cuSeqlens: Int32Array.of(0, 60), scored, rows: Int32Array.of(0) }
  const mean = (values: Float32Array) => values.reduce((a, b) => a + b, 0) / values.length
  const score = async (weights: 'model' | 'int8' | 'int4') => {
    const sampler = await model.createSampler({ ...tinySampler, weights })
    return sampler.logProbs(batch)
  }
  const [exact, eight, four] = [await score('model'), await score('int8'), await score('int4')]
  const apart = (found: Float32Array) => mean(found.map((value, at) => Math.abs(value - exact[at]!)))
  expect(apart(eight)).toBeGreaterThan(0)
  expect(apart(eight)).toBeLessThan(0.02)
  expect(apart(four)).toBeLessThan(0.3)
  await model.close()
})

test.each([
  ['Q8_0', 'int8', 0.03],
  ['Q4_0', 'int4', 0.03],
] as const)(
  '%s blocks of a file, in interleaved rotary order too, are taken as they are',
  async (type, weights, near) => {
    const plain = tinyModel({ ...tinyConfig, ...wide })
    const bytes: Uint8Array[] = []
    let offset = 0
    const tensors: TensorEntry[] = []
    for (const tensor of plain.tensors) {
      const [, projection] = /self_attn.([qk])_proj.weight$/.exec(tensor.name) ?? []
      const interleavedHeads = projection && (projection === 'q' ? wide.heads : wide.kvHeads)
      const stored = tensor.shape.length === 2 ? type : 'F32'
      const data = await two.exportTensor({
        path: plain.files[0]!,
        tensor,
        type: stored,
        interleavedHeads: interleavedHeads || undefined,
      })
      tensors.push({
        ...tensor,
        type: stored,
        offset,
        byteLength: data.length,
        interleavedHeads: interleavedHeads || undefined,
      })
      bytes.push(data)
      offset += data.length
    }
    const path = join(mkdtempSync(join(tmpdir(), 'bt-blocks-')), 'weights.bin')
    writeFileSync(path, Buffer.concat(bytes))
    const model = await two.loadModel({ ...plain, files: [path], tensors, lazy: true })
    const tokens = Int32Array.from({ length: 40 }, (_, i) => (i * i + 3 * i) % 64)
    const scored = Int32Array.from({ length: 39 }, (_, i) => i + 1)
    const batch = { tokens, cuSeqlens: Int32Array.of(0, 40), scored, rows: Int32Array.of(0) }
    const score = async (chosen: 'model' | 'int8' | 'int4') =>
      (await model.createSampler({ ...tinySampler, weights: chosen })).logProbs(batch)
    const [found, expected] = [await score(weights), await score('model')]
    // Only the inputs are rounded: with other bits for the weights it would be several times as far.
    const apart = found.reduce((sum, value, at) => sum + Math.abs(value - expected[at]!), 0) / found.length
    expect(apart).toBeLessThan(near)
    await model.close()
  },
)

test('quantized weights are refused where ATen computes', async () => {
  const half = await two.loadModel({ ...tinyModel(), dtype: 'float16' })
  await expect(half.createSampler({ ...tinySampler, weights: 'int8' })).rejects.toMatchObject({ code: 'BT_ARGUMENT' })
  await expect(half.createSampler({ ...tinySampler, engine: 'aten', weights: 'int4' })).rejects.toMatchObject({
    code: 'BT_ARGUMENT',
  })
  await half.close()
})

describe("by ATen's operators", () => {
  const engine = 'aten'

  test.each(Object.keys(families))(
    '%s: side by side, by lookup and adapted, the same rows and scores',
    async (name) => {
      const model = await two.loadModel(tinyModel({ ...tinyConfig, ...wide, ...families[name] }))
      const lora = await model.attachLora({ ...tinyLora, targets: ['q_proj', 'k_proj', 'o_proj', 'gate_proj'] })
      await lora.load(
        (await lora.tensors()).map((one, at) => ({ ...one, data: one.data.map((x, i) => x + Math.sin(i + at) / 9) })),
      )
      const list = prompts(11)
      for (const adapter of [undefined, lora]) {
        const expected = (await write(model, list, { maxSequences: 4, keepAdapter: true }, adapter)).rows
        // More slots than rows, as many, and fewer, so that slots are used again beside longer rows.
        for (const [maxSequences, lookup] of [
          [16, 0],
          [11, 0],
          [3, 0],
          [1, 0],
          [4, 3],
        ] as const) {
          const { rows } = await write(model, list, { engine, maxSequences, lookup }, adapter)
          expect(rows.map(({ tokens }) => tokens.join())).toEqual(expected.map(({ tokens }) => tokens.join()))
          for (const [at, row] of rows.entries())
            expect(farthestOf(row.logProbs, expected[at]!.logProbs)).toBeLessThan(1e-4)
        }
        const batch = raggedBatch([40, 3, 26], xorshift(4))
        const sampler = await model.createSampler({ ...tinySampler, engine }, adapter)
        expect(farthestOf(await sampler.logProbs(batch), await model.logProbs(batch, adapter))).toBeLessThan(1e-4)
        await sampler.close()
      }
      await model.close()
    },
  )

  test('in FP16 it is as near to FP32 as ten bits are', async () => {
    const config = { ...tinyConfig, ...wide }
    const [half, whole] = [
      await one.loadModel({ ...tinyModel(config), dtype: 'float16' }),
      await one.loadModel(tinyModel(config)),
    ]
    const list = prompts(6)
    const first = async (model: Model) => {
      const { rows } = await write(model, list, { engine, maxSequences: 4 })
      return Float32Array.from(rows, ({ logProbs }) => logProbs[0]!)
    }
    expect(farthestOf(await first(half), await first(whole))).toBeLessThan(0.01)
    const batch = raggedBatch([40, 3, 26], xorshift(4))
    const sampler = await half.createSampler(tinySampler)
    expect(farthestOf(await sampler.logProbs(batch), await whole.logProbs(batch))).toBeLessThan(0.01)
    await Promise.all([half.close(), whole.close()])
  })

  test('in FP16 it writes the same rows with few slots and by lookup as with more', async () => {
    const model = await one.loadModel({ ...tinyModel({ ...tinyConfig, ...wide }), dtype: 'float16' })
    const list = prompts(6)
    const few = (await write(model, list, { engine, maxSequences: 2, lookup: 3 })).rows
    const more = (await write(model, list, { maxSequences: 4 })).rows
    for (const [at, row] of few.entries()) expect(row.logProbs[0]).toBeCloseTo(more[at]!.logProbs[0]!, 2)
    expect(few.map(({ tokens }) => tokens.join())).toEqual(more.map(({ tokens }) => tokens.join()))
    await model.close()
  })

  test('a row that became NaN leaves nothing to the one that has its slot next', async () => {
    const model = await one.loadModel(tinyModel({ ...tinyConfig, ...wide }))
    const lora = await model.attachLora({ ...tinyLora, targets: ['v_proj'] })
    const sane = await lora.tensors()
    const sampler = await model.createSampler({ ...tinySampler, engine, maxSequences: 2, maxTokens: 64 }, lora)
    const [short, long] = prompts(2, 8) as [SamplerPrompt, SamplerPrompt]
    const run = async (list: SamplerPrompt[]) => {
      await sampler.add(list)
      const finished: Finished[] = []
      while (finished.length < list.length) finished.push(...(await sampler.advance(1)).finished)
      return finished.toSorted((a, b) => a.id - b.id)
    }
    const expected = bits(await run([short, long]))
    await lora.load(sane.map((matrix) => ({ ...matrix, data: matrix.data.map(() => 3e38) })))
    expect(await run([long])).toMatchObject([{ reason: 'not-finite' }])
    await lora.load(sane)
    expect(bits(await run([short, long]))).toEqual(expected)
    await model.close()
  })
})

/** Largest difference between two lists of log-probabilities. */
function farthestOf(found: Float32Array, expected: Float32Array): number {
  expect(found).toHaveLength(expected.length)
  return found.reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at]!)), 0)
}
