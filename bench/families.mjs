// Every family of models, tiny and random (test/fixtures/parity), exported in FP32 with its adapter: the log-probabilities
// that transformers and llama.cpp find in the files, beside PEFT's for the unmerged model.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exportModel } from '../dist/index.js'
import { packageRoot } from '../dist/paths.js'

const fixtures = join(packageRoot, 'test/fixtures/parity')
const names = ['llama', 'llama3', 'mistral', 'qwen2', 'qwen3']

/**
 * @param read { transformers(folder, rows), llama(path, rows) }: scores of each row's targets
 * @returns [{ name, transformers, llama }]: the largest distances to PEFT
 */
export async function familiesAgree(folder, read) {
  const found = []
  for (const name of names) {
    const { vocab, rows, adapter: expected } = JSON.parse(readFileSync(join(fixtures, name, 'expected.json'), 'utf8'))
    const model = withLetters(join(fixtures, name), join(folder, name), vocab)
    const common = { adapter: join(fixtures, name, 'adapter'), model, dtype: 'f32', rows: 0, device: 'cpu' }
    const { output: file } = await exportModel({ ...common, to: 'gguf', output: join(folder, `${name}.gguf`) })
    // From the GGUF file: a folder whose description is made, not copied.
    const made = { ...common, adapter: undefined, model: file, to: 'safetensors', output: join(folder, `${name}-made`) }
    const { output: merged } = await exportModel(made)
    const scored = rows.map(({ tokens, target }) => ({ tokens, targetStart: target }))
    // llama.cpp has no window for Mistral: there it is asked for the rows that are no longer.
    const { sliding_window: window } = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8'))
    const short = scored.filter(({ tokens }) => !window || tokens.length <= window)
    const judge = [...floats(expected.logProbs)] // of all rows, the short ones first
    const distance = ({ scores }) => Math.max(...scores.flat().map((score, i) => Math.abs(score - judge[i])))
    found.push({
      name,
      transformers: distance(await read.transformers(merged, scored)),
      llama: distance(await read.llama(file, short)),
    })
  }
  return found
}

/** A copy of a fixture whose tokenizer, there of whole words, is byte-level BPE: GGUF knows no other kind of these. */
function withLetters(from, folder, vocabSize) {
  cpSync(from, folder, { recursive: true })
  const tokenizer = JSON.parse(readFileSync(join(from, 'tokenizer.json'), 'utf8'))
  const letters = Array.from({ length: vocabSize - 2 }, (_, i) => String.fromCharCode(i + 33))
  const vocab = Object.fromEntries(['<s>', '</s>', ...letters].map((text, id) => [text, id]))
  const parts = { pre_tokenizer: byteLevel, post_processor: byteLevel, decoder: byteLevel }
  const model = { type: 'BPE', vocab, merges: [] }
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...tokenizer, ...parts, model }))
  return folder
}

const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }

export function floats(base64) {
  return new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer)
}
