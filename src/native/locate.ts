// Where this package's own native files lie: bt_native.node (the loader), one core for each minor version of torch, and
// the kernels for GPUs beside it. Looks, and opens nothing.
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { packageRoot } from '../paths.js'

export interface NativePlace {
  /** Named by BT_NATIVE_ADDON, built here from source, or packed with the package. */
  kind: 'named' | 'built' | 'prebuilt'
  /** Where its bt_native.node is or would be. */
  loader: string
}

/** A core for one minor version of torch. */
export interface FoundCore {
  /** "2.11" */
  minor: string
  /** Path of libbt_core-MINOR.so. */
  path: string
  kind: NativePlace['kind']
}

/**
 * The places that are looked in, in order: the file that BT_NATIVE_ADDON names and no other; else build/Release, then
 * prebuilds/. What was built here comes first, because it was built for this machine or from these sources.
 */
export function nativePlaces(env: NodeJS.ProcessEnv = process.env, root = packageRoot): NativePlace[] {
  if (env.BT_NATIVE_ADDON) return [{ kind: 'named', loader: resolve(env.BT_NATIVE_ADDON) }]
  return [
    { kind: 'built', loader: join(root, 'build', 'Release', 'bt_native.node') },
    { kind: 'prebuilt', loader: join(root, 'prebuilds', 'linux-x64', 'bt-native.glibc.node') },
  ]
}

/** The first place that holds a loader. */
export function findLoader(env?: NodeJS.ProcessEnv, root?: string): NativePlace | undefined {
  return nativePlaces(env, root).find(({ loader }) => existsSync(loader))
}

/**
 * The cores of all places, newest torch first; of two for the same torch, the one of the first place. So a core that was
 * built here for another torch stands beside those that were packed.
 */
export function findCores(env?: NodeJS.ProcessEnv, root?: string): FoundCore[] {
  const cores = new Map<string, FoundCore>()
  for (const { kind, loader } of nativePlaces(env, root)) {
    const folder = dirname(loader)
    for (const minor of minorsIn(folder)) {
      if (!cores.has(minor)) cores.set(minor, { minor, path: join(folder, `libbt_core-${minor}.so`), kind })
    }
  }
  return [...cores.values()].sort((a, b) => newestFirst(a.minor, b.minor))
}

/** Versions of torch ("2.11") for which there is a core, newest first. */
export function coreMinors(env?: NodeJS.ProcessEnv, root?: string): string[] {
  return findCores(env, root).map(({ minor }) => minor)
}

function minorsIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .map((name) => /^libbt_core-(\d+\.\d+)\.so$/.exec(name)?.[1])
    .filter((minor) => minor !== undefined)
}

function newestFirst(a: string, b: string): number {
  const [one, other] = [a, b].map((minor) => minor.split('.').map(Number))
  return other![0]! - one![0]! || other![1]! - one![1]!
}
