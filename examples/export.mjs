// Merges an adapter into its base model and writes it for llama.cpp, then for transformers.
//
//   node examples/export.mjs runs/first exports
import { join } from 'node:path'
import { exportModel } from 'bt-native'

const [adapter, folder] = process.argv.slice(2)
if (!adapter || !folder) throw new Error('usage: node examples/export.mjs ADAPTER FOLDER')

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())

for (const { to, dtype, name } of [
  { to: 'gguf', dtype: 'q8_0', name: 'model-q8_0.gguf' },
  { to: 'safetensors', dtype: 'bf16', name: 'model' },
]) {
  const { output, bytes, comparison } = await exportModel(
    { adapter, to, dtype, output: join(folder, name), rows: 4 },
    { signal: stop.signal, onWarning: (text) => console.warn(text) },
  )
  console.log(`${output}: ${(bytes / 1e6).toFixed(0)} MB`)
  console.log(`  largest logit difference to the unmerged model: ${comparison.largestLogitDifference.toPrecision(2)}`)
  console.log(`  same likeliest token: ${(100 * comparison.sameTopToken).toFixed(1)} %`)
}
