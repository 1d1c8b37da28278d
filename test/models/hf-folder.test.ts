import { copyFile, mkdir, open, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openModel } from '../../src/models/open.js'
import { failureOf, familyFixtures, fixtures, modelFolder, temporaryFolder, tinyTokenizer } from './folder.js'

const families = await familyFixtures()
const { llama, llama3, mistral, qwen2, qwen3 } = families as Required<typeof families>

describe('a folder that transformers saved', () => {
  const plain = {
    ropeScaling: undefined,
    qkvBias: false,
    outBias: false,
    mlpBias: false,
    qkNorm: false,
    slidingWindow: 0,
  }
  const expected = {
    llama: { ...plain, family: 'llama', headDim: 16, tieWordEmbeddings: false, maxPositions: 2048, ropeTheta: 10000 },
    llama3: {
      ...plain,
      family: 'llama',
      qkvBias: true,
      outBias: true,
      mlpBias: true,
      tieWordEmbeddings: true,
      ropeTheta: 500000,
      ropeScaling: { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 },
    },
    mistral: { ...plain, family: 'mistral', headDim: 32, slidingWindow: 16 },
    qwen2: { ...plain, family: 'qwen2', qkvBias: true },
    qwen3: { ...plain, family: 'qwen3', qkNorm: true, headDim: 32, tieWordEmbeddings: true },
  }
  test.each(Object.entries(expected))('of the kind %s opens with all its tensors', async (name, config) => {
    const family = families[name]!
    const source = await openModel(await modelFolder(family))
    expect(source.config).toMatchObject({ vocabSize: 96, hiddenSize: 64, layers: 2, heads: 4, kvHeads: 2, ...config })
    expect(source.config.ropeScaling).toEqual(config.ropeScaling)
    const found = Object.fromEntries(source.tensors.map(({ name, shape }) => [name, shape]))
    expect(found).toEqual(family.tensors)
    const weights = Object.values(family.tensors).map((shape) => shape.reduce((product, size) => product * size, 1))
    expect(source.parameters).toBe(weights.reduce((sum, size) => sum + size, 0))
  })

  test('in shards opens as in one file, with the same hash', async () => {
    const whole = await openModel(await modelFolder(qwen3!))
    const sharded = await openModel(await modelFolder(qwen3!, { shards: 3 }))
    expect(sharded.files).toHaveLength(3)
    expect(new Set(sharded.tensors.map(({ file }) => file))).toEqual(new Set([0, 1, 2]))
    expect(sharded.hash).toBe(whole.hash)
  })

  test('and its settings make another hash when anything that counts differs', async () => {
    const hashes = await Promise.all([
      openModel(await modelFolder(llama!)),
      openModel(await modelFolder(llama!, { config: { rms_norm_eps: 1e-5 } })),
      openModel(await modelFolder(llama!, { files: { 'chat_template.jinja': '{{ x }}' } })),
    ])
    expect(new Set(hashes.map(({ hash }) => hash)).size).toBe(3)
  })

  test('has another hash once its weights were changed in place', async () => {
    const folder = await modelFolder(llama!)
    const before = await openModel(folder)
    const last = before.tensors.at(-1)!
    const file = await open(before.files[0]!, 'r+')
    await file.write(Buffer.from([1]), 0, 1, last.offset)
    await file.close()
    expect((await openModel(folder)).hash).not.toBe(before.hash)
  })
})

describe('config.json', () => {
  test('of before transformers 5, with rope_scaling beside rope_theta, gives the same configuration', async () => {
    const { rope_theta, ...scaling } = llama3!.config.rope_parameters as Record<string, unknown>
    const old = {
      rope_parameters: undefined,
      rope_theta,
      rope_scaling: { ...scaling, type: 'llama3', rope_type: undefined },
    }
    const now = await openModel(await modelFolder(llama3!))
    expect((await openModel(await modelFolder(llama3!, { config: old }))).config).toEqual(now.config)
  })

  test('linear scaling needs its factor', async () => {
    const linear = (factor?: number) => ({ rope_parameters: undefined, rope_scaling: { type: 'linear', factor } })
    const source = await openModel(await modelFolder(llama!, { config: linear(2) }))
    expect(source.config.ropeScaling).toEqual({ type: 'linear', factor: 2 })
    const error = await failureOf(openModel(await modelFolder(llama!, { config: linear() })))
    expect([error.code, error.message]).toEqual(['BT_MODEL_CONFIG', expect.stringContaining('factor')])
  })

  test.each([
    ['BT_MODEL_UNKNOWN', 'GemmaForCausalLM', { architectures: ['GemmaForCausalLM'] }],
    ['BT_MODEL_UNKNOWN', 'constructor', { architectures: ['constructor'] }],
    ['BT_MODEL_UNSUPPORTED', 'gelu_new', { hidden_act: 'gelu_new' }],
    ['BT_MODEL_UNSUPPORTED', 'yarn', { rope_parameters: { rope_type: 'yarn', factor: 4, rope_theta: 1 } }],
    ['BT_MODEL_UNSUPPORTED', 'partial_rotary_factor', { partial_rotary_factor: 0.5 }],
    ['BT_MODEL_UNSUPPORTED', 'bitsandbytes', { quantization_config: { quant_method: 'bitsandbytes' } }],
    ['BT_MODEL_CONFIG', 'hidden_size', { hidden_size: '64' }],
    ['BT_MODEL_CONFIG', 'num_attention_heads', { num_attention_heads: undefined }],
    ['BT_MODEL_CONFIG', 'fit', { num_key_value_heads: 3 }],
  ])('is refused with %s naming %s', async (code, name, config) => {
    const error = await failureOf(openModel(await modelFolder(llama!, { config })))
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(name)])
    expect(error.message).toContain('config.json')
  })

  test('Qwen2 slides only when told to, in all layers or none', async () => {
    const window = async (config: Record<string, unknown>) =>
      (await openModel(await modelFolder(qwen2!, { config: { layer_types: undefined, ...config } }))).config
        .slidingWindow
    expect(await window({ sliding_window: 8, use_sliding_window: false })).toBe(0)
    expect(await window({ sliding_window: 8, use_sliding_window: true, max_window_layers: 0 })).toBe(8)
    expect(await window({ sliding_window: 8, use_sliding_window: true, max_window_layers: 28 })).toBe(0)
    const mixed = await failureOf(window({ sliding_window: 8, use_sliding_window: true, max_window_layers: 1 }))
    expect(mixed.message).toContain('full and sliding')
  })

  test('Mistral without sliding_window has one of 4096, with null none', async () => {
    const window = async (sliding_window: unknown) =>
      (await openModel(await modelFolder(mistral!, { config: { sliding_window } }))).config.slidingWindow
    expect([await window(undefined), await window(null)]).toEqual([4096, 0])
  })
})

describe('the tensors', () => {
  const without = (name: string) => Object.fromEntries(Object.entries(llama!.tensors).filter(([key]) => key !== name))

  test('a missing one is named', async () => {
    const tensors = without('model.layers.1.mlp.up_proj.weight')
    const error = await failureOf(openModel(await modelFolder(llama!, { tensors })))
    expect([error.code, error.message]).toEqual([
      'BT_TENSOR_MISSING',
      expect.stringContaining('model.layers.1.mlp.up_proj.weight'),
    ])
  })

  test('an unknown one is named, a left-over rotary table is not minded', async () => {
    const tensors = { ...llama!.tensors, 'model.layers.0.self_attn.rotary_emb.inv_freq': [8] }
    const source = await openModel(await modelFolder(llama!, { tensors }))
    expect(source.tensors.some(({ name }) => name.includes('inv_freq'))).toBe(false)
    const error = await failureOf(
      openModel(await modelFolder(llama!, { tensors: { ...tensors, 'model.layers.0.mlp.router.weight': [8] } })),
    )
    expect([error.code, error.message]).toEqual(['BT_TENSOR_UNKNOWN', expect.stringContaining('mlp.router.weight')])
  })

  test('one of another shape is named with both shapes', async () => {
    const tensors = { ...llama!.tensors, 'model.norm.weight': [63] }
    const error = await failureOf(openModel(await modelFolder(llama!, { tensors })))
    expect([error.code, error.message]).toEqual([
      'BT_TENSOR_SHAPE',
      expect.stringMatching(/model\.norm\.weight.*63.*64/),
    ])
  })

  test('a tied model that stores lm_head all the same is fine, an untied one needs it', async () => {
    const tensors = { ...llama3!.tensors, 'lm_head.weight': [96, 64] }
    const source = await openModel(await modelFolder(llama3!, { tensors }))
    expect(source.tensors.map(({ name }) => name)).not.toContain('lm_head.weight')
    const error = await failureOf(openModel(await modelFolder(llama!, { tensors: without('lm_head.weight') })))
    expect(error.message).toContain('lm_head.weight')
  })

  test('a shard that the index names but is not there is named', async () => {
    const folder = await modelFolder(llama!, { shards: 2 })
    await rm(join(folder, 'model-00002-of-00002.safetensors'))
    const error = await failureOf(openModel(folder))
    expect([error.code, error.message]).toEqual(['BT_MODEL_NOT_FOUND', expect.stringContaining('model-00002-of-00002')])
  })

  test('pickled weights are refused with the reason', async () => {
    const folder = await modelFolder(llama!)
    await rename(join(folder, 'model.safetensors'), join(folder, 'pytorch_model.bin'))
    const error = await failureOf(openModel(folder))
    expect([error.code, error.message]).toEqual(['BT_MODEL_UNSUPPORTED', expect.stringContaining('run any code')])
  })
})

describe('the tokenizer', () => {
  const open = async (files: Record<string, unknown>) =>
    (await openModel(await modelFolder(llama!, { files }))).tokenizer

  test('ends at the ids of generation_config.json, config.json and its own end token, which comes first', async () => {
    const tokenizer = await open({
      'generation_config.json': { eos_token_id: [4, 2] },
      'tokenizer_config.json': { eos_token: { content: '</s>' }, bos_token: '<s>', add_bos_token: true },
    })
    expect(tokenizer.eosIds).toEqual([2, 0, 4])
    expect(tokenizer).toMatchObject({ eosToken: '</s>', bosToken: '<s>', addBos: true })
  })

  test('without a tokenizer_config.json takes the texts of the ids in config.json', async () => {
    expect(await open({})).toMatchObject({ eosToken: '</s>', bosToken: '<s>', addBos: false })
  })

  test('starts with the begin token when its post-processor says so', async () => {
    const template = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A' } }],
    }
    const sequence = { type: 'Sequence', processors: [{ type: 'ByteLevel' }, template] }
    const settings = { 'tokenizer_config.json': { bos_token: '<s>', eos_token: '</s>' } }
    expect(
      (await open({ ...settings, 'tokenizer.json': { ...tinyTokenizer(), post_processor: sequence } })).addBos,
    ).toBe(true)
    expect((await open(settings)).addBos).toBe(false)
  })

  test('finds the chat template in each of the four places', async () => {
    const named = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'mine' },
    ]
    expect((await open({ 'tokenizer_config.json': { chat_template: 'mine' } })).chatTemplate).toBe('mine')
    expect((await open({ 'tokenizer_config.json': { chat_template: named } })).chatTemplate).toBe('mine')
    expect((await open({ 'chat_template.jinja': 'mine' })).chatTemplate).toBe('mine')
    expect((await open({ 'chat_template.json': { chat_template: 'mine' } })).chatTemplate).toBe('mine')
    expect((await open({})).chatTemplate).toBeUndefined()
  })

  test('may be a SentencePiece tokenizer.model, and has to be one of the two', async () => {
    const folder = await modelFolder(llama!, { files: { 'tokenizer.json': undefined } })
    const error = await failureOf(openModel(folder))
    expect(error.code).toBe('BT_TOKENIZER_MISSING')
    await copyFile(join(fixtures, 'spm.model'), join(folder, 'tokenizer.model'))
    expect((await openModel(folder)).tokenizer).toMatchObject({
      bosToken: '<s>',
      eosToken: '</s>',
      eosIds: [2],
      addBos: true,
    })
  })
})

describe('what is no model', () => {
  test('an adapter folder is named as one', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'adapter_config.json'), '{}')
    expect((await failureOf(openModel(folder))).message).toContain('an adapter')
  })

  test('an empty folder, a file of another kind and a name that nothing has say what was tried', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'empty'))
    await writeFile(join(folder, 'model.safetensors'), '')
    for (const reference of ['empty', 'model.safetensors', 'nothing.gguf']) {
      const error = await failureOf(openModel(join(folder, reference)))
      expect([error.code, error.message]).toEqual([
        'BT_MODEL_NOT_FOUND',
        expect.stringContaining(join(folder, reference)),
      ])
    }
  })

  test('the demo model that is not installed names the command', async () => {
    const before = process.env.BT_NATIVE_CACHE
    process.env.BT_NATIVE_CACHE = await temporaryFolder()
    try {
      const error = await failureOf(openModel('smollm2-135m'))
      expect(error).toMatchObject({ code: 'BT_MODEL_NOT_FOUND', remedy: 'npx bt-native setup --model smollm2-135m' })
    } finally {
      if (before === undefined) delete process.env.BT_NATIVE_CACHE
      else process.env.BT_NATIVE_CACHE = before
    }
  })
})
