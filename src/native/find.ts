// Where libtorch lies on this machine: every place that is looked in, in order, and why it was taken or not.
// Opens nothing: load.ts does.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { hasCode, messageOf } from '../errors.js'
import { cacheFolder, chosenLibtorchFile, defaultTorch, libtorchFolder } from '../paths.js'

export type LibtorchSource = 'option' | 'BT_NATIVE_LIBTORCH' | 'cache' | 'python' | 'LIBTORCH'

/** One place that was looked in. */
export interface LibtorchCandidate {
  source: LibtorchSource
  /** The folder as it was named. */
  path: string
  /** The folder that holds libtorch_cpu.so, where there is one. */
  lib?: string
  /** "2.11.0+cu130", where a version file tells. */
  version?: string
  /** Whether libtorch_cuda.so lies there too. */
  cuda: boolean
  /** The first usable one is taken. */
  taken: boolean
  /** Why it was taken or not. */
  reason: string
}

export interface FindOptions {
  /** A folder named by the caller: comes first. */
  libtorch?: string
  /** Prefer a CUDA build from our cache. */
  device?: 'auto' | 'cpu' | 'cuda'
  /** "major.minor" for which a core is built; none given: any version will do. */
  minors?: readonly string[]
  env?: NodeJS.ProcessEnv
}

/**
 * Every place where libtorch may lie, best first: the option, BT_NATIVE_LIBTORCH, our cache (`bt-native setup`: what it
 * was asked for by name, then the default), the
 * active Python environment's torch (VIRTUAL_ENV, CONDA_PREFIX), LIBTORCH. A folder may hold torch/lib, lib, or the
 * .so files themselves. At most one has `taken`. A place that the user named (the option, BT_NATIVE_LIBTORCH) and that
 * is of no use ends the search: nothing else is taken in its stead.
 */
export function findLibtorch(options: FindOptions = {}): LibtorchCandidate[] {
  const candidates = places(options).map((place) => inspect(place.source, place.path, options))
  for (const candidate of candidates) {
    if (candidate.taken) {
      markLater(candidates, candidate)
      break
    }
    if (candidate.source === 'option' || candidate.source === 'BT_NATIVE_LIBTORCH') {
      for (const other of candidates) {
        if (other.taken) Object.assign(other, { taken: false, reason: `usable, but ${candidate.source} names another` })
      }
      break
    }
  }
  return candidates
}

function markLater(candidates: LibtorchCandidate[], taken: LibtorchCandidate): void {
  for (const other of candidates) {
    if (other !== taken && other.taken) Object.assign(other, { taken: false, reason: 'usable, but comes later' })
  }
}

function places({
  libtorch,
  device = 'auto',
  env = process.env,
}: FindOptions): { source: LibtorchSource; path: string }[] {
  const list: { source: LibtorchSource; path: string }[] = []
  const add = (source: LibtorchSource, path: string | undefined) => {
    if (path) list.push({ source, path: resolve(path) })
  }
  add('option', libtorch)
  add('BT_NATIVE_LIBTORCH', env.BT_NATIVE_LIBTORCH)
  for (const folder of cachedFolders(device, env)) add('cache', folder)
  for (const prefix of [env.VIRTUAL_ENV, env.CONDA_PREFIX]) {
    for (const folder of sitePackages(prefix)) add('python', folder)
  }
  add('LIBTORCH', env.LIBTORCH)
  return list
}

/** A folder of the cache, by its name. */
export interface CachedLibtorch {
  version: string
  device: 'cpu' | 'cuda'
}

/** What `bt-native setup` was last asked for by version, device or source; undefined when it was left to choose. */
export function chosenLibtorch(env: NodeJS.ProcessEnv = process.env): CachedLibtorch | undefined {
  return parseCached(readIfThere(chosenLibtorchFile(env))?.trim() ?? '')
}

/** "libtorch-2.13.0a0-cpu"; pre-releases and local builds have more than three numbers. */
function parseCached(name: string): CachedLibtorch | undefined {
  const match = /^libtorch-(\d+\.\d+\.\d+[\w.]*)-(cpu|cuda)$/.exec(name)
  return match ? { version: match[1]!, device: match[2] as 'cpu' | 'cuda' } : undefined
}

/** The chosen one first, then the default version, then others, newest first; CUDA first unless `device` is 'cpu'. */
function cachedFolders(device: 'auto' | 'cpu' | 'cuda', env: NodeJS.ProcessEnv): string[] {
  const kinds = device === 'cpu' ? (['cpu', 'cuda'] as const) : (['cuda', 'cpu'] as const)
  const others = folderNames(cacheFolder(env))
    .map(parseCached)
    .filter((cached) => cached !== undefined)
    .sort((a, b) => newestFirst(a.version, b.version) || kinds.indexOf(a.device) - kinds.indexOf(b.device))
  const chosen = chosenLibtorch(env)
  const defaults = kinds.map((kind) => ({ version: defaultTorch, device: kind }))
  const all = [...(chosen ? [chosen] : []), ...defaults, ...others]
  return [...new Set(all.map(({ version, device }) => libtorchFolder(version, device, env)))]
}

/** By the three numbers; a pre-release (2.13.0a0) comes after its release. */
function newestFirst(a: string, b: string): number {
  const numbers = (version: string) => version.split('.').slice(0, 3).map(Number.parseFloat)
  const [one, other] = [numbers(a), numbers(b)]
  const differing = one.findIndex((number, index) => number !== other[index])
  return differing >= 0 ? other[differing]! - one[differing]! : a.length - b.length
}

function sitePackages(prefix: string | undefined): string[] {
  if (!prefix) return []
  const pythons = folderNames(join(prefix, 'lib')).filter((name) => /^python3(\.\d+)?$/.test(name))
  return pythons
    .map((name) => join(prefix, 'lib', name, 'site-packages'))
    .filter((path) => existsSync(join(path, 'torch')))
}

/** None where there is no folder, or where it may not be read: then nothing in it can be used either. */
function folderNames(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].some((code) => hasCode(error, code))) return []
    throw error
  }
}

function inspect(source: LibtorchSource, path: string, { minors, device }: FindOptions): LibtorchCandidate {
  const candidate: LibtorchCandidate = { source, path, cuda: false, taken: false, reason: '' }
  try {
    if (!existsSync(path)) return { ...candidate, reason: whyAbsent(path) }
    const lib = [join(path, 'torch', 'lib'), join(path, 'lib'), path].find((it) =>
      existsSync(join(it, 'libtorch_cpu.so')),
    )
    if (!lib) return { ...candidate, reason: 'holds no libtorch_cpu.so in torch/lib, lib or itself' }
    candidate.lib = lib
    candidate.cuda = existsSync(join(lib, 'libtorch_cuda.so'))
    const version = readVersion(lib)
    if (version) candidate.version = version
    if (!existsSync(join(lib, 'libc10.so'))) return { ...candidate, reason: 'holds no libc10.so' }
    if (device === 'cuda' && !candidate.cuda) return { ...candidate, reason: 'holds no libtorch_cuda.so' }
    if (minors && version && !minors.includes(minorOf(version))) {
      return { ...candidate, reason: `is torch ${version}; the core is built for ${minors.join(', ') || 'none'}` }
    }
    return { ...candidate, taken: true, reason: version ? `torch ${version}` : 'usable' }
  } catch (error) {
    return { ...candidate, taken: false, reason: messageOf(error) }
  }
}

function whyAbsent(path: string): string {
  try {
    statSync(path)
    return 'does not exist'
  } catch (error) {
    return hasCode(error, 'EACCES') ? 'may not be read' : 'does not exist'
  }
}

/** "2.11" of "2.11.0+cu130". */
export function minorOf(version: string): string {
  return version.split('.').slice(0, 2).join('.')
}

/** From torch/version.py (wheels), build-version (archives) or the headers; undefined where none of them is there. */
function readVersion(lib: string): string | undefined {
  const root = resolve(lib, '..')
  const python = readIfThere(join(root, 'version.py'))
  const fromPython = python && /^__version__\s*=\s*['"]([^'"]+)['"]/m.exec(python)?.[1]
  if (fromPython) return fromPython
  const archive = readIfThere(join(root, 'build-version'))?.trim()
  if (archive) return archive
  for (const header of ['torch/headeronly/version.h', 'torch/csrc/api/include/torch/version.h']) {
    const text = readIfThere(join(root, 'include', header))
    const parts = ['MAJOR', 'MINOR', 'PATCH'].map(
      (part) => text && new RegExp(`TORCH_VERSION_${part} (\\d+)`).exec(text)?.[1],
    )
    if (parts.every(Boolean)) return parts.join('.')
  }
  return undefined
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}
