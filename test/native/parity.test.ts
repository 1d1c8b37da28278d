// The same numbers as transformers and PEFT, in FP32 on tiny random models (fixtures/parity/make.py): logits, loss,
// gradients, a short training, greedy output, adapters in and out.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packBatch } from '../../src/data/packing.js'
import { readAdapter, writeAdapter } from '../../src/models/adapter.js'
import { openFolder } from '../../src/models/hf-folder.js'
import { readSafetensors } from '../../src/models/safetensors.js'
import type { Lora, Model, Runtime, SamplerOptions, TrainerOptions } from '../../src/native/runtime.js'
import { openRuntime } from '../../src/native/runtime.js'

const fixtures = fileURLToPath(new URL('../fixtures/parity/', import.meta.url))

interface Row {
  tokens: number[]
  target: number
}
interface Outputs {
  /** base64 of [S, vocab] and of [S], float32 */
  logits: string
  logProbs: string
  greedy: { prompt: number[]; output: number[]; margin: number }[]
}
interface Expected {
  vocab: number
  rows: Row[]
  base: Outputs
  adapter: Outputs & { loss: number; gradients: Record<string, { shape: number[]; data: string }> }
  training: {
    rows: Row[]
    options: Omit<TrainerOptions, 'precision' | 'seed'> & { learningRate: number }
    steps: { microBatches: number[][]; loss: number; gradNorm: number }[]
  }
}

function floats(text: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer)
}

function batchOf(rows: Row[], ids: number[] = [...rows.keys()]) {
  const packed = ids.map((id) => ({ tokens: Int32Array.from(rows[id]!.tokens), targetStart: rows[id]!.target }))
  return packBatch(packed, ids)
}

/** Largest distance of two arrays' elements. */
function distance(found: Float32Array, expected: Float32Array): number {
  expect(found.length).toBe(expected.length)
  return found.reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at]!)), 0)
}

/** L2 distance over L2 length. */
function relative(found: Float32Array, expected: Float32Array): number {
  expect(found.length).toBe(expected.length)
  const length = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
  return length(found.map((value, at) => value - expected[at]!)) / length(expected)
}

const fp32 = { precision: 'fp32', seed: 0 } as const
/** 'auto' is the hand-written layer where it serves the model, else the same as 'reference'. */
const engines = ['reference', 'fused'] as const

/** A Python with torch, transformers and PEFT, for the one test that needs them alive. */
const peers = process.env.BT_PEERS_PYTHON
if (!peers) console.info('PEFT itself is not asked to load our adapters: BT_PEERS_PYTHON names no Python that has it')

let runtime: Runtime
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 1 })
})
afterAll(() => runtime?.close())

describe.each(['llama', 'llama3', 'qwen2', 'qwen3', 'mistral'])('%s', (name) => {
  const folder = join(fixtures, name)
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected
  const whole = batchOf(expected.rows)
  let model: Model
  let lora: Lora
  beforeAll(async () => {
    const { config, files, tensors } = await openFolder(folder)
    model = await runtime.loadModel({ config, files, tensors, dtype: 'float32' })
    lora = await attach('adapter')
  })
  afterAll(() => model?.close())

  async function attach(adapter: string): Promise<Lora> {
    const { r, alpha, rsLora, targets, tensors } = await readAdapter(join(folder, adapter))
    return model.attachLora({ r, alpha, rsLora, targets, tensors, dropout: 0, seed: 0 })
  }

  test.each(['base', 'adapter'] as const)('logits and log-probabilities of the %s are within 1e-4', async (which) => {
    const used = which === 'adapter' ? lora : undefined
    const { logits, logProbs } = expected[which]
    expect(distance(await model.logits(whole, used), floats(logits))).toBeLessThan(1e-4)
    expect(distance(await model.logProbs(whole, used), floats(logProbs))).toBeLessThan(1e-4)
  })

  test.each(['base', 'adapter'] as const)(
    'hidden states of the %s give the logits, through the head',
    async (which) => {
      const used = which === 'adapter' ? lora : undefined
      const { config } = await openFolder(folder)
      const { tensors } = await readSafetensors(join(folder, 'model.safetensors'))
      const headName = config.tieWordEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight'
      const head = tensors.find(({ name: one }) => one === headName)!.data
      const { vocab } = expected
      const width = config.hiddenSize
      const logits = floats(expected[which].logits)
      /** Sums over the first so many tokens of each row: what is scored plays no part. */
      const sums = async (lengths: number[]) => {
        const tokens = expected.rows.flatMap((row, at) => row.tokens.slice(0, lengths[at]))
        const cuSeqlens = Int32Array.from([
          0,
          ...lengths.map((_, at) => lengths.slice(0, at + 1).reduce((a, b) => a + b)),
        ])
        const rows = Int32Array.from(lengths.keys())
        const batch = { tokens: Int32Array.from(tokens), cuSeqlens, scored: new Int32Array(), rows }
        const means = await model.hiddenStates(batch, used)
        return means.map((value, at) => value * lengths[Math.floor(at / width)]!)
      }
      // Those that predict the target are what the whole row but its last token has beyond the prompt but its last.
      const all = await sums(expected.rows.map((row) => row.tokens.length - 1))
      const prompts = await sums(expected.rows.map((row) => Math.max(1, row.target - 1)))
      let first = 0
      for (const [row, { tokens, target }] of expected.rows.entries()) {
        const count = tokens.length - target
        for (let token = 0; token < vocab; token += 7) {
          let wanted = 0
          for (let at = first; at < first + count; at++) wanted += logits[at * vocab + token]!
          let found = 0
          for (let at = 0; at < width; at++) {
            const before = target > 1 ? prompts[row * width + at]! : 0
            found += head[token * width + at]! * (all[row * width + at]! - before)
          }
          expect(Math.abs(found - wanted)).toBeLessThan(1e-3)
        }
        first += count
      }
      expect(first * vocab).toBe(logits.length)
    },
  )

  test('rows packed together are what they are alone', async () => {
    const parts = await Promise.all(expected.rows.map((_, row) => model.logits(batchOf(expected.rows, [row]), lora)))
    const alone = Float32Array.from(parts.flatMap((part) => [...part]))
    expect(distance(alone, floats(expected.adapter.logits))).toBeLessThan(1e-4)
  })

  test.each(engines)('%s: loss and every gradient are within 1e-4, whatever the micro-batches', async (engine) => {
    const trainer = await model.createTrainer(lora, { ...expected.training.options, ...fp32, engine })
    for (const batches of [[[0, 1, 2]], [[0], [1, 2]], [[2], [0], [1]]]) {
      const microBatches = batches.map((ids) => batchOf(expected.rows, ids))
      const { loss, tensors } = await trainer.gradients(microBatches, { learningRate: 0, step: 1 })
      expect(Math.abs(loss / expected.adapter.loss - 1)).toBeLessThan(1e-4)
      expect(tensors.map((tensor) => tensor.name).sort()).toEqual(Object.keys(expected.adapter.gradients).sort())
      for (const { name: tensor, shape, data } of tensors) {
        const wanted = expected.adapter.gradients[tensor]!
        expect(shape, tensor).toEqual(wanted.shape)
        expect(relative(data, floats(wanted.data)), tensor).toBeLessThan(1e-4)
      }
    }
    const { lossSum, scoredTokens } = await trainer.evaluate(whole)
    expect(Math.abs(lossSum / scoredTokens / expected.adapter.loss - 1)).toBeLessThan(1e-4)
    await trainer.close()
  })

  test.each(engines)('%s: twenty steps have the losses and norms of AdamW in PyTorch', async (engine) => {
    const { rows, options, steps } = expected.training
    const trained = await attach('init')
    const trainer = await model.createTrainer(trained, { ...options, ...fp32, engine })
    for (const [index, { microBatches, loss, gradNorm }] of steps.entries()) {
      const batches = microBatches.map((ids) => batchOf(rows, ids))
      const result = await trainer.step(batches, { learningRate: options.learningRate, step: index + 1 })
      expect(Math.abs(result.loss - loss), `loss of step ${index + 1}`).toBeLessThan(1e-3)
      expect(Math.abs(result.gradNorm / gradNorm - 1), `norm of step ${index + 1}`).toBeLessThan(1e-2)
      expect(result.skipped).toBe(false)
    }
    expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss - 1)
    await trainer.close()
    await trained.close()
  })

  const sampling: SamplerOptions = {
    temperature: 0,
    topK: 0,
    topP: 1,
    minP: 0,
    repetitionPenalty: 1,
    seed: 0,
    maxSequences: 2,
    maxTokens: 64,
    stopTokens: [],
  }

  async function write(which: 'base' | 'adapter', stopTokens: number[] = []) {
    const sampler = await model.createSampler({ ...sampling, stopTokens }, which === 'adapter' ? lora : undefined)
    const { greedy } = expected[which]
    await sampler.add(
      greedy.map(({ prompt, output }, id) => ({ id, tokens: Int32Array.from(prompt), maxNewTokens: output.length })),
    )
    const outputs: { tokens: number[]; reason: string }[] = []
    for (let done = 0; done < greedy.length; ) {
      const { finished } = await sampler.advance(5)
      for (const { id, tokens, reason } of finished) outputs[id] = { tokens: [...tokens], reason }
      done += finished.length
    }
    await sampler.close()
    return outputs
  }

  test.each(['base', 'adapter'] as const)('greedy output of the %s is the same, token for token', async (which) => {
    expect(await write(which)).toEqual(
      expected[which].greedy.map(({ output }) => ({ tokens: output, reason: 'length' })),
    )
  })

  test('greedy output ends before the first stop token', async () => {
    const { output } = expected.adapter.greedy[0]!
    const stop = output[10]!
    const [first] = await write('adapter', [stop])
    expect(first).toEqual({ tokens: output.slice(0, output.indexOf(stop)), reason: 'stop' })
  })

  test.skipIf(!peers)('an adapter that was trained here loads in PEFT with the same numbers', async () => {
    const { rows, options, steps } = expected.training
    const trained = await attach('init')
    const trainer = await model.createTrainer(trained, { ...options, ...fp32 })
    const batches = steps[0]!.microBatches.map((ids) => batchOf(rows, ids))
    for (let step = 1; step <= 3; step++) await trainer.step(batches, { learningRate: 0.05, step })
    const ours = mkdtempSync(join(tmpdir(), 'bt-parity-'))
    try {
      const adapter = await readAdapter(join(folder, 'init'))
      await writeAdapter(ours, { ...adapter, baseModel: folder, tensors: await trained.tensors() })
      const asked = rows.map(({ tokens }) => ({ tokens, target: 1 }))
      const script = fileURLToPath(new URL('../../bench/peers/check_adapter.py', import.meta.url))
      const output = execFileSync(peers!, [script, '--base', folder, '--adapter', ours, '--tokens', '-'], {
        input: JSON.stringify(asked.map(({ tokens }) => tokens)),
        stdio: ['pipe', 'pipe', 'ignore'],
      })
      const theirs = JSON.parse(output.toString()) as { rows: { logits: string }[] }
      const logits = Float32Array.from(theirs.rows.flatMap((row) => [...floats(row.logits)]))
      expect(distance(await model.logits(batchOf(asked), trained), logits)).toBeLessThan(1e-4)
    } finally {
      rmSync(ours, { recursive: true })
      await trainer.close()
      await trained.close()
    }
  })

  test('an adapter that is read and written is what PEFT wrote, tensor for tensor', async () => {
    const copy = mkdtempSync(join(tmpdir(), 'bt-parity-'))
    const original = join(folder, 'adapter')
    try {
      const adapter = await readAdapter(original)
      await writeAdapter(copy, { ...adapter, baseModel: name, tensors: await lora.tensors() })
      const stored = async (path: string) =>
        new Map((await readSafetensors(join(path, 'adapter_model.safetensors'))).tensors.map((one) => [one.name, one]))
      expect(await stored(copy)).toEqual(await stored(original))
      const fields = (path: string) => {
        const config = JSON.parse(readFileSync(join(path, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
        const { peft_type, task_type, r, lora_alpha, lora_dropout, target_modules, bias, use_rslora } = config
        const targets = [...(target_modules as string[])].sort()
        return { peft_type, task_type, r, lora_alpha, lora_dropout, targets, bias, use_rslora }
      }
      expect(fields(copy)).toEqual(fields(original))
      expect(existsSync(join(copy, 'README.md'))).toBe(true)
    } finally {
      rmSync(copy, { recursive: true })
    }
  })
})
