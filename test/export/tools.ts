// What the tests of test/export share: an adapter whose every matrix counts, and logits of any model on given rows.
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LoraTensor, PackedBatch, Runtime, TargetModule } from '../../binding.js'
import { allTargets, readAdapter, writeAdapter } from '../../src/models/adapter.js'
import { openModel } from '../../src/models/open.js'
import { xorshift } from '../native/tiny.js'

/** Writes an adapter of random A and B for a model, on `targets` of it. */
export async function writeRandomAdapter(
  folder: string,
  baseModel: string,
  targets: readonly TargetModule[] = allTargets,
): Promise<string> {
  const { tensors } = await openModel(baseModel)
  const random = xorshift(11)
  const r = 4
  const matrices = tensors.flatMap(({ name, shape }): LoraTensor[] => {
    const [, prefix, target] = /^model\.(layers\.\d+\.\w+\.(\w+))\.weight$/.exec(name) ?? []
    if (!targets.some((known) => known === target)) return []
    const matrix = (side: string, rows: number, columns: number) => {
      const data = Float32Array.from({ length: rows * columns }, () => 0.2 * random())
      return { name: `${prefix}.lora_${side}`, shape: [rows, columns] as [number, number], data }
    }
    return [matrix('A', r, shape[1]!), matrix('B', shape[0]!, r)]
  })
  await writeAdapter(folder, { baseModel, r, alpha: 8, dropout: 0, targets, tensors: matrices })
  return folder
}

/** FP32 logits of the scored tokens, of a model with or without an adapter. */
export async function logitsOf(
  runtime: Runtime,
  reference: string,
  batch: PackedBatch,
  adapterFolder?: string,
): Promise<Float32Array> {
  const { config, files, tensors } = await openModel(reference)
  const model = await runtime.loadModel({ config, files, tensors, dtype: 'float32' })
  if (adapterFolder === undefined) {
    const logits = await model.logits(batch)
    await model.close()
    return logits
  }
  const adapter = await readAdapter(adapterFolder)
  const { r, alpha, rsLora, targets } = adapter
  const lora = await model.attachLora({ r, alpha, rsLora, targets, tensors: adapter.tensors, dropout: 0, seed: 0 })
  const logits = await model.logits(batch, lora)
  await model.close()
  return logits
}

/** Largest |difference| over the largest |expected|. */
export function apart(found: Float32Array, expected: Float32Array): number {
  let [worst, largest] = [0, 0]
  for (const [i, value] of expected.entries()) {
    worst = Math.max(worst, Math.abs(value - (found[i] ?? Number.NaN)))
    largest = Math.max(largest, Math.abs(value))
  }
  return worst / largest
}

/** A copy of a folder of test/fixtures/parity whose tokenizer, there of whole words, is byte-level BPE of ASCII. */
export async function parityModel(from: string, folder: string, vocabSize: number): Promise<string> {
  await cp(from, folder, { recursive: true })
  const special = ['<s>', '</s>']
  const letters = Array.from({ length: vocabSize - special.length }, (_, i) => String.fromCharCode(i + 33))
  const vocab = Object.fromEntries([...special, ...letters].map((text, id) => [text, id]))
  const tokenizer = JSON.parse(await readFile(join(from, 'tokenizer.json'), 'utf8'))
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  await writeFile(
    join(folder, 'tokenizer.json'),
    JSON.stringify({
      ...tokenizer,
      pre_tokenizer: byteLevel,
      post_processor: byteLevel,
      decoder: byteLevel,
      model: { type: 'BPE', vocab, merges: [] },
    }),
  )
  return folder
}
