// Downloading one wheel with whichever pip this machine has. Nothing is installed into any Python.
import type { Dirent } from 'node:fs'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BtError, hasCode } from '../errors.js'
import type { OnProgress } from '../progress.js'
import { run } from './run.js'

export interface Pip {
  command: string
  /** Arguments before pip's own: ["-m", "pip"]. */
  args: string[]
  /** "23.2.1" */
  version: string
}

/** One wheel by name and exact version; "13.0.96.*" as in requirements is an exact one too. */
export interface WheelSpec {
  name: string
  version: string
  /** The file that the user named: this one and no other of its name and version. */
  path?: string
}

const candidates: [string, string[]][] = [
  ['python3', ['-m', 'pip']],
  ['pip3', []],
  ['python', ['-m', 'pip']],
  ['/usr/bin/python3', ['-m', 'pip']], // an active environment may have been made without pip (uv)
]

/**
 * The first pip that answers.
 * @throws {BtError} BT_PIP_MISSING
 */
export async function findPip(env: NodeJS.ProcessEnv = process.env, known = candidates): Promise<Pip> {
  for (const [command, args] of known) {
    const version = await pipVersion(command, args, env)
    if (version) return { command, args, version }
  }
  throw new BtError('BT_PIP_MISSING', 'no pip was found (tried python3 -m pip, pip3 and python -m pip)', {
    remedy: 'Install it with: sudo apt-get install -y python3-pip',
  })
}

async function pipVersion(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<string | undefined> {
  try {
    const { code, output } = await run(command, [...args, '--version'], { env })
    return code === 0 ? /^pip (\S+)/m.exec(output)?.[1] : undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'EACCES')) return undefined // no such program: the next one may do
    throw error
  }
}

/**
 * Platform tags for Linux on this processor, newest first. torch is built for 2.28; NVIDIA's wheels carry older tags
 * of many kinds, and pip takes --platform literally.
 */
export function platformTags(arch: string = process.arch): string[] {
  const machine = arch === 'arm64' ? 'aarch64' : 'x86_64'
  const tags = Array.from({ length: 12 }, (_, index) => `manylinux_2_${28 - index}_${machine}`)
  return [...tags, `manylinux2014_${machine}`]
}

export interface DownloadOptions {
  /** Where the wheel is to lie. */
  folder: string
  /** Folders searched beside the index. */
  findLinks?: string[]
  platforms?: string[]
  env?: NodeJS.ProcessEnv
  onProgress?: OnProgress
  signal?: AbortSignal
}

/**
 * Arguments of `pip download` for one wheel. The Python version is fixed, so that any Python 3 fetches the same file.
 * pip's own cache is left out: it would hold half a gigabyte in memory and keep a second copy on the disk.
 */
export function downloadArguments(spec: WheelSpec, options: DownloadOptions): string[] {
  return [
    'download',
    '--no-deps',
    '--only-binary=:all:',
    '--python-version=3.12',
    ...(options.platforms ?? platformTags()).map((tag) => `--platform=${tag}`),
    '--no-cache-dir',
    '--no-input',
    '--disable-pip-version-check',
    '--progress-bar=off',
    ...(options.findLinks ?? []).map((folder) => `--find-links=${folder}`),
    `--dest=${options.folder}`,
    `${spec.name}==${spec.version}`,
  ]
}

/**
 * Downloads one wheel into `options.folder`. pip checks it against the index's hash and moves it there when complete.
 * @returns the wheel's path
 * @throws {BtError} BT_VERSION_UNKNOWN, BT_DISK_FULL or BT_DOWNLOAD, with the end of what pip said
 */
export async function downloadWheel(pip: Pip, spec: WheelSpec, options: DownloadOptions): Promise<string> {
  const temporary = join(options.folder, 'pip.tmp') // same disk as the target: pip's last move is then a rename
  await rm(temporary, { recursive: true, force: true })
  await mkdir(temporary, { recursive: true })
  const watch = watchDownload(
    `downloading ${spec.name} ${spec.version.replace(/\.\*$/, '')}`,
    temporary,
    options.onProgress,
  )
  try {
    const result = await run(pip.command, [...pip.args, ...downloadArguments(spec, options)], {
      env: pipEnvironment(temporary, options.env ?? process.env),
      onLine: watch.line,
      signal: options.signal,
    })
    if (result.code !== 0) throw downloadError(spec, result.output, options.folder)
  } finally {
    watch.stop()
    await rm(temporary, { recursive: true, force: true })
  }
  const path = await findWheel(spec, [options.folder])
  if (path) return path
  throw new BtError(
    'BT_DOWNLOAD',
    `pip said nothing wrong, but ${spec.name} ${spec.version} is not in ${options.folder}`,
  )
}

function pipEnvironment(temporary: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return {
    ...env,
    TMPDIR: temporary,
    PYTHONUNBUFFERED: '1', // lines as they come, for the progress
    PIP_REQUIRE_VIRTUALENV: '0', // nothing is installed, so a rule about where to install does not apply
    LC_ALL: 'C.UTF-8',
  }
}

/**
 * Reports the bytes that pip has written so far. pip 23 has no machine-readable progress, but says the size first
 * ("Downloading torch-2.11.0-....whl (530.7 MB)") and writes into its temporary folder.
 */
function watchDownload(label: string, folder: string, onProgress: OnProgress | undefined) {
  if (!onProgress) return { line: undefined, stop: () => {} }
  let total: number | undefined
  let busy = false
  onProgress({ label, done: 0, unit: 'bytes' })
  const timer = setInterval(async () => {
    if (busy) return
    busy = true
    const done = await folderSize(folder)
    if (done > 0) onProgress({ label, done: Math.min(done, total ?? done), total, unit: 'bytes' })
    busy = false
  }, 250)
  return {
    line: (line: string) => {
      const size = /^\s*Downloading .*\.whl.* \(([\d.]+) (bytes|kB|MB|GB)\)/.exec(line)
      if (size) total = Number(size[1]) * { bytes: 1, kB: 1e3, MB: 1e6, GB: 1e9 }[size[2] as 'kB']!
    },
    stop: () => clearInterval(timer),
  }
}

/** Bytes of all files under `folder`; what vanishes meanwhile or may not be read counts nothing. */
export async function folderSize(folder: string): Promise<number> {
  let entries: Dirent[]
  try {
    entries = await readdir(folder, { withFileTypes: true, recursive: true })
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].some((code) => hasCode(error, code))) return 0
    throw error
  }
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => {
      try {
        return (await stat(join(entry.parentPath, entry.name))).size
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return 0
        throw error
      }
    })
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

/**
 * A wheel of this name and version in one of `folders`, by its file name alone.
 * Names are compared as PEP 503 says; "13.0.96.*" fits 13.0.96 and 13.0.96.1; a local part ("+cpu") is not compared.
 */
export async function findWheel(spec: WheelSpec, folders: string[]): Promise<string | undefined> {
  for (const folder of folders) {
    for (const file of await wheelsIn(folder)) {
      const found = parseWheelName(file)
      if (found && found.name === normalizeName(spec.name) && versionFits(found.version, spec.version)) {
        return join(folder, file)
      }
    }
  }
  return undefined
}

async function wheelsIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((file) => file.endsWith('.whl')).sort()
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

/** "torch-2.11.0+cpu-cp312-cp312-linux_x86_64.whl" -> torch, 2.11.0+cpu. */
export function parseWheelName(file: string): WheelSpec | undefined {
  const match = /^([^-]+)-([^-]+)(-[^-]+)?-[^-]+-[^-]+-[^-]+\.whl$/.exec(file)
  return match ? { name: normalizeName(match[1]!), version: match[2]! } : undefined
}

/** PEP 503: case, "-", "_" and "." do not distinguish names. */
export function normalizeName(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, '-')
}

/** Whether `version` is the one that `wanted` ("2.11.0", "13.0.96.*") names. */
export function versionFits(version: string, wanted: string): boolean {
  const plain = version.split('+')[0]!
  if (!wanted.endsWith('.*')) return version === wanted || plain === wanted
  const prefix = wanted.slice(0, -2)
  return plain === prefix || plain.startsWith(`${prefix}.`)
}

/** What pip's output says went wrong, as an error a user can act on. */
function downloadError(spec: WheelSpec, output: string, folder: string): BtError {
  const what = `${spec.name} ${spec.version}`
  const lines = output.split(/\r?\n/).filter((line) => line.trim() !== '')
  const said = lines.filter((line) => /error/i.test(line)).slice(-3)
  const tail = (said.length ? said : lines.slice(-3)).map((line) => line.slice(0, 600)).join('\n')
  if (/No space left on device|Disk quota exceeded/i.test(output)) {
    return new BtError('BT_DISK_FULL', `${folder}: no space left on the disk while downloading ${what}`, {
      remedy: 'Free some space, or set BT_NATIVE_CACHE to a folder on another disk; then run the same command again.',
    })
  }
  const network =
    /NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Connection (refused|reset|aborted|broken)|Temporary failure in name resolution|Network is unreachable/i
  if (/No matching distribution found/i.test(output) && !network.test(output)) {
    const versions = /from versions: ([^)]*)\)/.exec(output)?.[1]
    const known = versions && versions !== 'none' ? ` It has: ${versions}.` : ''
    return new BtError('BT_VERSION_UNKNOWN', `pip found no wheel of ${what} for this machine.${known}`, {
      remedy: 'Choose a version that the index has, or give a local wheel or folder with --from.',
    })
  }
  return new BtError('BT_DOWNLOAD', `pip could not download ${what}:\n${tail}`, {
    remedy:
      "Check the network and pip's index settings (pip config list), then run the same command again: wheels already complete are kept.",
  })
}
