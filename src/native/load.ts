// Opens the two native files and libtorch, once in a thread of JavaScript, when they are first needed.
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import type { Core, Loader } from '../../binding.js'
import { BtError, messageOf } from '../errors.js'
import { packageRoot } from '../paths.js'
import { findLibtorch, type LibtorchCandidate, minorOf } from './find.js'

const require = createRequire(import.meta.url)
const setupRemedy = 'Run: npx bt-native setup   (npx bt-native doctor tells what was found)'

export interface LoadOptions {
  device?: 'auto' | 'cpu' | 'cuda'
  /** Folder of libtorch, before all others. */
  libtorch?: string
}

/** What is open in this process. */
export interface Loaded {
  core: Core
  /** Path of bt_native.node. */
  addon: string
  /** Path of libbt_core-MINOR.so. */
  corePath: string
  libtorch: LibtorchCandidate
  /** "2.11": what the open libtorch says of itself. */
  torch: string
  /** Why libtorch_cuda was there and could not be opened; undefined when it was opened or not wanted. */
  cudaProblem?: string
}

let loader: { loader: Loader; path: string } | undefined
let loaded: Loaded | undefined

/**
 * bt_native.node: BT_NATIVE_ADDON, the package's build folder, or its prebuilds.
 * @throws {BtError} BT_ADDON_NOT_FOUND, with the places and the reason
 */
export function loadLoader(): { loader: Loader; path: string } {
  if (loader) return loader
  const path = addonPath()
  try {
    loader = { loader: require(path) as Loader, path }
  } catch (error) {
    throw new BtError('BT_ADDON_NOT_FOUND', `${path}: could not be opened: ${messageOf(error)}`, {
      remedy: 'Build it again: npm run build:native',
      cause: error,
    })
  }
  return loader
}

/** Path of bt_native.node. @throws {BtError} BT_ADDON_NOT_FOUND */
export function addonPath(env: NodeJS.ProcessEnv = process.env): string {
  if (env.BT_NATIVE_ADDON) {
    const path = resolve(env.BT_NATIVE_ADDON)
    if (existsSync(path)) return path
    throw new BtError('BT_ADDON_NOT_FOUND', `BT_NATIVE_ADDON: ${path} does not exist`, {
      remedy: 'Point BT_NATIVE_ADDON at bt_native.node, or unset it.',
    })
  }
  try {
    const { resolve: find } = require('node-gyp-build') as { resolve(folder: string): string }
    return find(packageRoot)
  } catch (error) {
    throw new BtError(
      'BT_ADDON_NOT_FOUND',
      `bt_native.node was found neither in ${join(packageRoot, 'build/Release')} nor in ${join(packageRoot, 'prebuilds')}`,
      { remedy: `Build it: npm run build:native, or ${setupRemedy}`, cause: error },
    )
  }
}

/** Torch versions ("2.11") for which a core lies beside the addon. */
export function coreMinors(addon: string): string[] {
  return readdirSync(dirname(addon))
    .map((name) => /^libbt_core-(\d+\.\d+)\.so$/.exec(name)?.[1])
    .filter((minor) => minor !== undefined)
    .sort(
      (a, b) => Number(b.split('.')[0]) - Number(a.split('.')[0]) || Number(b.split('.')[1]) - Number(a.split('.')[1]),
    )
}

/**
 * Opens libtorch and the core; later calls return what is open, with libtorch_cuda added when `device` asks for it.
 * @throws {BtError} BT_ADDON_NOT_FOUND, BT_LIBTORCH_NOT_FOUND (with every place looked in), BT_TORCH_VERSION,
 *   BT_LIBRARY (with dlerror()), BT_CUDA
 */
export function loadCore(options: LoadOptions = {}): Loaded {
  if (loaded) return again(loaded, options)
  const { loader, path: addon } = loadLoader()
  const minors = coreMinors(addon)
  if (minors.length === 0) {
    throw new BtError('BT_ADDON_NOT_FOUND', `${dirname(addon)}: holds no libbt_core-VERSION.so`, {
      remedy: 'Build it: npm run build:native',
    })
  }
  const candidates = findLibtorch({ ...options, minors })
  const libtorch = candidates.find((candidate) => candidate.taken)
  if (!libtorch?.lib) throw notFound(candidates, minors)
  const { torch, cudaProblem } = openLibtorch(loader, libtorch, options.device ?? 'auto')
  const corePath = join(dirname(addon), `libbt_core-${torch}.so`)
  if (!minors.includes(torch)) {
    throw new BtError(
      'BT_TORCH_VERSION',
      `${libtorch.path}: is torch ${torch}; there is a core for ${minors.join(', ')}`,
      {
        remedy: `${setupRemedy}, or build a core for it: npm run build:native`,
      },
    )
  }
  const core = native(() => loader.openCore(corePath), setupRemedy)
  loaded = { core, addon, corePath, libtorch, torch, ...(cudaProblem !== undefined && { cudaProblem }) }
  return loaded
}

/** What is open in this process, if anything is. */
export function loadedCore(): Loaded | undefined {
  return loaded
}

function openLibtorch(
  loader: Loader,
  libtorch: LibtorchCandidate,
  device: 'auto' | 'cpu' | 'cuda',
): { torch: string; cudaProblem?: string } {
  const lib = libtorch.lib!
  const torch = native(
    () => loader.openLibraries([join(lib, 'libc10.so'), join(lib, 'libtorch_cpu.so')]),
    `The libraries of ${libtorch.path} do not open. ${setupRemedy}`,
  )
  // Before the core asks for CUDA for the first time, since libtorch keeps its first answer; so also for a runtime on the
  // CPU, which another one on the GPU may follow.
  if (!libtorch.cuda || (device !== 'cuda' && !driverPresent())) return { torch }
  try {
    loader.openLibraries([join(lib, 'libtorch_cuda.so')])
    return { torch }
  } catch (error) {
    if (device === 'cuda') throw asBtError(error, `libtorch_cuda does not open. ${setupRemedy}`)
    return { torch, cudaProblem: messageOf(error) } // 'auto' goes on without; doctor shows why
  }
}

/** Whether NVIDIA's kernel driver is loaded (or WSL's stands in for it). */
export function driverPresent(): boolean {
  return existsSync('/proc/driver/nvidia/version') || existsSync('/dev/dxg')
}

function again(open: Loaded, options: LoadOptions): Loaded {
  if (options.libtorch !== undefined) {
    const wanted = findLibtorch({ libtorch: options.libtorch })[0]
    if (wanted?.lib !== open.libtorch.lib) {
      throw new BtError('BT_LIBRARY', `${options.libtorch}: this process already uses ${open.libtorch.path}`, {
        remedy: 'A process can hold one libtorch: start another process for another one.',
      })
    }
  }
  if (options.device === 'cuda' && open.libtorch.cuda) {
    native(() => loadLoader().loader.openLibraries([join(open.libtorch.lib!, 'libtorch_cuda.so')]), setupRemedy)
  }
  return open
}

function notFound(candidates: LibtorchCandidate[], minors: string[]): BtError {
  const tried = candidates.map((it) => `  ${it.source}: ${it.path}: ${it.reason}`)
  const otherVersion = candidates.some((it) => it.version && !minors.includes(minorOf(it.version)))
  const unset = ['BT_NATIVE_LIBTORCH', 'VIRTUAL_ENV', 'CONDA_PREFIX', 'LIBTORCH'].filter((name) => !process.env[name])
  const rest = unset.length > 0 ? `\n  not set: ${unset.join(', ')}` : ''
  if (otherVersion) {
    return new BtError(
      'BT_TORCH_VERSION',
      `no usable libtorch of a version that the core is built for (${minors.join(', ')}); looked in order:\n${tried.join('\n')}${rest}`,
      { remedy: setupRemedy },
    )
  }
  return new BtError('BT_LIBTORCH_NOT_FOUND', `libtorch was not found; looked in order:\n${tried.join('\n')}${rest}`, {
    remedy: setupRemedy,
  })
}

/** Runs a native call, with its errors as BtError. */
export function native<T>(call: () => T, remedy?: string): T {
  try {
    return call()
  } catch (error) {
    throw asBtError(error, remedy)
  }
}

const remedies: Record<string, string> = {
  BT_OUT_OF_MEMORY: 'Use smaller batches, shorter rows or fewer sequences at a time, or a machine with more memory.',
  BT_TENSOR_OUT_OF_RANGE: 'The file is shorter than its table says: download or copy it again.',
}

/** An error of the native side as a BtError with the same code; one that has no code as BT_NATIVE. */
export function asBtError(error: unknown, remedy?: string): BtError {
  if (error instanceof BtError) return error
  const raw = typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined
  const code = typeof raw === 'string' && raw.startsWith('BT_') ? raw : 'BT_NATIVE'
  return new BtError(code, messageOf(error), { remedy: remedy ?? remedies[code], cause: error })
}
