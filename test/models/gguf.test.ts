import { copyFile, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openGguf } from '../../src/models/gguf.js'
import { configFromGguf } from '../../src/models/gguf-config.js'
import { expectedTensors } from '../../src/models/layout.js'
import { openModel } from '../../src/models/open.js'
import { failureOf, fixtures, temporaryFolder } from './folder.js'

const path = (name: string) => join(fixtures, `${name}.gguf`)

/** A copy with every `from` replaced by `to` (of the same length), cut to `size` bytes. */
async function damagedCopy(name: string, change: { from?: string; to?: string; size?: number }): Promise<string> {
  const copy = join(await temporaryFolder(), 'damaged.gguf')
  await copyFile(path(name), copy)
  if (change.from !== undefined) {
    const text = (await readFile(copy)).toString('latin1').replaceAll(change.from, change.to!)
    await writeFile(copy, Buffer.from(text, 'latin1'))
  }
  if (change.size !== undefined) await truncate(copy, change.size)
  return copy
}

describe('a GGUF file that the gguf package wrote', () => {
  test('of Llama 3 opens under Hugging Face names, its rope_freqs read as llama3 scaling', async () => {
    const source = await openModel(path('llama'))
    expect(source).toMatchObject({ name: 'llama', format: 'gguf' })
    expect(source.config).toEqual({
      family: 'llama',
      vocabSize: source.config.vocabSize,
      hiddenSize: 32,
      intermediateSize: 64,
      layers: 1,
      heads: 2,
      kvHeads: 1,
      headDim: 16,
      rmsNormEps: 1e-5,
      ropeTheta: 500000,
      ropeScaling: { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 },
      qkvBias: false,
      outBias: false,
      mlpBias: false,
      qkNorm: false,
      tieWordEmbeddings: true,
      slidingWindow: 0,
      maxPositions: 131072,
    })
    expect(source.tensors.map(({ name }) => name)).toEqual([...expectedTensors(source.config).keys()])
    const byName = new Map(source.tensors.map((tensor) => [tensor.name, tensor]))
    const q = byName.get('model.layers.0.self_attn.q_proj.weight')!
    expect(q).toMatchObject({ type: 'Q8_0', shape: [32, 32], byteLength: 32 * 34, interleavedHeads: 2 })
    const k = byName.get('model.layers.0.self_attn.k_proj.weight')!
    expect(k).toMatchObject({ type: 'F16', shape: [16, 32], byteLength: 1024, interleavedHeads: 1 })
    const v = byName.get('model.layers.0.self_attn.v_proj.weight')!
    expect(v).toMatchObject({ type: 'F32', shape: [16, 32] })
    expect(v.interleavedHeads).toBeUndefined()
  })

  test('has its weights where the table says', async () => {
    const source = await openModel(path('qwen2'))
    const bytes = await readFile(path('qwen2'))
    const norm = source.tensors.find(({ name }) => name === 'model.norm.weight')!
    expect(norm).toMatchObject({ type: 'F32', shape: [32], byteLength: 128 })
    const values = Array.from({ length: 32 }, (_, i) => bytes.readFloatLE(norm.offset + 4 * i))
    const spread = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / 32)
    expect(spread).toBeGreaterThan(0.05) // drawn from a normal distribution of deviation 0.1
    expect(spread).toBeLessThan(0.2)
  })

  test('of Qwen2 has biases, of Qwen3 head norms, and neither is permuted', async () => {
    const [qwen2, qwen3] = await Promise.all([openModel(path('qwen2')), openModel(path('qwen3'))])
    expect(qwen2.config).toMatchObject({ family: 'qwen2', qkvBias: true, qkNorm: false, headDim: 16 })
    expect(qwen3.config).toMatchObject({ family: 'qwen3', qkvBias: false, qkNorm: true, headDim: 32 })
    expect([...qwen2.tensors, ...qwen3.tensors].filter(({ interleavedHeads }) => interleavedHeads)).toEqual([])
  })

  test('with its own output matrix is untied', async () => {
    const source = await openModel(path('spm'))
    expect(source.config.tieWordEmbeddings).toBe(false)
    expect(source.tensors.at(-1)).toMatchObject({ name: 'lm_head.weight', type: 'Q8_0' })
  })
})

describe('what cannot be read is refused by name', () => {
  test('an architecture, a pre-tokenizer, a tensor', async () => {
    const refusal = async (from: string, to: string) => {
      const { code, message } = await failureOf(openGguf(await damagedCopy('qwen2', { from, to })))
      return `${code} ${message}`
    }
    // The field's value alone: lengths precede texts, so texts are replaced by ones of the same length.
    expect(await refusal('\x05\0\0\0\0\0\0\0qwen2', '\x05\0\0\0\0\0\0\0rwkv6')).toMatch(
      /^BT_MODEL_UNKNOWN .*damaged\.gguf: .*"rwkv6"/,
    )
    expect(await refusal('tokenizer.ggml.pre', 'tokenizer.ggml.prx')).toMatch(
      /^BT_TOKENIZER_UNKNOWN .*tokenizer\.ggml\.pre/,
    )
    expect(await refusal('blk.0.ffn_up.weight', 'blk.0.ffn_ux.weight')).toMatch(
      /^BT_TENSOR_UNKNOWN .*blk\.0\.ffn_ux\.weight/,
    )
    expect(await refusal('qwen2.block_count', 'qwen2.block_couns')).toMatch(/^BT_GGUF .*qwen2\.block_count/)
  })

  test('a file that was cut short, in its weights or in its header', async () => {
    const weights = await failureOf(openGguf(await damagedCopy('llama', { size: 30_000 })))
    expect([weights.code, weights.message]).toEqual(['BT_TENSOR_OUT_OF_RANGE', expect.stringContaining('30000 bytes')])
    for (const size of [4, 20, 100, 3000, 7000]) {
      const header = await failureOf(openGguf(await damagedCopy('llama', { size })))
      expect(header.code).toBe('BT_GGUF')
      expect(header.message).toContain('damaged.gguf')
    }
  })

  test('a file of another kind', async () => {
    const file = join(await temporaryFolder(), 'page.gguf')
    await writeFile(file, '<html>')
    expect((await failureOf(openGguf(file))).message).toContain('does not start with "GGUF"')
  })

  const metadata = {
    'general.architecture': 'llama',
    'llama.embedding_length': 64,
    'llama.attention.head_count': 4,
    'llama.block_count': 2,
    'llama.feed_forward_length': 96,
    'llama.context_length': 2048,
    'llama.attention.layer_norm_rms_epsilon': Math.fround(1e-6),
  }
  const shape = { embedding: [96, 64], has: () => false }

  test.each([
    ['rope scaling "yarn"', { 'llama.rope.scaling.type': 'yarn' }],
    ['expert_count', { 'llama.expert_count': 8 }],
    ['rotary embedding of 8 of 16', { 'llama.rope.dimension_count': 8 }],
    ['head_count_kv', { 'llama.attention.head_count_kv': [4, 2] }],
  ])('%s', (reason, fields) => {
    expect(() => configFromGguf({ ...metadata, ...fields }, shape)).toThrow(reason)
  })

  test('a table of rotary factors that no llama3 scaling gives', () => {
    const ropeFactors = new Float32Array([1, 2, 3, 4, 5, 6, 7, 8])
    expect(() => configFromGguf(metadata, { ...shape, ropeFactors })).toThrow('rope_freqs')
    const ones = new Float32Array(8).fill(1)
    expect(configFromGguf(metadata, { ...shape, ropeFactors: ones })).toMatchObject({
      ropeScaling: undefined,
      rmsNormEps: 1e-6,
    })
  })
})
