// Using a libtorch that is already on this machine: finding it inside what the user named, and linking to it.
import { readdir, readFile, realpath, stat, symlink } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { BtError, hasCode } from '../errors.js'
import { sha256File } from '../files.js'
import type { Manifest } from './install.js'
import type { UnpackedFile } from './wheel.js'

export interface Located {
  /** Holds lib/libtorch_cpu.so and include/. */
  torch: string
  /** NVIDIA's libraries beside it, where there are any. */
  nvidia: string | undefined
  /** Without a local part: "2.11.0". */
  version: string
}

/**
 * Finds torch in `from`: a libtorch folder (lib, include), a torch package, a site-packages folder, a Python
 * environment, or a folder that `bt-native setup` made.
 * @throws {BtError} BT_NOT_LIBTORCH
 */
export async function locateLibtorch(from: string): Promise<Located> {
  const root = resolve(from)
  const environments = await pythonFolders(root)
  for (const candidate of [root, join(root, 'torch'), ...environments.map((folder) => join(folder, 'torch'))]) {
    if (!(await isFile(join(candidate, 'lib', 'libtorch_cpu.so')))) continue
    const torch = await realpath(candidate)
    const nvidia = join(torch, '..', 'nvidia')
    return { torch, nvidia: (await isFolder(nvidia)) ? nvidia : undefined, version: await versionOf(torch) }
  }
  throw new BtError(
    'BT_NOT_LIBTORCH',
    `${from}: no libtorch_cpu.so in lib, torch/lib or lib/python3*/site-packages/torch/lib`,
    {
      remedy: 'Name a libtorch folder, a Python environment with torch, or a torch wheel (.whl).',
    },
  )
}

async function pythonFolders(root: string): Promise<string[]> {
  const found: string[] = []
  for (const lib of ['lib', 'lib64']) {
    for (const name of await namesIn(join(root, lib))) {
      if (/^python3/.test(name)) found.push(join(root, lib, name, 'site-packages'))
    }
  }
  return found
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return []
    throw error
  }
}

async function isFile(path: string): Promise<boolean> {
  return (await statOrNothing(path))?.isFile() === true
}

async function isFolder(path: string): Promise<boolean> {
  return (await statOrNothing(path))?.isDirectory() === true
}

async function statOrNothing(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return undefined
    throw error
  }
}

/** From version.py of a package, or build-version of an unpacked libtorch. */
async function versionOf(torch: string): Promise<string> {
  for (const [file, pattern] of [
    ['version.py', /__version__\s*=\s*['"]([^'"+]+)/],
    ['build-version', /^([^\s+]+)/],
  ] as const) {
    try {
      const version = pattern.exec(await readFile(join(torch, file), 'utf8'))?.[1]
      if (version) return version
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error
    }
  }
  throw new BtError('BT_NOT_LIBTORCH', `${torch}: neither version.py nor build-version tells its version`)
}

/**
 * Fills `temporary` with links in place of files. The manifest keeps size and hash of the two libraries, so that an
 * environment that was upgraded or removed meanwhile is noticed.
 * @throws {BtError} BT_NOT_LIBTORCH when CUDA is asked for and this build has none
 */
export async function linkLibtorch(
  temporary: string,
  located: Located,
  device: 'cpu' | 'cuda',
): Promise<Omit<Manifest, 'format' | 'created'>> {
  const libraries = ['libtorch_cpu.so', 'libc10.so']
  if (device === 'cuda') {
    libraries.push('libtorch_cuda.so')
    if (!(await isFile(join(located.torch, 'lib', 'libtorch_cuda.so')))) {
      throw new BtError('BT_NOT_LIBTORCH', `${located.torch} is built for the CPU: no libtorch_cuda.so`, {
        remedy: 'Leave --device cuda out, or name a CUDA build of torch.',
      })
    }
  }
  await symlink(located.torch, join(temporary, 'torch'))
  if (located.nvidia) await symlink(located.nvidia, join(temporary, basename(located.nvidia)))
  const files: UnpackedFile[] = []
  for (const library of libraries) {
    const path = join('torch', 'lib', library)
    files.push({
      path,
      size: (await stat(join(temporary, path))).size,
      sha256: await sha256File(join(temporary, path)),
    })
  }
  return { source: `linked to ${located.torch}`, version: located.version, origin: located.torch, files }
}
