// Where things lie on this machine: caches by the XDG rules, and the package's own folder.
import { homedir, tmpdir } from 'node:os'
import { basename, isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the package: holds package.json, native/, prebuilds/. */
export const packageRoot = fileURLToPath(new URL('..', import.meta.url))

/** $XDG_CACHE_HOME/bt-native, or ~/.cache/bt-native, or a folder under the temporary one where there is no home. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.BT_NATIVE_CACHE) return env.BT_NATIVE_CACHE
  if (env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME)) return join(env.XDG_CACHE_HOME, 'bt-native')
  const home = homeFolder(env)
  return home ? join(home, '.cache', 'bt-native') : join(tmpdir(), `bt-native-${process.getuid?.()}`)
}

/** The user's home; undefined where there is neither HOME nor an entry in passwd, as in some containers. */
export function homeFolder(env: NodeJS.ProcessEnv = process.env, lookUp = homedir): string | undefined {
  try {
    return env.HOME || lookUp()
  } catch {
    return undefined
  }
}

/** Where `bt-native setup` puts libtorch of this version and device. */
export function libtorchFolder(version: string, device: 'cpu' | 'cuda', env = process.env): string {
  return join(cacheFolder(env), `libtorch-${version}-${device}`)
}

/** Where `npm run build:cuda` puts nvcc and CUDA's headers. */
export function toolkitFolder(version: string, env = process.env): string {
  return join(cacheFolder(env), `cuda-toolkit-${version}`)
}

/** Names the folder in the cache that `bt-native setup` was last asked for by version, device or source. */
export function chosenLibtorchFile(env = process.env): string {
  return join(cacheFolder(env), 'libtorch-chosen')
}

/** Where `bt-native setup --model NAME` puts a demo model. */
export function modelFolder(name: string, env = process.env): string {
  return join(cacheFolder(env), 'models', name)
}

/**
 * What a person would call a file, folder or Hub id, fit to be part of a name: "data/oasst.jsonl.gz" -> "oasst",
 * "org/Model-1B@main" -> "Model-1B", "-" -> "stdin".
 */
export function plainName(path: string): string {
  if (path === '-') return 'stdin'
  const name = basename(path).replace(/(?<=.)@.*$/, '')
  const bare = name.replace(/(?<=.)(\.(jsonl?|parquet|txt|text|md|gguf|gz))+$/i, '')
  return bare.replace(/[^\p{L}\p{N}._-]+/gu, '-')
}

/** The libtorch that a fresh set-up installs. */
export const defaultTorch = '2.11.0'
