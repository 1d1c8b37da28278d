// Providing libtorch in the cache: from the index through pip, from a local wheel, or linked from a folder that is
// already there. Which libtorch a process then opens is src/native's business.
import { realpath, rm, statfs } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { BtError, hasCode } from '../errors.js'
import { writeFileAtomic } from '../files.js'
import { chosenLibtorch } from '../native/find.js'
import { cacheFolder, chosenLibtorchFile, defaultTorch, libtorchFolder } from '../paths.js'
import type { OnProgress } from '../progress.js'
import { WheelFetcher } from './fetch.js'
import { install, type Manifest, makeCache } from './install.js'
import { linkLibtorch, locateLibtorch } from './link.js'
import { folderSize, type WheelSpec } from './pip.js'
import { cudaToolkit, nvidiaWheels, toolkitWheels } from './requirements.js'
import { readMetadata } from './wheel.js'

export interface ProvideOptions {
  /** Hash every file of what is already there, and make it afresh when one has changed. */
  verify?: boolean
  onProgress?: OnProgress
  /** Told once when another process is doing the same. */
  onWait?: (holder: string) => void
  signal?: AbortSignal
  env?: NodeJS.ProcessEnv
}

export interface ProvideLibtorchOptions extends ProvideOptions {
  /** torch's version, "2.11.0" by default; with `from`, what that must be. */
  version?: string
  device?: 'cpu' | 'cuda'
  /** A folder with libtorch (a Python environment, a torch package, an unpacked libtorch) or a torch wheel. */
  from?: string
}

export interface Provided {
  folder: string
  version: string
  /** false when it was there already. */
  created: boolean
  /** What it was made from, for people. */
  source: string
}

/** Disk space that a set-up needs from nothing, bytes: the wheels and what is unpacked from them. */
const spaceNeeded = { cpu: 1.2e9, cuda: 8e9 }

/**
 * Makes sure that libtorch is in the cache. One that is asked for by version, device or source is from then on opened
 * before others of the cache; without any of these the default is again.
 * @returns its folder, which holds torch/lib, torch/include and nvidia/ as a Python environment does
 * @throws {BtError} BT_PIP_MISSING, BT_VERSION_UNKNOWN, BT_DOWNLOAD, BT_WHEEL_BROKEN, BT_DISK_FULL,
 *   BT_TORCH_VERSION (what `from` holds is another version), BT_NOT_LIBTORCH (`from` holds none)
 */
export async function provideLibtorch(options: ProvideLibtorchOptions = {}): Promise<Provided> {
  const provided = await provide(options)
  const file = chosenLibtorchFile(options.env)
  const chosen = chosenLibtorch(options.env)
  if (!options.version && !options.device && !options.from) await rm(file, { force: true })
  else if (!chosen || libtorchFolder(chosen.version, chosen.device, options.env) !== provided.folder) {
    await makeCache(dirname(file))
    await writeFileAtomic(file, `${basename(provided.folder)}\n`)
  }
  return provided
}

async function provide(options: ProvideLibtorchOptions): Promise<Provided> {
  const env = options.env ?? process.env
  const device = options.device ?? 'cpu'
  if (options.from && extname(options.from) !== '.whl') return fromFolder(options.from, device, options)

  const wheel = options.from ? await torchWheel(options.from, options.version) : undefined
  const version = wheel?.version ?? options.version ?? defaultTorch
  const folder = libtorchFolder(version, device, env)
  const downloads = join(cacheFolder(env), 'downloads', `libtorch-${version}-${device}`)
  const { created, manifest } = await install(folder, {
    ...options,
    accept: (manifest) => wheel === undefined || manifest.origin === wheel.path,
    build: async (temporary) => {
      if (!wheel) await checkSpace(device, downloads, env)
      const fetcher = new WheelFetcher({ ...options, downloads, env, local: wheel && dirname(wheel.path) })
      const built = await fromWheels(temporary, fetcher, { name: 'torch', version, path: wheel?.path }, device)
      return { ...built, version, origin: wheel?.path }
    },
    done: () => rm(downloads, { recursive: true, force: true }),
  })
  return { folder, version: manifest.version, created, source: manifest.source }
}

async function fromFolder(from: string, device: 'cpu' | 'cuda', options: ProvideLibtorchOptions): Promise<Provided> {
  const located = await locateLibtorch(from)
  expectVersion(from, located.version, options.version)
  const folder = libtorchFolder(located.version, device, options.env)
  const { created, manifest } = await install(folder, {
    ...options,
    accept: (manifest) => manifest.origin === located.torch || located.torch === join(folder, 'torch'),
    build: (temporary) => {
      if (located.torch === join(folder, 'torch')) {
        throw new BtError('BT_NOT_LIBTORCH', `${from} is the cache's own folder, and it is damaged`, {
          remedy: 'Run bt-native setup without --from.',
        })
      }
      return linkLibtorch(temporary, located, device)
    },
  })
  return { folder, version: manifest.version, created, source: manifest.source }
}

/** Real path and version of a local torch wheel. */
async function torchWheel(from: string, wanted: string | undefined): Promise<{ path: string; version: string }> {
  const path = await realpath(from).catch((error: unknown) => {
    throw hasCode(error, 'ENOENT') ? new BtError('BT_NOT_LIBTORCH', `${from}: no such file`) : error
  })
  const metadata = await readMetadata(path)
  const name = /^Name:\s*(\S+)/m.exec(metadata)?.[1]
  const version = /^Version:\s*([^\s+]+)/m.exec(metadata)?.[1]
  if (name !== 'torch' || !version) {
    throw new BtError('BT_NOT_LIBTORCH', `${from} is a wheel of ${name ?? 'something unnamed'}, not of torch`)
  }
  expectVersion(from, version, wanted)
  return { path, version }
}

function expectVersion(from: string, found: string, wanted: string | undefined): void {
  if (!wanted || wanted === found) return
  throw new BtError('BT_TORCH_VERSION', `${from} holds torch ${found}, not ${wanted}`, {
    remedy: `Leave --torch out, or give --torch ${found}.`,
  })
}

/** Fetches the wheels one by one, so that a broken download costs one wheel, and unpacks what is wanted of each. */
async function fromWheels(
  temporary: string,
  fetcher: WheelFetcher,
  torch: WheelSpec,
  device: 'cpu' | 'cuda',
): Promise<Pick<Manifest, 'source' | 'files'>> {
  const wheels = [torch]
  const metadata = await fetcher.metadata(torch)
  wheels.push(...nvidiaWheels(metadata, device))
  const toolkit = cudaToolkit(metadata, device)
  if (toolkit && toolkit.extras.length > 0) {
    wheels.push(...toolkitWheels(await fetcher.metadata(toolkit.spec), toolkit.extras))
  }
  for (const spec of wheels) await fetcher.fetch(spec)

  const place = (member: string) => (wanted(member, device) ? member : undefined)
  const files = await fetcher.unpack(`unpacking libtorch ${torch.version}`, wheels, temporary, place)
  for (const needed of ['torch/lib/libtorch_cpu.so', 'torch/lib/libc10.so']) {
    if (files.some((file) => file.path === needed)) continue
    throw new BtError(
      'BT_NOT_LIBTORCH',
      `torch ${torch.version}: the wheel holds no ${needed}, so it is no Linux build`,
    )
  }
  return { source: wheels.map(({ name, version }) => `${name} ${version.replace(/\.\*$/, '')}`).join(', '), files }
}

/** Tells a disk that is too small before half an hour of downloading does. */
async function checkSpace(device: 'cpu' | 'cuda', downloads: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { bavail, bsize } = await statfs(cacheFolder(env))
  const needed = spaceNeeded[device] - (await folderSize(downloads))
  const free = bavail * bsize
  if (free >= needed) return
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`
  throw new BtError(
    'BT_DISK_FULL',
    `${cacheFolder(env)}: setting up libtorch takes about ${gigabytes(needed)}, and ${gigabytes(free)} are free`,
    { remedy: 'Free some space, or set BT_NATIVE_CACHE to a folder on another disk; then run the same command again.' },
  )
}

/**
 * Members worth keeping. The layout stays as it is in a Python environment: libtorch_cpu.so looks for NVIDIA's
 * libraries at $ORIGIN/../../nvidia/....
 */
export function wanted(member: string, device: 'cpu' | 'cuda'): boolean {
  if (member === 'torch/version.py' || member.startsWith('torch/include/') || member.startsWith('torch.libs/'))
    return true
  if (device === 'cpu') {
    return (
      /^torch\/lib\/(libtorch_cpu|libc10|libgomp[^/]*)\.so[.\d]*$/.test(member) ||
      /^nvidia\/.*\/lib(cudart|cupti)\.so[.\d]*$/.test(member)
    )
  }
  if (/^torch\/lib\/libtorch_python\.so/.test(member)) return false
  return /^torch\/lib\/[^/]+\.so[.\d]*$/.test(member) || /^nvidia\/.*\.so[.\d]*$/.test(member)
}
