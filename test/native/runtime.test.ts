// One runtime as the package uses it: order, abort, close, copies, and errors that name what was wrong.
import { spawn } from 'node:child_process'
import { appendFileSync, closeSync, mkdtempSync, openSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BtError } from '../../src/errors.js'
import type { Lora, LoraTensor, Model, PackedBatch, Runtime, Trainer } from '../../src/native/runtime.js'
import { coreInfo, defaultDtype, lockFile, openRuntime, unlockFile } from '../../src/native/runtime.js'
import { tinyBatch, tinyConfig, tinyLora, tinyModel, tinySampler, tinyTrainer } from './tiny.js'

const step = (number: number) => ({ learningRate: 1e-2, step: number })
/** A step of many seconds. */
const long = (): PackedBatch[] => Array(20_000).fill(tinyBatch())
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

async function failure(call: Promise<unknown>): Promise<BtError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof BtError)) throw new Error(`expected a BtError, got ${error}`)
  return error
}

let runtime: Runtime
let model: Model
let lora: Lora
let trainer: Trainer
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 1 })
  model = await runtime.loadModel(tinyModel())
  lora = await model.attachLora(tinyLora)
  trainer = await model.createTrainer(lora, tinyTrainer)
})
afterAll(() => runtime.close())

test('the core tells what this machine can do', () => {
  const info = coreInfo()
  expect(info.torch).toMatch(/^\d+\.\d+\.\d+$/)
  expect(info.cuda).toHaveLength(info.cudaDevices)
  if (info.cpuCapability === 'AVX512') expect(info).toMatchObject({ avx2: true, avx512: true })
  expect(defaultDtype({ ...info, avx512Bf16: true })).toBe('bfloat16')
  expect(defaultDtype({ ...info, avx512Bf16: false, amxBf16: false })).toBe('float32')
})

test('memory and speed come with sensible numbers', async () => {
  const memory = await runtime.memory()
  expect(memory.weights).toBeGreaterThan(30_000)
  expect(memory.peakResident).toBeGreaterThanOrEqual(memory.resident)
  expect(Math.abs(memory.resident / process.memoryUsage.rss() - 1)).toBeLessThan(0.5)
  expect(await runtime.measureGemm('float32')).toBeGreaterThan(0.001)
})

test('calls are answered in the order they were made', async () => {
  const order: string[] = []
  const calls = [
    trainer.step([tinyBatch()], step(1)).then(() => order.push('step')),
    lora.tensors().then(() => order.push('tensors')),
    model.logProbs(tinyBatch()).then(() => order.push('logProbs')),
    runtime.memory().then(() => order.push('memory')),
  ]
  await Promise.all(calls)
  expect(order).toEqual(['step', 'tensors', 'logProbs', 'memory'])
})

describe('typed arrays', () => {
  test('are copied at call time: changing or detaching them afterwards changes nothing', async () => {
    const expected = await model.logProbs(tinyBatch())
    const batch = tinyBatch()
    const busy = trainer.evaluate(tinyBatch(8, 100))
    const waiting = model.logProbs(batch)
    batch.tokens.fill(0)
    structuredClone(batch.tokens.buffer, { transfer: [batch.tokens.buffer as ArrayBuffer] })
    expect(batch.tokens).toHaveLength(0)
    await busy
    expect(await waiting).toEqual(expected)
  })

  test('come back as copies', async () => {
    const first = await lora.tensors()
    const before = first[0]!.data[0]
    first[0]!.data.fill(7)
    expect((await lora.tensors())[0]!.data[0]).toBe(before)
  })

  test('over detached, shared and resizable buffers are refused', async () => {
    const detached = tinyBatch()
    structuredClone(detached.tokens.buffer, { transfer: [detached.tokens.buffer as ArrayBuffer] })
    const shared = {
      ...tinyBatch(),
      tokens: new Int32Array(new SharedArrayBuffer(96)) as unknown as Int32Array<ArrayBuffer>,
    }
    const Resizable = ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer
    const resizable = { ...tinyBatch(), tokens: new Int32Array(new Resizable(96, { maxByteLength: 192 })) }
    for (const [batch, word] of [
      [detached, 'detached'],
      [shared, 'shared'],
      [resizable, 'resizable'],
    ] as const) {
      const error = await failure(model.logProbs(batch))
      expect(error).toMatchObject({ code: 'BT_ARGUMENT' })
      expect(error.message).toContain(`batch.tokens: its buffer is ${word}`)
    }
  })
})

describe('abort()', () => {
  test('gives up the running step and the waiting calls; later calls run', async () => {
    const own = await openTrainer()
    const before = await own.lora.tensors()
    const running = failure(own.trainer.step(long(), step(1)))
    const waiting = failure(own.model.logProbs(tinyBatch()))
    await sleep(100)
    const start = performance.now()
    own.runtime.abort()
    const after = own.trainer.evaluate(tinyBatch())
    expect((await running).code).toBe('BT_ABORTED')
    expect((await waiting).code).toBe('BT_ABORTED')
    expect((await after).scoredTokens).toBe(12)
    expect(performance.now() - start).toBeLessThan(2000)
    expect(await own.lora.tensors()).toEqual(before)
    await own.runtime.close()
  })

  test('without anything under way does nothing', async () => {
    runtime.abort()
    expect(await model.logProbs(tinyBatch())).toHaveLength(12)
  })

  test('leaves the trainer as it was: the next step equals that of an untouched one', async () => {
    const [one, other] = [await openTrainer(), await openTrainer()]
    const given = failure(one.trainer.step(long(), step(1)))
    await sleep(50)
    one.runtime.abort()
    await given
    const results = await Promise.all([one, other].map((it) => it.trainer.step([tinyBatch()], step(1))))
    expect(results[0]!.gradNorm).toBeCloseTo(results[1]!.gradNorm, 6)
    expect(await one.lora.tensors()).toEqual(await other.lora.tensors())
    await Promise.all([one.runtime.close(), other.runtime.close()])
  })
})

describe('close()', () => {
  test('of an object: later calls say so, and closing again is fine', async () => {
    const own = await openTrainer()
    await own.trainer.close()
    await own.trainer.close()
    expect(await failure(own.trainer.state())).toMatchObject({ code: 'BT_CLOSED', message: 'Trainer: it is closed' })
    await own.lora.close()
    expect((await failure(own.model.createTrainer(own.lora, tinyTrainer))).code).toBe('BT_CLOSED')
    expect((await failure(own.model.logProbs(tinyBatch(), own.lora))).code).toBe('BT_CLOSED')
    await own.runtime.close()
  })

  test('of a model keeps it for those who use it, and frees its weights after the last of them', async () => {
    const own = await openTrainer()
    await own.model.close()
    expect((await failure(own.model.logProbs(tinyBatch()))).code).toBe('BT_CLOSED')
    expect((await own.trainer.step([tinyBatch()], step(1))).scoredTokens).toBe(12)
    expect((await own.runtime.memory()).weights).toBeGreaterThan(0)
    await own.trainer.close()
    expect((await own.runtime.memory()).weights).toBe(0)
    await own.runtime.close()
  })

  test('of a runtime closes everything opened from it', async () => {
    const own = await openTrainer()
    const sampler = await own.model.createSampler(tinySampler)
    await own.runtime.close()
    await own.runtime.close()
    own.runtime.abort()
    for (const call of [own.runtime.memory(), own.lora.tensors(), sampler.advance(1), own.trainer.state()]) {
      expect((await failure(call)).code).toBe('BT_CLOSED')
    }
    await Promise.all([own.model.close(), sampler.close()])
  })

  test('comes by itself at the end of an `await using` block', async () => {
    const own = await openTrainer()
    await own.runtime[Symbol.asyncDispose]()
    expect((await failure(own.trainer.state())).code).toBe('BT_CLOSED')
  })
})

describe('wrong arguments', () => {
  const loadOptions = tinyModel()
  const badBatch = (fields: object) => ({ ...tinyBatch(), ...fields }) as PackedBatch
  const calls: [string, RegExp, () => Promise<unknown>][] = [
    ['no options', /^options: expected an object, got nothing/, () => runtime.loadModel(undefined as never)],
    [
      'a wrong dtype',
      /^options\.dtype: expected 'float32'/,
      () => runtime.loadModel({ ...loadOptions, dtype: 'f32' as never }),
    ],
    [
      'a missing size',
      /^options\.config\.hiddenSize: expected an integer.*got nothing/,
      () => runtime.loadModel({ ...loadOptions, config: { ...tinyConfig, hiddenSize: undefined as never } }),
    ],
    [
      'heads that do not divide',
      /^options\.config\.kvHeads: 3 does not divide 4/,
      () => runtime.loadModel({ ...loadOptions, config: { ...tinyConfig, kvHeads: 3 } }),
    ],
    [
      'a table entry of an unknown file',
      /^options\.tensors\[0\]\.file: .*got 1/,
      () => runtime.loadModel({ ...loadOptions, tensors: [{ ...loadOptions.tensors[0]!, file: 1 }] }),
    ],
    [
      'an unknown target',
      /^options\.targets\[1\]: expected 'q_proj'/,
      () => attach({ targets: ['q_proj', 'x' as never] }),
    ],
    ['a target twice', /^options\.targets\[1\]: is there twice/, () => attach({ targets: ['q_proj', 'q_proj'] })],
    [
      'dropout of 1',
      /^options\.dropout: expected a number from 0 to 1 \(exclusive\), got 1/,
      () => attach({ dropout: 1 }),
    ],
    ['NaN', /^options\.alpha: .*got NaN/, () => attach({ alpha: Number.NaN })],
    ['no rank', /^options\.r: expected an integer from 1/, () => attach({ r: 0 })],
    ['half a rank', /^options\.r: .*got 1\.5/, () => attach({ r: 1.5 })],
    ['a string for a number', /^options\.alpha: .*got '8'/, () => attach({ alpha: '8' as never })],
    [
      'a matrix of another length',
      /^options\.tensors\[0\]\.data: has 1 numbers, its shape asks for 4/,
      () => attach({ tensors: [{ name: 'x', shape: [2, 2], data: new Float32Array(1) }] }),
    ],
    [
      'a precision that the model does not have',
      /^options\.precision: 'bf16' needs a model loaded as 'bfloat16'/,
      () => model.createTrainer(lora, { ...tinyTrainer, precision: 'bf16' }),
    ],
    ['no lora', /^lora: expected a Lora/, () => model.createTrainer({} as never, tinyTrainer)],
    ['a model for a lora', /^lora: expected a Lora/, () => model.logProbs(tinyBatch(), model as never)],
    ['topP of 0', /^options\.topP: expected a number from 0 \(exclusive\) to 1, got 0/, () => sampler({ topP: 0 })],
    ['no learning rate', /^options\.learningRate: /, () => trainer.step([tinyBatch()], { step: 1 } as never)],
    ['step 0', /^options\.step: expected an integer of at least 1, got 0/, () => trainer.step([tinyBatch()], step(0))],
    ['no batches', /^microBatches: is empty/, () => trainer.step([], step(1))],
    [
      'a plain array',
      /^batch\.tokens: expected an Int32Array, got an array/,
      () => model.logProbs(badBatch({ tokens: [1] })),
    ],
    [
      'floats for tokens',
      /^batch\.tokens: expected an Int32Array, got a typed array of another kind/,
      () => model.logProbs(badBatch({ tokens: new Float32Array(24) })),
    ],
    [
      'a token outside the vocabulary',
      /^batch: .*64/,
      () => model.logProbs(badBatch({ tokens: new Int32Array(24).fill(64) })),
    ],
    ['a scored first token', /^batch: /, () => model.logProbs(badBatch({ scored: Int32Array.of(0) }))],
    ['rows past the end', /^batch: /, () => model.logProbs(badBatch({ cuSeqlens: Int32Array.of(0, 12, 25) }))],
    [
      'a bad second batch',
      /^microBatches\[1\]: /,
      () => trainer.step([tinyBatch(), badBatch({ rows: new Int32Array(0) })], step(1)),
    ],
    [
      'moments of another adapter',
      /moments/,
      async () => trainer.restore({ ...(await trainer.state()), expAvg: new Float32Array(1) }),
    ],
    [
      'a getter that throws',
      /mine/,
      () =>
        model.logProbs({
          ...tinyBatch(),
          get rows(): never {
            throw new Error('mine')
          },
        }),
    ],
  ]
  const attach = (fields: object) => model.attachLora({ ...tinyLora, ...fields })
  const sampler = (fields: object) => model.createSampler({ ...tinySampler, ...fields })

  test.each(calls)('%s', async (_, message, call) => {
    const error = await failure(call())
    expect(error.code).toBe('BT_ARGUMENT')
    expect(error.message).toMatch(message)
  })

  test('a lora of another model', async () => {
    const other = await runtime.loadModel(tinyModel())
    expect(await failure(other.logProbs(tinyBatch(), lora))).toMatchObject({
      code: 'BT_ARGUMENT',
      message: 'lora: it is attached to another model',
    })
  })

  test('of openRuntime, which reject too', async () => {
    expect((await failure(openRuntime({ device: 'cpu', threads: -1 }))).message).toMatch(/^options\.threads: /)
  })

  test('a step without a scored token', async () => {
    expect((await failure(trainer.step([badBatch({ scored: new Int32Array(0) })], step(1)))).code).toBe('BT_NO_TARGET')
  })
})

describe('weights that are not what the table says', () => {
  const load = (change: (options: ReturnType<typeof tinyModel>) => void) => {
    const options = tinyModel()
    change(options)
    return failure(runtime.loadModel(options))
  }
  const name = 'model.layers.1.mlp.up_proj.weight'
  const entry = (options: ReturnType<typeof tinyModel>) => options.tensors.find((tensor) => tensor.name === name)!

  test('a range past the end of its file', async () => {
    const error = await load((options) => (entry(options).offset = 1e9))
    expect(error.code).toBe('BT_TENSOR_OUT_OF_RANGE')
    expect(error.message).toContain(name)
  })
  test('a truncated file', async () => {
    const error = await load((options) => truncateSync(options.files[0]!, 1000))
    expect(error.code).toBe('BT_TENSOR_OUT_OF_RANGE')
    expect(error.message).toContain('weights.bin')
  })
  test('an empty file', async () => {
    expect((await load((options) => truncateSync(options.files[0]!, 0))).code).toBe('BT_TENSOR_OUT_OF_RANGE')
  })
  test('a file that is not there', async () => {
    const error = await load((options) => (options.files = ['/nonexistent/weights.bin']))
    expect(error).toMatchObject({ code: 'BT_IO' })
    expect(error.message).toContain('/nonexistent/weights.bin')
  })
  test('a folder in place of a file', async () => {
    expect((await load((options) => (options.files = [tmpdir()]))).code).toBe('BT_IO')
  })
  test('another type than its bytes', async () => {
    const error = await load((options) => (entry(options).type = 'BF16'))
    expect(error.code).toBe('BT_TENSOR_SHAPE')
    expect(error.message).toContain(name)
  })
  test('a shape that the architecture does not have', async () => {
    const error = await load((options) => (entry(options).shape = [32, 48]))
    expect(error.code).toBe('BT_TENSOR_SHAPE')
    expect(error.message).toContain(name)
  })
  test('a weight that is missing', async () => {
    const error = await load((options) => options.tensors.splice(options.tensors.indexOf(entry(options)), 1))
    expect(error).toMatchObject({ code: 'BT_TENSOR_MISSING' })
    expect(error.message).toContain(name)
  })
  test('an offset that is not a multiple of the element size', async () => {
    const options = tinyModel()
    appendFileSync(options.files[0]!, Buffer.alloc(8))
    for (const tensor of options.tensors) tensor.offset += 1
    expect(await (await runtime.loadModel(options)).logProbs(tinyBatch())).toHaveLength(12)
  })
})

test('memory that is not there is named', async () => {
  const error = await failure(model.createSampler({ ...tinySampler, cacheBytes: 2 ** 52 }))
  expect(error.code).toBe('BT_OUT_OF_MEMORY')
  expect(error.message).toMatch(/\d+ bytes of keys and values could not be allocated/)
  expect(error.remedy).toContain('smaller')
  expect(await model.logProbs(tinyBatch())).toHaveLength(12)
})

test('objects of another kind are refused as `this`, and classes cannot be constructed', async () => {
  const { loadCore } = await import('../../src/native/load.js')
  const native = loadCore().core.openRuntime({ device: 'cpu', threads: 1 })
  const { memory } = native
  for (const self of [{}, undefined, Object.create(native), await native.loadModel(tinyModel())]) {
    await expect((async () => memory.call(self as Runtime))()).rejects.toThrow(/Illegal invocation|expected a Runtime/)
  }
  expect(() => new (native.constructor as new () => unknown)()).toThrow('is made by a runtime')
  await native.close()
})

test('errors carry the stack of their caller', async () => {
  async function caller() {
    await runtime.measureGemm('float64' as never)
  }
  expect((await failure(caller())).stack).toContain('caller')
})

test('a file lock keeps another process out until it is given back', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'bt-lock-')), 'lock')
  const [mine, theirs] = [openSync(path, 'w'), openSync(path, 'w')]
  expect(lockFile(mine)).toBe(true)
  expect(lockFile(theirs)).toBe(false)
  const flock = () =>
    new Promise((resolve) => spawn('flock', ['--nonblock', path, 'true']).on('close', resolve).on('error', resolve))
  expect(await flock()).toBe(1)
  unlockFile(mine)
  expect(await flock()).toBe(0)
  expect(lockFile(theirs)).toBe(true)
  for (const fd of [mine, theirs]) closeSync(fd)
  expect(() => lockFile(-1)).toThrow('fd: expected a file descriptor')
  expect(() => lockFile(mine)).toThrow(/flock/)
})

async function openTrainer() {
  const runtime = await openRuntime({ device: 'cpu', threads: 1 })
  const model = await runtime.loadModel(tinyModel())
  const lora = await model.attachLora(tinyLora)
  return { runtime, model, lora, trainer: await model.createTrainer(lora, tinyTrainer) }
}

test('adapters taken out and put into another trainer give the same numbers', async () => {
  const own = await openTrainer()
  await own.trainer.step([tinyBatch()], step(1))
  const tensors: LoraTensor[] = await own.lora.tensors()
  const copy = await own.model.attachLora({ ...tinyLora, tensors })
  expect(await own.model.logits(tinyBatch(), copy)).toEqual(await own.model.logits(tinyBatch(), own.lora))
  expect(await own.model.logits(tinyBatch(), copy)).not.toEqual(await own.model.logits(tinyBatch()))
  const again = await own.model.createTrainer(copy, tinyTrainer)
  await again.restore(await own.trainer.state())
  const results = [await own.trainer.step([tinyBatch()], step(2)), await again.step([tinyBatch()], step(2))]
  expect(results[1]).toMatchObject({ loss: results[0]!.loss, gradNorm: results[0]!.gradNorm })
  await own.runtime.close()
})
