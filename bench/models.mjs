// The models that are measured: where bt-native reads them and where the peers do, with the same weights.
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openModel } from '../dist/models/open.js'
import { cacheFolder } from '../dist/paths.js'
import { progress } from './progress.mjs'
import { startPeer } from './python.mjs'

/** TinyLlama-1.1B, as its config.json has it. */
const tinyLlama = {
  vocab_size: 32000,
  hidden_size: 2048,
  intermediate_size: 5632,
  num_hidden_layers: 22,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
}

/** `make` writes the peers' folder; `ours` is what openModel() is given; `vocabulary` is set where rows are random. */
export const models = {
  'smollm2-135m': {
    title: 'SmolLM2-135M',
    ours: () => 'smollm2-135m',
    make: async () => ({ expand: { gguf: (await openModel('smollm2-135m')).files[0] } }),
  },
  'tinyllama-shape': {
    title: "TinyLlama's shape with random weights",
    ours: (folder) => folder,
    make: () => ({ random: { config: tinyLlama } }),
    vocabulary: tinyLlama.vocab_size,
  },
}

/** Writes the peers' folder into the cache if it is not there. @returns { name, title, ours, peers, vocabulary } */
export async function prepareModel(name, { dtype, threads }) {
  const model = models[name]
  if (model === undefined) throw new Error(`--model ${name}: one of ${Object.keys(models).join(', ')} was expected`)
  const peers = join(cacheFolder(), 'bench', `${name}-${dtype}`)
  if (!existsSync(peers)) {
    progress(`writing ${model.title} in ${dtype} for the peers into ${peers}`)
    mkdirSync(join(cacheFolder(), 'bench'), { recursive: true })
    const child = startPeer('folders.py', { threads })
    const [[command, options]] = Object.entries(await model.make())
    await child.ask(command, { ...options, folder: peers, dtype }).finally(child.stop)
  }
  return { name, title: model.title, ours: model.ours(peers), peers, vocabulary: model.vocabulary }
}
