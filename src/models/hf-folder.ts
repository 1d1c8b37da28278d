// Opens a Hugging Face folder: config.json, safetensors in one or many shards, tokenizer. Weights are not read.
import { readdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import type { StoredType, TensorEntry } from '../../binding.js'
import { BtError } from '../errors.js'
import { configFromHf, hfConfigSchema } from './hf-config.js'
import { readHfTokenizer } from './hf-tokenizer.js'
import { readJsonIfThere } from './json-file.js'
import { readSafetensorsHeader } from './safetensors-header.js'
import { assembleSource } from './source.js'
import type { ModelSource } from './types.js'

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) })

const weightTypes: Readonly<Record<string, StoredType>> = { F32: 'F32', F16: 'F16', BF16: 'BF16' }

export interface FolderOptions {
  name?: string
  reference?: string
}

/**
 * @throws {BtError} BT_MODEL_NOT_FOUND when the folder is not a model's, BT_MODEL_CONFIG, BT_MODEL_UNKNOWN,
 * BT_MODEL_UNSUPPORTED (pickled weights among them), BT_SAFETENSORS, BT_TOKENIZER_MISSING, BT_TENSOR_UNKNOWN,
 * BT_TENSOR_MISSING, BT_TENSOR_SHAPE, BT_TENSOR_TYPE
 */
export async function openFolder(path: string, options: FolderOptions = {}): Promise<ModelSource> {
  const folder = resolve(path)
  const configPath = join(folder, 'config.json')
  const hf = await readJsonIfThere(configPath, hfConfigSchema)
  if (hf === undefined) throw await notAModel(folder)
  const config = configFromHf(configPath, hf)
  const files = await weightFiles(folder)
  const source = await assembleSource({
    path: folder,
    format: 'safetensors',
    config,
    files,
    tensors: await tensorTable(files),
    tokenizer: await readHfTokenizer(folder, hf),
  })
  return { ...source, name: options.name ?? basename(folder), reference: options.reference ?? path }
}

async function notAModel(folder: string): Promise<BtError> {
  const names = await readdir(folder)
  const gguf = names.find((name) => name.endsWith('.gguf'))
  if (names.includes('adapter_config.json')) {
    return new BtError('BT_MODEL_NOT_FOUND', `${folder}: an adapter, not a model: no config.json`, {
      remedy: 'Give its base model as --model and this folder as --adapter.',
    })
  }
  const remedy = gguf === undefined ? undefined : `Give the file itself: ${join(folder, gguf)}`
  return new BtError('BT_MODEL_NOT_FOUND', `${folder}: no config.json: not a Hugging Face model folder`, { remedy })
}

/** Shards named by the index, or the one file. */
async function weightFiles(folder: string): Promise<string[]> {
  const indexPath = join(folder, 'model.safetensors.index.json')
  const index = await readJsonIfThere(indexPath, indexSchema)
  if (index !== undefined) {
    const shards = [...new Set(Object.values(index.weight_map))].sort()
    const odd = shards.find((shard) => shard !== basename(shard))
    if (odd !== undefined) throw new BtError('BT_MODEL_CONFIG', `${indexPath}: "${odd}" is not a file of this folder`)
    return shards.map((shard) => join(folder, shard))
  }
  const names = await readdir(folder)
  if (names.includes('model.safetensors')) return [join(folder, 'model.safetensors')]
  const only = names.filter((name) => name.endsWith('.safetensors'))
  if (only.length === 1) return [join(folder, only[0]!)]
  if (only.length > 1) {
    const what = `${only.length} .safetensors files but no model.safetensors.index.json`
    throw new BtError('BT_MODEL_NOT_FOUND', `${folder}: ${what}`, { remedy: 'Fetch the index as well.' })
  }
  const pickle = names.find((name) => /\.(bin|pt|pth)$/.test(name))
  if (pickle !== undefined) {
    throw new BtError('BT_MODEL_UNSUPPORTED', `${folder}: only pickled weights (${pickle}), which can run any code`, {
      remedy: "Save it once with transformers' save_pretrained (it writes safetensors), from a source that you trust.",
    })
  }
  throw new BtError('BT_MODEL_NOT_FOUND', `${folder}: no .safetensors file`)
}

async function tensorTable(files: string[]): Promise<TensorEntry[]> {
  const headers = await Promise.all(files.map(readSafetensorsHeader))
  const table = new Map<string, TensorEntry>()
  headers.forEach(({ tensors }, file) => {
    for (const { name, dtype, shape, offset, byteLength } of tensors) {
      const type = Object.hasOwn(weightTypes, dtype) ? weightTypes[dtype] : undefined
      if (type === undefined) {
        throw new BtError('BT_TENSOR_TYPE', `${files[file]}: ${name} is stored as ${dtype}, which is not supported`, {
          remedy: `Supported are ${Object.keys(weightTypes).join(', ')}.`,
        })
      }
      const before = table.get(name)
      if (before !== undefined) {
        throw new BtError('BT_SAFETENSORS', `${files[file]}: ${name} is also in ${files[before.file]}`)
      }
      table.set(name, { name, type, shape, file, offset, byteLength })
    }
  })
  return [...table.values()]
}
