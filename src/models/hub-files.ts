// Which files of a model's repository are needed, and whether a folder has them.
import { BtError } from '../errors.js'

/** Configuration and tokenizer; those that are there are fetched. */
const small = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
]

/** Lists the shards of a model. */
export const indexFile = 'model.safetensors.index.json'

export interface Needed {
  /** Configuration, tokenizer, and the index of the shards. */
  small: string[]
  /** Weights; undefined when the index must be read first. */
  weights?: string[]
  /** The one .gguf file, when it is the model. */
  gguf?: string
}

/**
 * @param names files at the top of the repository
 * @throws {BtError} BT_MODEL_UNSUPPORTED when there are only pickled weights or several .gguf files,
 * BT_MODEL_NOT_FOUND when there are no weights at all
 */
export function neededFiles(id: string, names: readonly string[]): Needed {
  const has = new Set(names)
  const weights = names.filter((name) => name.endsWith('.safetensors'))
  const ggufs = names.filter((name) => name.endsWith('.gguf'))
  if (has.has('config.json') && weights.length > 0) {
    const wanted = small.filter((name) => has.has(name))
    if (!has.has('tokenizer.json') && has.has('tokenizer.model')) wanted.push('tokenizer.model')
    if (has.has(indexFile)) return { small: [...wanted, indexFile] }
    return { small: wanted, weights: has.has('model.safetensors') ? ['model.safetensors'] : weights }
  }
  if (ggufs.length === 1) return { small: [], weights: ggufs, gguf: ggufs[0]! }
  if (ggufs.length > 1) {
    throw new BtError('BT_MODEL_UNSUPPORTED', `${id} holds several .gguf files: ${ggufs.join(', ')}`, {
      remedy: 'Fetch the one that you want and give the file as --model.',
    })
  }
  const pickle = names.find((name) => /\.(bin|pt|pth)$/.test(name))
  if (pickle !== undefined) {
    throw new BtError('BT_MODEL_UNSUPPORTED', `${id} holds only pickled weights (${pickle}), which can run any code`, {
      remedy: 'Choose a model with .safetensors files.',
    })
  }
  const what = has.has('config.json') ? 'no .safetensors or .gguf file' : 'no config.json and no .gguf file'
  throw new BtError('BT_MODEL_NOT_FOUND', `${id}: ${what}`)
}
