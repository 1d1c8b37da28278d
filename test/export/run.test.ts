// An adapter merged into the tiny model, in every format and type: what is written, read back and told.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PackedBatch } from '../../binding.js'
import { packBatch } from '../../src/data/packing.js'
import type { ExportInput } from '../../src/export/options.js'
import { exportModel } from '../../src/export/run.js'
import { readAdapter } from '../../src/models/adapter.js'
import { openModel } from '../../src/models/open.js'
import { readSafetensors } from '../../src/models/safetensors.js'
import { type OpenRuntime, openRuntime } from '../../src/native/runtime.js'
import { makeTemplate } from '../../src/text/template.js'
import { openTokenizer } from '../../src/text/tokenizer.js'
import { failureOf } from '../models/folder.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'
import { apart, logitsOf, writeRandomAdapter } from './tools.js'

let runtime: OpenRuntime
let folder: string
let model: string
let adapter: string
let prompts: string
let batch: PackedBatch
/** Of the base model with the adapter beside it. */
let unmerged: Float32Array

beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 1 })
  folder = await mkdtemp(join(tmpdir(), 'bt-export-'))
  model = await writeTinyModel(join(folder, 'model'))
  adapter = await writeRandomAdapter(join(folder, 'adapter'), model)
  prompts = await writeRows(join(folder, 'rows.jsonl'), tinyPairs(6))
  const { tokenizer } = await openModel(model)
  const template = await makeTemplate('backward', await openTokenizer(tokenizer), tokenizer)
  const rows = await Promise.all(tinyPairs(4).map((pair) => template.encodePair(pair, 256)))
  batch = packBatch(rows, [0, 1, 2, 3])
  unmerged = await logitsOf(runtime, model, batch, adapter)
})
afterAll(async () => {
  await runtime.close()
  await rm(folder, { recursive: true, force: true })
})

let outputs = 0
function optionsFor(more: Partial<ExportInput> & Pick<ExportInput, 'to'>): ExportInput & { output: string } {
  const output = join(folder, `out-${outputs++}${more.to === 'gguf' ? '.gguf' : ''}`)
  return { adapter, model, output, rows: 0, threads: 1, device: 'cpu', prompts, ...more }
}

/** Largest logit difference over the largest logit that each type may cost in this model of random weights. */
const bounds = [
  ['safetensors', 'f32', 1e-6],
  ['safetensors', 'f16', 3e-3],
  ['safetensors', 'bf16', 1e-2],
  ['gguf', 'f32', 1e-6],
  ['gguf', 'f16', 3e-3],
  ['gguf', 'bf16', 1e-2],
  ['gguf', 'q8_0', 6e-2],
  ['gguf', 'q4_0', 0.7],
] as const

describe('read back, the exported model gives the logits of the unmerged one', () => {
  test.each(bounds)('%s %s', async (to, dtype, bound) => {
    const options = optionsFor({ to, dtype, rows: 3 })
    const { comparison } = await exportModel(options)
    const found = await logitsOf(runtime, options.output, batch)
    expect(apart(found, unmerged)).toBeLessThan(bound)
    // Not better than it can be either: the adapter is in there, and the type is the one that was asked for.
    expect(apart(found, await logitsOf(runtime, model, batch))).toBeGreaterThan(0.3)
    if (dtype !== 'f32') expect(apart(found, unmerged)).toBeGreaterThan(bound / 100)
    const largest = unmerged.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    expect(comparison!.largestLogitDifference / largest).toBeLessThan(bound)
    expect(comparison).toMatchObject({ prompts, rows: 3, precision: 'fp32' })
    expect(comparison!.meanLogProb.exported).toBeCloseTo(comparison!.meanLogProb.unmerged, dtype === 'q4_0' ? 0 : 1)
    expect(comparison!.sameTopToken).toBeGreaterThan(dtype === 'q4_0' ? 0.3 : 0.9)
  })
})

describe('what is written', () => {
  test('is W + scale B A, added in FP32 and rounded once', async () => {
    const options = optionsFor({ to: 'safetensors', dtype: 'f32' })
    await exportModel(options)
    const before = new Map((await readSafetensors(join(model, 'model.safetensors'))).tensors.map((t) => [t.name, t]))
    const { tensors, alpha, r } = await readAdapter(adapter)
    const matrices = new Map(tensors.map((tensor) => [tensor.name, tensor]))
    const after = (await readSafetensors(join(options.output, 'model.safetensors'))).tensors
    expect(after.map(({ name }) => name).sort()).toEqual([...before.keys()].sort())
    for (const { name, shape, data } of after) {
      const prefix = name.replace(/^model\./, '').replace(/\.weight$/, '')
      const [a, b] = [matrices.get(`${prefix}.lora_A`), matrices.get(`${prefix}.lora_B`)]
      const was = before.get(name)!.data
      if (!a || !b) {
        expect(data, name).toEqual(was)
        continue
      }
      const [, width] = shape as [number, number]
      for (let i = 0; i < data.length; i++) {
        let sum = 0
        for (let k = 0; k < r; k++) sum += b.data[Math.floor(i / width) * r + k]! * a.data[k * width + (i % width)]!
        expect(Math.abs(data[i]! - (was[i]! + (alpha / r) * sum))).toBeLessThan(1e-6)
      }
    }
  })

  test.each([
    ['f16', 2 ** -11],
    ['bf16', 2 ** -8],
    ['q8_0', 0.5 / 127],
    ['q4_0', 1 / 8], // the eighth step on the side of the extreme alone
  ] as const)('as %s is no further from the sum than its steps are wide', async (dtype, step) => {
    const [exact, coarse] = [optionsFor({ to: 'gguf', dtype: 'f32' }), optionsFor({ to: 'gguf', dtype })]
    await exportModel(exact)
    await exportModel(coarse)
    const values = async (output: string) => {
      const { tensors, files } = await openModel(output)
      return Promise.all(
        tensors.map(async (tensor) => {
          const bytes = await runtime.exportTensor({ path: files[0]!, tensor, type: 'F32' })
          return { ...tensor, data: new Float32Array(bytes.buffer) }
        }),
      )
    }
    const [sums, rounded] = [await values(exact.output), await values(coarse.output)]
    for (const [index, { name, data, type }] of rounded.entries()) {
      const sum = sums[index]!.data
      for (let i = 0; i < sum.length; i++) {
        const begin = i - (i % 32)
        const scale = /Q/.test(type) ? Math.max(...sum.subarray(begin, begin + 32).map(Math.abs)) : Math.abs(sum[i]!)
        // A thousandth for the scale itself, which is a half; the smallest halves lie further apart.
        const allowed = scale * ({ F32: 0, F16: 2 ** -11, Q8_0: 0.5 / 127 }[type as 'F32'] ?? step) * 1.001 + 2 ** -25
        expect(Math.abs(data[i]! - sum[i]!), `${name}[${i}]`).toBeLessThanOrEqual(allowed + scale * 2 ** -11)
      }
    }
  })

  test('of types follows GGUF: norms in FP32, rows that are not whole blocks in F16, the logits in 8 bits', async () => {
    const options = optionsFor({ to: 'gguf', dtype: 'q4_0' })
    const { files, bytes } = await exportModel(options)
    expect(files).toEqual([options.output])
    expect(bytes).toBe((await stat(options.output)).size)
    const types = new Map((await openModel(options.output)).tensors.map(({ name, type }) => [name, type]))
    expect(types.get('model.norm.weight')).toBe('F32')
    expect(types.get('model.embed_tokens.weight')).toBe('Q8_0')
    expect(types.get('model.layers.0.self_attn.q_proj.weight')).toBe('Q4_0')
    expect(types.get('model.layers.1.mlp.down_proj.weight')).toBe('F16') // 48 columns
  })

  test('of a folder is what transformers needs, and says where it comes from', async () => {
    const options = optionsFor({ to: 'safetensors', dtype: 'f16' })
    await exportModel(options)
    const names = ['bt_native.json', 'config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']
    expect((await readdir(options.output)).sort()).toEqual(names)
    const json = async (name: string) => JSON.parse(await readFile(join(options.output, name), 'utf8'))
    const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8'))
    expect(await json('config.json')).toEqual({ ...config, torch_dtype: 'float16' })
    expect(await readFile(join(options.output, 'tokenizer.json'))).toEqual(
      await readFile(join(model, 'tokenizer.json')),
    )
    expect(await json('bt_native.json')).toMatchObject({
      export: { dtype: 'f16', model: { name: 'model' }, adapter: { folder: adapter } },
      template: { task: 'backward', form: 'chat' },
    })
    const { metadata } = await readSafetensors(join(options.output, 'model.safetensors'))
    expect(metadata).toEqual({ format: 'pt' })
  })

  test('keeps the prompt, from folder to GGUF and back', async () => {
    const file = optionsFor({ to: 'gguf', dtype: 'f16' })
    await exportModel(file)
    const back = optionsFor({ to: 'safetensors', dtype: 'f32', adapter: undefined, model: file.output })
    await exportModel(back)
    const [one, two, three] = await Promise.all(
      [model, file.output, back.output].map(async (reference) => {
        const { tokenizer } = await openModel(reference)
        const template = await makeTemplate('backward', await openTokenizer(tokenizer), tokenizer)
        return { ...template.describe(), row: await template.encodePair(tinyPairs(1)[0]!, 256) }
      }),
    )
    expect(two).toEqual(one)
    expect(three).toEqual(one)
    // F16 in, FP32 out: nothing is lost on the way.
    expect(await logitsOf(runtime, back.output, batch)).toEqual(await logitsOf(runtime, file.output, batch))
  })
})

describe('the comparison', () => {
  test('is on the rows that the adapter was validated on, where they are still there', async () => {
    const data = await writeRows(join(folder, 'seed.jsonl'), tinyPairs(40))
    const { tokenizer } = await openModel(model)
    const template = await makeTemplate('backward', await openTokenizer(tokenizer), tokenizer)
    const trained = await writeRandomAdapter(join(folder, 'trained'), model)
    const record = {
      model: { reference: model, hash: (await openModel(model)).hash },
      template: template.describe(),
      options: { data, validation: 0.2 },
    }
    await writeFile(join(trained, 'bt_native.json'), JSON.stringify(record))
    const options = optionsFor({ to: 'safetensors', dtype: 'f32', adapter: trained, prompts: undefined, rows: 2 })
    const { comparison } = await exportModel({ ...options, model: undefined })
    expect(comparison).toMatchObject({ prompts: data, rows: 2 })
    await rm(data)
    const { comparison: builtIn } = await exportModel({ ...options, force: true })
    expect(builtIn!.prompts).toMatch(/examples\/seed\.jsonl$/)
  })

  test('without an adapter shows the rounding alone', async () => {
    const options = optionsFor({ to: 'safetensors', dtype: 'f32', adapter: undefined, rows: 2 })
    const { comparison } = await exportModel(options)
    expect(comparison!.largestLogitDifference).toBe(0)
    expect(comparison!.sameTopToken).toBe(1)
  })
})

describe('is refused', () => {
  test.each([
    [{ to: 'safetensors', dtype: 'q4_0' } as const, 'safetensors cannot hold q4_0'],
    [{ to: 'gguf', output: 'merged.bin' } as const, 'merged.bin: the name of a GGUF file ends in .gguf'],
    [{ to: 'onnx' as 'gguf' }, 'to: '],
  ])('%j', async (more, message) => {
    const error = await failureOf(exportModel({ adapter, model, ...more }))
    expect(error.code).toBe('BT_USAGE')
    expect(error.message).toContain(message)
  })

  test('what is there already, unless it is an export and may be replaced', async () => {
    const file = optionsFor({ to: 'gguf' })
    await exportModel(file)
    const first = await readFile(file.output)
    expect((await failureOf(exportModel(file))).code).toBe('BT_OUTPUT_EXISTS')
    await exportModel({ ...file, dtype: 'f32', force: true })
    expect((await readFile(file.output)).length).toBeGreaterThan(first.length)

    const whole = optionsFor({ to: 'safetensors' })
    await exportModel(whole)
    await writeFile(join(whole.output, 'notes.txt'), 'of the first')
    expect((await failureOf(exportModel(whole))).code).toBe('BT_OUTPUT_EXISTS')
    await exportModel({ ...whole, force: true })
    expect(await readdir(whole.output)).not.toContain('notes.txt')

    const other = join(folder, 'somebody')
    await mkdir(other)
    await writeFile(join(other, 'thesis.tex'), 'years of work')
    const error = await failureOf(exportModel({ ...whole, output: other, force: true }))
    expect(error).toMatchObject({ code: 'BT_OUTPUT_EXISTS', message: expect.stringContaining('no export wrote') })
    expect(await readdir(other)).toEqual(['thesis.tex'])
    await rm(join(other, 'thesis.tex'))
    await exportModel({ ...whole, output: other }) // an empty folder is a place to write to
    expect(await readdir(other)).toContain('model.safetensors')
  })

  test('an adapter of another model, by the matrix that does not fit', async () => {
    const { tensors } = await readAdapter(adapter)
    const deeper = join(folder, 'deeper')
    const third = tensors
      .filter(({ name }) => name.startsWith('layers.1.'))
      .map((tensor) => ({ ...tensor, name: tensor.name.replace('layers.1', 'layers.2') }))
    const { writeAdapter, allTargets } = await import('../../src/models/adapter.js')
    const all = { baseModel: model, r: 4, alpha: 8, dropout: 0, targets: allTargets, tensors: [...tensors, ...third] }
    await writeAdapter(deeper, all)
    const error = await failureOf(exportModel(optionsFor({ to: 'gguf', adapter: deeper })))
    expect(error.code).toBe('BT_ADAPTER_TENSOR')
    expect(error.message).toContain('model has no model.layers.2.self_attn.q_proj.weight')
  })

  test('a weight that the type cannot hold, and nothing is left', async () => {
    const huge = await writeRandomAdapter(join(folder, 'huge'), model, ['v_proj'])
    const { tensors } = await readAdapter(huge)
    const { writeAdapter } = await import('../../src/models/adapter.js')
    for (const { data } of tensors) data.fill(300)
    await writeAdapter(huge, { baseModel: model, r: 4, alpha: 8, dropout: 0, targets: ['v_proj'], tensors })
    for (const to of ['gguf', 'safetensors'] as const) {
      const options = optionsFor({ to, dtype: 'f16', adapter: huge })
      const before = await readdir(folder)
      expect(await failureOf(exportModel(options))).toMatchObject({
        code: 'BT_TENSOR_RANGE',
        message: expect.stringContaining('v_proj'),
      })
      expect(await readdir(folder)).toEqual(before)
    }
  })
})

test('an interrupted export leaves nothing, and what was there stays', async () => {
  const options = optionsFor({ to: 'safetensors', dtype: 'f32' })
  await exportModel(options)
  const before = [await readdir(folder), await readdir(options.output)]
  const stopping = new AbortController()
  const done: number[] = []
  const stopped = exportModel(
    { ...options, dtype: 'f16', force: true },
    {
      signal: stopping.signal,
      onProgress: (progress) => {
        done.push(progress.done)
        if (done.length === 5) stopping.abort(new Error('enough'))
      },
    },
  )
  await expect(stopped).rejects.toThrow('enough')
  expect(done.length).toBe(5)
  expect([await readdir(folder), await readdir(options.output)]).toEqual(before)
})
