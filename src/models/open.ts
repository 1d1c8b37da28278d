// From what a user names a model to a ModelSource: folder, .gguf file, demo alias or Hub id, in this order.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BtError } from '../errors.js'
import { modelFolder } from '../paths.js'
import type { OnProgress } from '../progress.js'
import { openGguf } from './gguf.js'
import { openFolder } from './hf-folder.js'
import type { ModelSource } from './types.js'

/** Demo models that `bt-native setup --model NAME` provides, each a `model.gguf` in modelFolder(NAME). */
export const demoModels = ['smollm2-135m'] as const

export interface OpenModelOptions {
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
  void options
  const found = await kindOf(reference)
  if (found === 'folder') return openFolder(reference)
  if (found === 'file') return openGguf(reference)
  for (const name of demoModels) if (reference === name) return openDemo(name)
  throw new BtError('BT_MODEL_NOT_FOUND', `no model "${reference}": there is no such folder or .gguf file`)
}

async function openDemo(name: string): Promise<ModelSource> {
  const path = join(modelFolder(name), 'model.gguf')
  if ((await kindOf(path)) === 'file') return openGguf(path, { name, reference: name })
  throw new BtError('BT_MODEL_NOT_FOUND', `the demo model ${name} is not installed: no ${path}`, {
    remedy: `npx bt-native setup --model ${name}`,
  })
}

async function kindOf(path: string): Promise<'file' | 'folder' | undefined> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) return 'folder'
  return found?.isFile() ? 'file' : undefined
}
