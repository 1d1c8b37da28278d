// Opens the two native files and libtorch, once in a thread of JavaScript, when they are first needed.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Core, Loader } from '../../binding.js'
import { BtError, messageOf } from '../errors.js'
import { findLibtorch, type LibtorchCandidate } from './find.js'
import { coreDoesNotOpen, libtorchDoesNotOpen, noCore, noLibtorch, noLoader, otherTorch } from './load-errors.js'
import { findCores, findLoader } from './locate.js'

const require = createRequire(import.meta.url)

/** Which libtorch is opened, and whether with CUDA. */
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
 * bt_native.node: what BT_NATIVE_ADDON names, else the one in build/Release, else the one in prebuilds/. The first that
 * is there is opened.
 * @throws {BtError} BT_ADDON_NOT_FOUND, with every place, the system's words and what to do
 */
export function loadLoader(): { loader: Loader; path: string } {
  if (loader) return loader
  const path = addonPath()
  try {
    loader = { loader: require(path) as Loader, path }
  } catch (error) {
    throw noLoader({ opened: path, error })
  }
  return loader
}

/** Path of bt_native.node. @throws {BtError} BT_ADDON_NOT_FOUND */
export function addonPath(env: NodeJS.ProcessEnv = process.env): string {
  const found = findLoader(env)
  if (!found) throw noLoader({ env })
  return found.loader
}

/**
 * Opens libtorch and the core; later calls return what is open, with libtorch_cuda added when `device` asks for it.
 * @throws {BtError} BT_ADDON_NOT_FOUND, BT_LIBTORCH_NOT_FOUND (with every place looked in), BT_TORCH_VERSION,
 *   BT_LIBRARY (with dlerror()), BT_CUDA
 */
export function loadCore(options: LoadOptions = {}): Loaded {
  if (loaded) return again(loaded, options)
  const { loader, path: addon } = loadLoader()
  const cores = findCores()
  if (cores.length === 0) throw noCore()
  const minors = cores.map(({ minor }) => minor)
  const candidates = findLibtorch({ ...options, minors })
  const libtorch = candidates.find((candidate) => candidate.taken)
  if (!libtorch?.lib) throw noLibtorch(candidates, minors, options.device)
  const { torch, cudaProblem } = openLibtorch(loader, libtorch, candidates, options.device ?? 'auto')
  const corePath = cores.find(({ minor }) => minor === torch)?.path
  if (!corePath) throw otherTorch(libtorch, torch, minors)
  const core = attempt(
    () => loader.openCore(corePath),
    (error) => coreDoesNotOpen(error, libtorch),
  )
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
  candidates: LibtorchCandidate[],
  device: 'auto' | 'cpu' | 'cuda',
): { torch: string; cudaProblem?: string } {
  const lib = libtorch.lib!
  const torch = attempt(
    () => loader.openLibraries([join(lib, 'libc10.so'), join(lib, 'libtorch_cpu.so')]),
    (error) => libtorchDoesNotOpen(error, libtorch, candidates),
  )
  // Before the core asks for CUDA for the first time, since libtorch keeps its first answer; so also for a runtime on the
  // CPU, which another one on the GPU may follow.
  if (!libtorch.cuda || (device !== 'cuda' && !driverPresent())) return { torch }
  try {
    loader.openLibraries([join(lib, 'libtorch_cuda.so')])
    return { torch }
  } catch (error) {
    if (device === 'cuda') throw libtorchDoesNotOpen(error, libtorch, candidates)
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
    attempt(
      () => loadLoader().loader.openLibraries([join(open.libtorch.lib!, 'libtorch_cuda.so')]),
      (error) => libtorchDoesNotOpen(error, open.libtorch, []),
    )
  }
  return open
}

function attempt<T>(call: () => T, wordError: (error: unknown) => BtError): T {
  try {
    return call()
  } catch (error) {
    throw wordError(error)
  }
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
