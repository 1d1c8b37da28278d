// From what a user names a model to a ModelSource: folder, .gguf file, demo alias or Hub id, in this order.
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { BtError, hasCode } from '../errors.js'
import { modelFolder } from '../paths.js'
import type { OnProgress } from '../progress.js'
import { demoModels } from './demo.js'
import { openGguf } from './gguf.js'
import { openFolder } from './hf-folder.js'
import { downloadModel } from './hub.js'
import { type HubReference, parseHubReference } from './hub-id.js'
import type { ModelSource } from './types.js'

/** How to watch a download and end it. */
export interface OpenModelOptions {
  /** Told of a download. */
  onProgress?: OnProgress
  /** Stops a download. */
  signal?: AbortSignal
}

/**
 * Locates a model and reads its headers and tokenizer; weights stay on disk.
 * @param reference a Hugging Face folder, a `.gguf` file, "smollm2-135m", or a Hub id "org/name[@revision]"
 * @throws {BtError} BT_MODEL_NOT_FOUND saying what was tried; what openFolder, openGguf and downloadModel throw
 */
export async function openModel(reference: string, options: OpenModelOptions = {}): Promise<ModelSource> {
  const kind = await kindOf(reference)
  if (kind === 'folder') return openFolder(reference)
  if (kind === 'file') return openFile(reference)
  if (Object.hasOwn(demoModels, reference)) return openDemo(reference)
  const hub = parseHubReference(reference)
  if (hub !== undefined && !reference.endsWith('.gguf')) return openFromHub(reference, hub, options)
  throw new BtError('BT_MODEL_NOT_FOUND', `no model "${reference}": ${resolve(reference)} is not there`, {
    remedy: `Give a Hugging Face folder, a .gguf file, ${Object.keys(demoModels).join(', ')}, or a Hub id such as Qwen/Qwen2.5-0.5B-Instruct.`,
  })
}

async function openFile(path: string): Promise<ModelSource> {
  if (/\.gguf$/i.test(path)) return openGguf(path)
  const remedy = /\.(safetensors|json|bin)$/.test(path)
    ? 'Give the folder that holds it.'
    : 'Give a Hugging Face folder or a .gguf file.'
  throw new BtError('BT_MODEL_NOT_FOUND', `${path} is neither a folder nor a .gguf file`, { remedy })
}

async function openDemo(name: string): Promise<ModelSource> {
  const path = join(modelFolder(name), 'model.gguf')
  if ((await kindOf(path)) === 'file') return openGguf(path, { name, reference: name })
  throw new BtError('BT_MODEL_NOT_FOUND', `the demo model ${name} is not installed: ${path} is not there`, {
    remedy: `npx bt-native setup --model ${name}`,
  })
}

async function openFromHub(reference: string, hub: HubReference, options: OpenModelOptions): Promise<ModelSource> {
  const { path, kind } = await downloadModel(hub, options).catch((error: unknown) => {
    if (!hasCode(error, 'BT_MODEL_NOT_FOUND') || !(error instanceof BtError)) throw error
    const message = `${error.message}, and no folder ${resolve(reference)} either`
    throw new BtError(error.code, message, { remedy: error.remedy ?? 'Check the name.', cause: error })
  })
  const named = { name: hub.id, reference }
  return kind === 'gguf' ? openGguf(path, named) : openFolder(path, named)
}

async function kindOf(path: string): Promise<'file' | 'folder' | undefined> {
  try {
    const found = await stat(path)
    return found.isDirectory() ? 'folder' : 'file'
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return undefined
    throw error
  }
}
