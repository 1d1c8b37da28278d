// Building the kernels for GPUs, libbt_cuda-MINOR.so, beside the core. No GPU is needed for that.
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { writeFileAtomic } from '../files.js'
import { minorOf } from '../native/find.js'
import { findCores } from '../native/locate.js'
import { packageRoot } from '../paths.js'
import {
  type BuildOptions,
  buildFolder,
  buildLock,
  checkBuildTools,
  compile,
  filesUnder,
  hashOf,
  isCheckout,
  readIfThere,
} from './build.js'
import type { ProvideOptions } from './libtorch.js'
import { withLock } from './lock.js'
import { provideToolkit } from './toolkit.js'

export interface BuildCudaOptions extends BuildOptions {
  /** A CUDA toolkit: holds bin/nvcc, include and lib. */
  toolkit: string
}

export interface BuiltCuda {
  library: string
  /** false when the sources had not changed since the last build. */
  built: boolean
}

/**
 * Makes sure that the kernels for this torch are built.
 * @throws {BtError} BT_BUILD_TOOLS naming what is missing and how to install it; BT_BUILD_FAILED with the compiler's errors
 */
export async function buildCuda(options: BuildCudaOptions): Promise<BuiltCuda> {
  const minor = minorOf(options.version)
  const library = join(buildFolder, `libbt_cuda-${minor}.so`)
  const stamp = join(packageRoot, 'build', `bt_cuda-${minor}.sources`)
  const hash = () => sourceHash(options)
  const isBuilt = async () => existsSync(library) && (await readIfThere(stamp)) === (await hash())
  if (!options.force && (await isBuilt())) return { library, built: false }
  await checkBuildTools(options.env)
  return withLock(buildLock, options, async () => {
    if (!options.force && (await isBuilt())) return { library, built: false }
    const before = await hash() // a file edited while compiling is built next time
    await rm(stamp, { force: true })
    await compile(options, {
      definitions: [`BT_LIBTORCH=${resolve(options.libtorch)}`, `BT_CUDA=${resolve(options.toolkit)}`],
      target: 'bt_cuda',
      makes: library,
      label: `compiling the kernels for GPUs, torch ${minor}`,
    })
    await writeFileAtomic(stamp, before)
    return { library, built: true }
  })
}

/**
 * Makes sure that there are kernels for this torch: packed ones in an installed package, else built, for which nvcc and
 * CUDA's headers are provided.
 * @returns undefined for a libtorch without CUDA 13, which the kernels are compiled for
 * @throws what provideToolkit and buildCuda throw
 */
export async function provideKernels(options: BuildOptions & ProvideOptions): Promise<BuiltCuda | undefined> {
  if (!existsSync(join(options.libtorch, 'nvidia', 'cu13'))) return undefined
  const packed = options.force || isCheckout() ? undefined : packedKernels(options.version)
  if (packed) return { library: packed, built: false }
  const { folder } = await provideToolkit(options)
  return buildCuda({ ...options, toolkit: folder })
}

/** The packed kernels for this torch, where they lie beside the core that is opened: only there they are looked for. */
function packedKernels(version: string): string | undefined {
  const core = findCores().find(({ minor }) => minor === minorOf(version))
  const library = core && join(dirname(core.path), `libbt_cuda-${core.minor}.so`)
  return library && existsSync(library) ? library : undefined
}

/** What is compiled, and with what. */
async function sourceHash(options: BuildCudaOptions): Promise<string> {
  const shared = ['element.h', 'random.h'].map((name) => join('native', 'kernels', name))
  const files = ['CMakeLists.txt', join('cmake', 'cuda.cmake'), join('native', 'glibc.h'), ...shared]
  return hashOf([...files, ...(await filesUnder(join('native', 'cuda')))], [options.version, resolve(options.toolkit)])
}
