// Providing NVIDIA's compiler and headers in the cache: the wheels that nvcc is spread over, of which the wanted members
// are unpacked. Needed only to build the kernels for GPUs; nothing of it is opened at run time.
import { chmod, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder, toolkitFolder } from '../paths.js'
import { WheelFetcher } from './fetch.js'
import { install } from './install.js'
import type { Provided, ProvideOptions } from './libtorch.js'
import type { WheelSpec } from './pip.js'

/** CUDA 13.0, which torch 2.11 is built with: what is compiled by it runs with every runtime of CUDA 13. */
const version = '13.0.88'
const wheels: WheelSpec[] = [
  { name: 'nvidia-cuda-nvcc', version },
  { name: 'nvidia-nvvm', version },
  { name: 'nvidia-cuda-crt', version },
  { name: 'nvidia-cuda-runtime', version: '13.0.96' },
  { name: 'nvidia-cuda-cccl', version: '13.0.85' },
]

/** Wheels lose the permission to be run when they are unpacked. */
const program = /^(bin\/(nvcc|cudafe\+\+|ptxas|fatbinary|bin2c)|nvvm\/bin\/cicc)$/

/**
 * Where a member of the wheels goes: into the layout of a CUDA toolkit. The linker for device code, static libraries and
 * the compiler as a library, half of all bytes, are of no use here.
 */
export function toolkitPlace(member: string): string | undefined {
  const path = /^nvidia\/[^/]+\/(.+)$/.exec(member)?.[1]
  if (!path) return undefined
  const wanted =
    program.test(path) ||
    path === 'bin/nvcc.profile' ||
    /^(bin\/crt|include|nvvm\/libdevice)\//.test(path) ||
    /^lib\/libcudart\.so[.\d]*$/.test(path)
  return wanted ? path : undefined
}

/**
 * Makes sure that nvcc and the headers are in the cache.
 * @returns its folder, which holds bin/nvcc, include and lib as a CUDA toolkit does
 * @throws what provideLibtorch throws for downloads
 */
export async function provideToolkit(options: ProvideOptions = {}): Promise<Provided> {
  const env = options.env ?? process.env
  const folder = toolkitFolder(version, env)
  const downloads = join(cacheFolder(env), 'downloads', `cuda-toolkit-${version}`)
  const { created, manifest } = await install(folder, {
    ...options,
    build: async (temporary) => {
      const fetcher = new WheelFetcher({ ...options, downloads, env })
      const files = await fetcher.unpack(`unpacking nvcc ${version}`, wheels, temporary, toolkitPlace)
      for (const { path } of files) if (program.test(path)) await chmod(join(temporary, path), 0o755)
      return { source: wheels.map(({ name, version }) => `${name} ${version}`).join(', '), version, files }
    },
    done: () => rm(downloads, { recursive: true, force: true }),
  })
  return { folder, version: manifest.version, created, source: manifest.source }
}
