// Every family, exported in FP32 to both formats, read back, and held to the logits that transformers and PEFT give the
// unmerged model (fixtures/parity/make.py).
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packBatch } from '../../src/data/packing.js'
import { exportModel } from '../../src/export/run.js'
import { openModel } from '../../src/models/open.js'
import { type OpenRuntime, openRuntime } from '../../src/native/runtime.js'
import { apart, logitsOf, parityModel } from './tools.js'

const fixtures = fileURLToPath(new URL('../fixtures/parity/', import.meta.url))

let runtime: OpenRuntime
let folder: string
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 1 })
  folder = await mkdtemp(join(tmpdir(), 'bt-families-'))
})
afterAll(async () => {
  await runtime.close()
  await rm(folder, { recursive: true, force: true })
})

describe.each(['llama', 'llama3', 'qwen2', 'qwen3', 'mistral'])('%s', (name) => {
  let model: string
  let adapter: string
  let batch: ReturnType<typeof packBatch>
  let expected: Float32Array
  beforeAll(async () => {
    const numbers = JSON.parse(await readFile(join(fixtures, name, 'expected.json'), 'utf8'))
    model = await parityModel(join(fixtures, name), join(folder, name), numbers.vocab)
    adapter = join(fixtures, name, 'adapter')
    const rows = (numbers.rows as { tokens: number[]; target: number }[]).map(({ tokens, target }) => ({
      tokens: Int32Array.from(tokens),
      targetStart: target,
    }))
    batch = packBatch(rows, [...rows.keys()])
    expected = new Float32Array(new Uint8Array(Buffer.from(numbers.adapter.logits, 'base64')).buffer)
  })

  const common = () => ({ adapter, model, dtype: 'f32', rows: 0, threads: 1, device: 'cpu' }) as const

  test('as a Hugging Face folder', async () => {
    const output = join(folder, `${name}-merged`)
    await exportModel({ ...common(), to: 'safetensors', output })
    expect(apart(await logitsOf(runtime, output, batch), expected)).toBeLessThan(1e-5)
  })

  test('as a GGUF file, and from there as a folder', async () => {
    const output = join(folder, `${name}.gguf`)
    await exportModel({ ...common(), to: 'gguf', output })
    expect(apart(await logitsOf(runtime, output, batch), expected)).toBeLessThan(1e-5)

    const again = join(folder, `${name}-from-gguf`)
    await exportModel({ ...common(), adapter: undefined, model: output, to: 'safetensors', output: again })
    expect(await logitsOf(runtime, again, batch)).toEqual(await logitsOf(runtime, output, batch))
    const [one, other] = [await openModel(model), await openModel(again)]
    expect(other.config).toEqual({ ...one.config, family: other.config.family })
    const { eosIds, bosToken, eosToken, addBos } = other.tokenizer
    expect({ eosIds, bosToken, eosToken, addBos }).toEqual({
      eosIds: one.tokenizer.eosIds,
      bosToken: one.tokenizer.bosToken,
      eosToken: one.tokenizer.eosToken,
      addBos: one.tokenizer.addBos,
    })
  })
})
