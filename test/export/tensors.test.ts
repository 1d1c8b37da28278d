// Large weights go out in pieces; what they are cut into makes no difference to what is written.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { exportModel } from '../../src/export/run.js'
import { outgoingTensors, type TensorPlan } from '../../src/export/tensors.js'
import { readAdapter } from '../../src/models/adapter.js'
import { openModel } from '../../src/models/open.js'
import { type OpenRuntime, openRuntime } from '../../src/native/runtime.js'
import { writeTinyModel } from '../train/tiny-model.js'
import { apart, writeRandomAdapter } from './tools.js'

let runtime: OpenRuntime
let folder: string
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 1 })
  folder = await mkdtemp(join(tmpdir(), 'bt-pieces-'))
})
afterAll(async () => {
  await runtime.close()
  await rm(folder, { recursive: true, force: true })
})

/** Name -> content, and how many pieces there were in all. */
async function content(plan: TensorPlan): Promise<{ tensors: Map<string, Buffer>; pieces: number }> {
  const tensors = new Map<string, Buffer>()
  let pieces = 0
  const outgoing = outgoingTensors(plan, (options) => {
    pieces++
    return runtime.exportTensor(options)
  })
  for (const { name, bytes } of outgoing) {
    const parts: Uint8Array[] = []
    for await (const part of bytes()) parts.push(part)
    tensors.set(name, Buffer.concat(parts))
  }
  return { tensors, pieces }
}

test('pieces of rows and heads make the same weights as whole ones, from folder and GGUF', async () => {
  const model = await writeTinyModel(join(folder, 'model'))
  const adapter = await readAdapter(await writeRandomAdapter(join(folder, 'adapter'), model))
  const file = join(folder, 'q8.gguf')
  await exportModel({ model, to: 'gguf', dtype: 'q8_0', output: file, rows: 0, device: 'cpu' })
  for (const reference of [model, file]) {
    for (const to of ['safetensors', 'gguf'] as const) {
      const source = await openModel(reference)
      const plan: TensorPlan = { source, adapter, to, type: 'F32', interleaved: to === 'gguf' }
      const whole = await content(plan)
      expect(whole.pieces).toBe(source.tensors.length)
      const cut = await content({ ...plan, pieceElements: 300 }) // nine rows of 32, one head of eight rows
      expect(cut.pieces).toBeGreaterThan(3 * whole.pieces)
      expect([...cut.tensors.keys()]).toEqual([...whole.tensors.keys()])
      for (const [name, bytes] of whole.tensors) {
        const [one, other] = [bytes, cut.tensors.get(name)!].map((b) => new Float32Array(new Uint8Array(b).buffer))
        // Products of other sizes may differ in their last bit.
        expect(apart(other!, one!), `${reference} ${name}`).toBeLessThan(1e-6)
      }
    }
  }
})
