import { copyFile, cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Adapter, readAdapter, writeAdapter } from '../../src/models/adapter.js'
import { readSafetensors, writeSafetensors } from '../../src/models/safetensors.js'
import { failureOf, fixtures, readFixture, temporaryFolder } from './folder.js'

const peft = join(fixtures, 'peft')

/** PEFT's folder with changes to its adapter_config.json. */
async function changed(config: Record<string, unknown>): Promise<string> {
  const folder = join(await temporaryFolder(), 'adapter')
  await cp(peft, folder, { recursive: true })
  const path = join(folder, 'adapter_config.json')
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...config }))
  return folder
}

const writeOptions = (adapter: Adapter) => ({ ...adapter, baseModel: adapter.baseModel! })

describe('an adapter that PEFT saved', () => {
  test('is read with its settings, its matrices in the order of the native side', async () => {
    const { tensors, ...rest } = await readAdapter(peft)
    expect(rest).toEqual({
      folder: peft,
      baseModel: 'org/tiny-llama',
      r: 4,
      alpha: 8,
      rsLora: true,
      dropout: 0.05,
      targets: ['q_proj', 'v_proj', 'down_proj'],
      btNative: undefined,
    })
    expect(tensors.slice(0, 6).map(({ name, shape }) => [name, shape])).toEqual([
      ['layers.0.self_attn.q_proj.lora_A', [4, 64]],
      ['layers.0.self_attn.q_proj.lora_B', [64, 4]],
      ['layers.0.self_attn.v_proj.lora_A', [4, 64]],
      ['layers.0.self_attn.v_proj.lora_B', [32, 4]],
      ['layers.0.mlp.down_proj.lora_A', [4, 96]],
      ['layers.0.mlp.down_proj.lora_B', [64, 4]],
    ])
    const sums = await readFixture<Record<string, number>>('peft_sums.json')
    expect(tensors).toHaveLength(Object.keys(sums).length)
    for (const { name, data } of tensors) {
      const sum = data.reduce((total, value) => total + value, 0)
      expect(sum).toBeCloseTo(sums[`base_model.model.model.${name}.default.weight`]!, 4)
    }
  })

  test('in BF16 is read as FP32', async () => {
    const folder = await changed({})
    const path = join(folder, 'adapter_model.safetensors')
    const { tensors } = await readSafetensors(path)
    await writeHalves(path, tensors)
    const wanted = await readAdapter(peft)
    for (const [i, { data }] of (await readAdapter(folder)).tensors.entries()) {
      data.forEach((value, j) => {
        const expected = wanted.tensors[i]!.data[j]!
        expect(Math.abs(value - expected)).toBeLessThanOrEqual(Math.abs(expected) / 128)
      })
    }
  })

  test('and written again has the same tensors and settings in the file', async () => {
    const folder = join(await temporaryFolder(), 'ours')
    await writeAdapter(folder, writeOptions(await readAdapter(peft)))
    const content = async (path: string) => {
      const { tensors, metadata } = await readSafetensors(join(path, 'adapter_model.safetensors'))
      return { metadata, tensors: Object.fromEntries(tensors.map(({ name, shape, data }) => [name, { shape, data }])) }
    }
    expect(await content(folder)).toEqual(await content(peft))
    const config = async (path: string) => JSON.parse(await readFile(join(path, 'adapter_config.json'), 'utf8'))
    const [ours, theirs] = await Promise.all([config(folder), config(peft)])
    const sorted = (value: unknown) => (Array.isArray(value) ? [...value].sort() : value)
    for (const [key, value] of Object.entries(ours)) expect([key, sorted(value)]).toEqual([key, sorted(theirs[key])])
  })
})

/** As writeSafetensors, but the numbers cut to BF16. */
async function writeHalves(
  path: string,
  tensors: { name: string; shape: number[]; data: Float32Array }[],
): Promise<void> {
  let end = 0
  const header: Record<string, unknown> = {}
  const parts = tensors.map(({ name, shape, data }) => {
    const begin = end
    end += data.length * 2
    header[name] = { dtype: 'BF16', shape, data_offsets: [begin, end] }
    return Buffer.from(Uint16Array.from(new Uint32Array(data.buffer), (bits) => bits >>> 16).buffer)
  })
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  await writeFile(path, Buffer.concat([length, json, ...parts]))
}

describe('settings that cannot be applied are refused by name', () => {
  test.each([
    ['peft_type "IA3"', { peft_type: 'IA3' }],
    ['task_type "SEQ_CLS"', { task_type: 'SEQ_CLS' }],
    ['use_dora', { use_dora: true }],
    ['rank_pattern', { rank_pattern: { q_proj: 8 } }],
    ['alpha_pattern', { alpha_pattern: { q_proj: 8 } }],
    ['bias "all"', { bias: 'all' }],
    ['modules_to_save ["lm_head"]', { modules_to_save: ['lm_head'] }],
    ['layers_to_transform', { layers_to_transform: [0] }],
    ['init_lora_weights "pissa"', { init_lora_weights: 'pissa' }],
    ['target module "lm_head"', { target_modules: ['q_proj', 'lm_head'] }],
    ['target module ".*\\.q_proj"', { target_modules: '.*\\.q_proj' }],
    ['target_modules', { target_modules: null }],
  ])('%s', async (reason, config) => {
    const error = await failureOf(readAdapter(await changed(config)))
    expect([error.code, error.message]).toEqual(['BT_ADAPTER_UNSUPPORTED', expect.stringContaining(reason)])
  })

  test('a rank that is no number names the field', async () => {
    const error = await failureOf(readAdapter(await changed({ r: 'eight' })))
    expect([error.code, error.message]).toEqual(['BT_MODEL_CONFIG', expect.stringMatching(/adapter_config\.json: r:/)])
  })

  test('module names may carry their path', async () => {
    const modules = ['self_attn.q_proj', 'v_proj', 'mlp.down_proj']
    const { targets } = await readAdapter(await changed({ target_modules: modules, init_lora_weights: 'gaussian' }))
    expect(targets).toEqual(['q_proj', 'v_proj', 'down_proj'])
  })
})

describe('matrices that do not fit the settings are refused by name', () => {
  const rewrite = async (change: (tensors: { name: string; shape: number[]; data: Float32Array }[]) => unknown) => {
    const folder = await changed({})
    const path = join(folder, 'adapter_model.safetensors')
    const { tensors } = await readSafetensors(path)
    change(tensors)
    await writeSafetensors(path, tensors)
    return failureOf(readAdapter(folder))
  }

  test('a missing one', async () => {
    const error = await rewrite((tensors) => tensors.splice(0, 1))
    expect([error.code, error.message]).toEqual([
      'BT_ADAPTER_TENSOR',
      expect.stringContaining('missing base_model.model.model.layers.0.mlp.down_proj.lora_A.weight'),
    ])
  })

  test('one of another rank, one of another kind, one of a module that is not a target', async () => {
    expect((await failureOf(readAdapter(await changed({ r: 8 })))).message).toContain('does not fit r=8')
    const other = await rewrite((tensors) => {
      tensors[0]!.name = 'base_model.model.lm_head.weight'
    })
    expect([other.code, other.message]).toEqual(['BT_ADAPTER_UNSUPPORTED', expect.stringContaining('lm_head.weight')])
    const extra = await failureOf(readAdapter(await changed({ target_modules: ['q_proj', 'v_proj'] })))
    expect(extra.message).toContain('down_proj')
  })

  test('pickled weights, no weights, no adapter', async () => {
    const folder = await changed({})
    await rename(join(folder, 'adapter_model.safetensors'), join(folder, 'adapter_model.bin'))
    expect((await failureOf(readAdapter(folder))).message).toContain('run any code')
    await rename(join(folder, 'adapter_model.bin'), join(folder, 'x'))
    expect((await failureOf(readAdapter(folder))).code).toBe('BT_ADAPTER_NOT_FOUND')
    expect((await failureOf(readAdapter(await temporaryFolder()))).message).toContain('adapter_config.json')
  })
})

describe('writing an adapter', () => {
  test('leaves a whole folder and nothing beside it, and reads back the same', async () => {
    const parent = await temporaryFolder()
    const adapter = await readAdapter(peft)
    const btNative = { model: { reference: 'smollm2-135m' }, template: { hash: 'abc' } }
    await writeAdapter(join(parent, 'deep/er'), { ...writeOptions(adapter), baseModel: 'smollm2-135m', btNative })
    expect(await readdir(join(parent, 'deep'))).toEqual(['er'])
    const files = ['README.md', 'adapter_config.json', 'adapter_model.safetensors', 'bt_native.json']
    expect((await readdir(join(parent, 'deep/er'))).sort()).toEqual(files)
    const found = await readAdapter(join(parent, 'deep/er'))
    expect(found.tensors).toEqual(adapter.tensors)
    expect(found).toMatchObject({ r: 4, alpha: 8, rsLora: true, baseModel: 'smollm2-135m', btNative })
  })

  test('names the demo model by its Hub id for PEFT and the card', async () => {
    const folder = join(await temporaryFolder(), 'a')
    await writeAdapter(folder, { ...writeOptions(await readAdapter(peft)), baseModel: 'smollm2-135m' })
    const config = JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8'))
    expect(config.base_model_name_or_path).toBe('HuggingFaceTB/SmolLM2-135M-Instruct')
    expect(await readFile(join(folder, 'README.md'), 'utf8')).toMatch(
      /^---\nbase_model: HuggingFaceTB\/SmolLM2-135M-Instruct\n/,
    )
  })

  test('into a folder that exists replaces the weights and keeps other files and an edited card', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'checkpoint-1'))
    await writeFile(join(folder, 'README.md'), 'mine')
    await copyFile(join(peft, 'adapter_model.safetensors'), join(folder, 'adapter_model.safetensors'))
    const adapter = await readAdapter(peft)
    const tensors = adapter.tensors.map((tensor) => ({ ...tensor, data: tensor.data.map((value) => value + 1) }))
    await writeAdapter(folder, { ...writeOptions(adapter), tensors })
    expect((await readAdapter(folder)).tensors).toEqual(tensors)
    expect(await readFile(join(folder, 'README.md'), 'utf8')).toBe('mine')
    const left = (await readdir(folder)).sort()
    expect(left).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors', 'checkpoint-1'])
  })
})
