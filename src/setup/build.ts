// Building the addon from native/ against one libtorch, when there is no build of these sources for it yet.
import { createHash } from 'node:crypto'
import { constants, existsSync } from 'node:fs'
import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { availableParallelism, freemem } from 'node:os'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { BtError, hasCode, messageOf } from '../errors.js'
import { writeFileAtomic } from '../files.js'
import { ranked } from '../native/explain.js'
import { findLibtorch, type LibtorchCandidate, minorOf } from '../native/find.js'
import { coreMinors, type FoundCore, findCores, findLoader } from '../native/locate.js'
import { defaultTorch, packageRoot } from '../paths.js'
import type { OnProgress } from '../progress.js'
import { withLock } from './lock.js'
import { run } from './run.js'
import { installCommand, missingTools } from './tools.js'

export interface BuildOptions {
  /** Folder that holds torch/lib and torch/include, or lib and include. */
  libtorch: string
  /** Its version: "2.11.0". */
  version: string
  /** Build even if nothing has changed. */
  force?: boolean
  /** Why a build is needed, for the error where it cannot be made. */
  reason?: string
  env?: NodeJS.ProcessEnv
  onProgress?: OnProgress
  onWait?: (holder: string) => void
  signal?: AbortSignal
}

export interface Built {
  /** The core library, named after torch's minor version. */
  core: string
  /** false when the sources had not changed since the last build, or when a packed one serves. */
  built: boolean
  /** Why one was needed, where the package holds cores for other versions of torch. */
  reason?: string
}

/**
 * The libtorch that a process would open if there were a core for it.
 * @throws {BtError} BT_LIBTORCH_NOT_FOUND
 */
export function foundLibtorch(): { folder: string; version: string } {
  const candidates = findLibtorch()
  const taken = candidates.find((candidate) => candidate.taken)
  if (taken?.lib && taken.version) return { folder: dirname(taken.lib), version: taken.version.split('+')[0]! }
  const tried = candidates.map((it) => `\n  ${it.source}: ${it.path}: ${it.reason}`).join('')
  throw new BtError('BT_LIBTORCH_NOT_FOUND', `there is no libtorch to build against${tried}`, {
    remedy: 'Run: npx bt-native setup',
  })
}

/**
 * Makes sure that there is a core for this torch. In an installed package the packed one serves; where none fits, and in
 * a checkout of the sources, it is built unless its sources are unchanged.
 * @throws as buildAddon
 */
export async function provideAddon(options: BuildOptions): Promise<Built> {
  const packed = findCores(options.env).filter(({ kind }) => kind !== 'built')
  const fitting = options.force || isCheckout() ? undefined : packedCore(packed, options.version)
  if (fitting) return { core: fitting.path, built: false }
  const reason = whyBuilt(packed, options)
  return { ...(await buildAddon({ ...options, reason })), ...(reason !== undefined && { reason }) }
}

/** Whether this is a checkout of the sources, and not an installed package. */
export function isCheckout(): boolean {
  return existsSync(join(packageRoot, 'src'))
}

/** The packed core for this torch, where there is a loader to open it. */
function packedCore(packed: FoundCore[], version: string): FoundCore | undefined {
  return findLoader() && packed.find(({ minor }) => minor === minorOf(version))
}

function whyBuilt(packed: FoundCore[], { version, force }: BuildOptions): string | undefined {
  const minors = packed.map(({ minor }) => minor)
  if (force || minors.length === 0 || minors.includes(minorOf(version))) return undefined
  return `the package holds cores for torch ${minors.join(', ')}, and none for ${minorOf(version)}`
}

/** Where a process finds libtorch as things are now; while there is no core, any version counts as usable. */
export function libtorchNow(): LibtorchCandidate[] {
  const minors = coreMinors()
  return findLibtorch(minors.length > 0 ? { minors } : {})
}

/** Where cmake-js puts both files. */
export const buildFolder = join(packageRoot, 'build', 'Release')

const coreName = (version: string) => `libbt_core-${minorOf(version)}.so`

/** Path of the core that a build for this torch makes. */
export function builtCore(version: string): string {
  return join(buildFolder, coreName(version))
}

/** Whether the last build for this torch was made from the sources as they are now. */
export async function isBuilt(version: string): Promise<boolean> {
  if (!existsSync(builtCore(version)) || !existsSync(join(buildFolder, 'bt_native.node'))) return false
  return (await readIfThere(stampPath(version))) === (await sourceHash(version))
}

/**
 * Makes sure that bt_native.node and the core for this torch are built.
 * @throws {BtError} BT_BUILD_TOOLS naming what is missing and how to install it; BT_BUILD_FAILED with the compiler's errors;
 *   BT_IO where the package's folder may not be written
 */
export async function buildAddon(options: BuildOptions): Promise<Built> {
  const core = builtCore(options.version)
  if (!options.force && (await isBuilt(options.version))) return { core, built: false }
  await checkBuildTools(options.env, options.reason)
  await checkWritable(options.version)
  return withLock(buildLock, options, async () => {
    if (!options.force && (await isBuilt(options.version))) return { core, built: false }
    const hash = await sourceHash(options.version) // before compiling: a file edited meanwhile is built next time
    await rm(stampPath(options.version), { force: true })
    await compile(options, {
      definitions: [`BT_LIBTORCH=${resolve(options.libtorch)}`],
      makes: core,
      label: `compiling the addon for torch ${minorOf(options.version)}`,
    })
    await writeFileAtomic(stampPath(options.version), hash)
    return { core, built: true }
  })
}

/** One build at a time. Beside build/, which a user may remove at any time. */
export const buildLock = join(packageRoot, '.build.lock')

/** @throws {BtError} BT_IO where the package's folder may not be written, as in many containers */
async function checkWritable(version: string): Promise<void> {
  try {
    await access(packageRoot, constants.W_OK)
  } catch (error) {
    const minors = coreMinors().join(', ')
    throw new BtError(
      'BT_IO',
      `a core for torch ${minorOf(version)} would be built in ${packageRoot}: ${messageOf(error)}`,
      {
        remedy: ranked(
          minors && `npx bt-native setup   provides torch ${defaultTorch}; there are cores for ${minors}.`,
          'Run setup as the user who installed the package.',
        ),
        cause: error,
      },
    )
  }
}

/** @throws {BtError} BT_BUILD_TOOLS naming what is missing and how to install it */
export async function checkBuildTools(env?: NodeJS.ProcessEnv, reason?: string): Promise<void> {
  const missing = await missingTools(undefined, env)
  if (missing.length === 0) return
  throw new BtError(
    'BT_BUILD_TOOLS',
    `building the addon needs ${missing.map((tool) => tool.name).join(', ')}${reason ? `; ${reason}` : ''}`,
    {
      remedy: `Install with: ${installCommand(missing)}`,
    },
  )
}

function stampPath(version: string): string {
  return join(packageRoot, 'build', `bt_core-${minorOf(version)}.sources`)
}

/** SHA-256 over everything that decides what is built: sources, build file, headers' versions, torch, processor. */
async function sourceHash(version: string): Promise<string> {
  const require = createRequire(import.meta.url)
  const versions = []
  for (const name of ['node-addon-api', 'node-api-headers', 'cmake-js']) {
    const manifest = JSON.parse(await readFile(packageFile(require, name), 'utf8')) as { version: string }
    versions.push(`${name} ${manifest.version}`)
  }
  return hashOf(['CMakeLists.txt', ...(await filesUnder('native'))], [...versions, version, process.arch])
}

/** Files under a folder of the package, relative to the package. */
export async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(join(packageRoot, folder), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(packageRoot, join(entry.parentPath, entry.name)))
    .sort()
}

/** SHA-256 over files of the package, with their names, and `facts`. */
export async function hashOf(files: string[], facts: string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const file of files) {
    hash
      .update(`${file}\0`)
      .update(await readFile(join(packageRoot, file)))
      .update('\0')
  }
  return hash.update(facts.join('\0')).digest('hex')
}

/** package.json of a dependency; resolved through its entry point where "exports" hides the file. */
function packageFile(require: NodeRequire, name: string): string {
  for (const folder of require.resolve.paths(name) ?? []) {
    const file = join(folder, name, 'package.json')
    if (existsSync(file)) return file
  }
  throw new BtError('BT_BUILD_TOOLS', `the npm package ${name} is not installed`, { remedy: 'Run: npm install' })
}

/** A file of the core needs up to 1.5 GB to compile: fewer jobs than processors where memory is short. */
function jobs(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / 1.5e9)))
}

/** One thing that CMake makes. */
export interface CmakeJob {
  /** "NAME=VALUE" for CMakeLists.txt. */
  definitions: string[]
  /** What to build; all that is built by default without it. */
  target?: string
  /** The file that must come of it. */
  makes: string
  /** What the progress says. */
  label: string
}

/**
 * Configures and builds. cmake-js's own `compile` would do neither: it keeps the libtorch of an earlier configuration,
 * and removes the whole folder, with the cores for other versions, when something does not compile.
 * @throws {BtError} BT_BUILD_FAILED with the compiler's errors
 */
export async function compile(options: Omit<BuildOptions, 'libtorch'>, job: CmakeJob): Promise<void> {
  const log: string[] = []
  const steps = (args: string[]) => cmakeJs(args, options, job.label, log)
  const configure = () => steps(['configure', ...job.definitions.map((definition) => `--CD${definition}`)])
  const wasConfigured = existsSync(join(packageRoot, 'build', 'CMakeCache.txt'))
  let code = await configure()
  if (code !== 0 && wasConfigured) {
    // CMake refuses a folder that was moved, or whose compiler or make is gone: start it afresh.
    for (const name of ['CMakeCache.txt', 'CMakeFiles']) {
      await rm(join(packageRoot, 'build', name), { recursive: true, force: true })
    }
    log.length = 0
    code = await configure()
  }
  const target = job.target ? ['--target', job.target] : []
  if (code === 0) code = await steps(['build', ...target, '-p', String(jobs())])
  if (code === 0 && existsSync(job.makes)) return
  const path = join(packageRoot, 'build', 'build.log')
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, `${log.join('\n')}\n`)
  const why = code === 0 ? `  no ${basename(job.makes)} came of ${job.definitions.join(', ')}` : firstErrors(log)
  throw new BtError('BT_BUILD_FAILED', `the addon could not be built:\n${why}`, {
    remedy: `The whole output is in ${path}.`,
  })
}

/** Runs cmake-js to its end, adding its lines to `log`. */
async function cmakeJs(
  args: string[],
  options: Omit<BuildOptions, 'libtorch'>,
  label: string,
  log: string[],
): Promise<number> {
  const program = join(dirname(packageFile(createRequire(import.meta.url), 'cmake-js')), 'bin', 'cmake-js')
  const { code } = await run(process.execPath, [program, ...args], {
    cwd: packageRoot,
    env: { ...(options.env ?? process.env), LC_ALL: 'C.UTF-8' },
    signal: options.signal,
    onLine: (line) => {
      log.push(line)
      const progress = buildProgress(line)
      if (progress) options.onProgress?.({ label, ...progress })
    },
  })
  return code
}

/** "[ 12%] Building ..." of make and "[3/40] Building ..." of Ninja. */
export function buildProgress(line: string): { done: number; total: number; unit: 'steps' } | undefined {
  const make = /^\[\s*(\d+)%\]/.exec(line)
  if (make) return { done: Number(make[1]), total: 100, unit: 'steps' }
  const ninja = /^\[(\d+)\/(\d+)\]/.exec(line)
  return ninja ? { done: Number(ninja[1]), total: Number(ninja[2]), unit: 'steps' } : undefined
}

/**
 * The first lines that say "error", or the last lines of all. Of the compiler's command lines, which Ninja repeats, the
 * flag -Werror tells; CMake says what is wrong on the lines after "CMake Error at".
 */
export function firstErrors(log: string[]): string {
  const errors = log.flatMap((line, index) => {
    if (!/\berror\b/i.test(line) || /(^|\s)-Werror(\s|$)/.test(line)) return []
    return /^CMake Error/.test(line) ? log.slice(index, index + 4).filter((text) => text.trim() !== '') : [line]
  })
  return (errors.length ? errors.slice(0, 5) : log.slice(-5)).map((line) => `  ${line.slice(0, 300)}`).join('\n')
}

/** Text of a file; undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
