// `npm run prebuild`: fills prebuilds/linux-x64 with the loader (glibc) and a core for each torch whose libtorch lies in
// the cache, or for those that --torch VERSION names; the kernels for GPUs, where they were built or with --cuda. --built
// compiles nothing and takes what build/Release holds. All stripped, and held to what they may need of a machine. cmake-js
// compiles, prebuildify packs.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { abiProblems, nativeFiles } from './check-abi.mjs'
import { fail, root, StepError, Steps } from './console.mjs'
import { compileTypeScript, packages } from './prepare.mjs'

const target = join(root, 'prebuilds', 'linux-x64')

/**
 * The libtorchs to build for, newest first: of each minor version of torch the newest one that has headers.
 * @param names of the folders in the cache
 * @param wanted versions; all of them when none is given
 * @throws {StepError} for a wanted one that is not there
 */
export function libtorchsFor(names, wanted = []) {
  const found = names
    .map((name) => /^libtorch-((\d+)\.(\d+)\.(\d+))-(cpu|cuda)$/.exec(name))
    .filter((match) => match && (wanted.length === 0 || wanted.includes(match[1])))
    .map(([name, version, ...numbers]) => ({ name, version, numbers: numbers.slice(0, 3).map(Number) }))
    .sort((a, b) => b.numbers[0] - a.numbers[0] || b.numbers[1] - a.numbers[1] || b.numbers[2] - a.numbers[2])
  const missing = wanted.filter((version) => !found.some((it) => it.version === version))
  if (missing.length > 0) {
    throw new StepError(
      `libtorch ${missing.join(', ')} is not in the cache`,
      `npx bt-native setup --no-build --torch ${missing[0]}`,
    )
  }
  const minors = new Map()
  for (const { name, version, numbers } of found) {
    const minor = numbers.slice(0, 2).join('.')
    if (!minors.has(minor)) minors.set(minor, { name, version, minor })
  }
  return [...minors.values()]
}

/** Builds what has changed for one libtorch. @returns names of the files of build/Release that belong to it */
async function build({ name, version, minor }, withCuda) {
  const { buildAddon, buildFolder } = await import('../dist/setup/build.js')
  const { cacheFolder } = await import('../dist/paths.js')
  const libtorch = join(cacheFolder(), name)
  await buildAddon({ libtorch, version })
  const kernels = `libbt_cuda-${minor}.so`
  if (!withCuda && !existsSync(join(buildFolder, kernels))) return [`libbt_core-${minor}.so`]
  const { provideToolkit } = await import('../dist/setup/toolkit.js')
  const { buildCuda } = await import('../dist/setup/build-cuda.js')
  const { folder: toolkit } = await provideToolkit()
  await buildCuda({ libtorch, version, toolkit })
  return [`libbt_core-${minor}.so`, kernels]
}

/** Cores and kernels of build/Release. @throws {StepError} when there is no core */
function builtFiles() {
  const release = join(root, 'build', 'Release')
  const names = existsSync(release)
    ? readdirSync(release).filter((name) => /^libbt_(core|cuda)-.*\.so$/.test(name))
    : []
  if (!names.some((name) => name.startsWith('libbt_core'))) {
    throw new StepError('build/Release holds no core', 'npm run build:native')
  }
  return names
}

/** Packs copies, so that build/Release stays as it is: prebuildify moves and strips what it is given. */
async function pack(names) {
  const stage = mkdtempSync(join(tmpdir(), 'bt-prebuild-'))
  try {
    const release = join(stage, 'build', 'Release')
    mkdirSync(release, { recursive: true })
    for (const name of ['bt_native.node', ...names]) {
      copyFileSync(join(root, 'build', 'Release', name), join(release, name))
    }
    rmSync(target, { recursive: true, force: true })
    const prebuildify = promisify(createRequire(import.meta.url)('prebuildify'))
    // Nothing is left to compile: the program that would do it is `true`.
    const done = { nodeGyp: 'true', quiet: true, cache: stage }
    await prebuildify({ ...done, cwd: stage, out: root, name: 'bt-native', napi: true, strip: true, tagLibc: true })
  } finally {
    rmSync(stage, { recursive: true, force: true })
  }
}

/** @throws {StepError} naming every file that needs more than it may */
function check() {
  const problems = nativeFiles(target).flatMap((file) =>
    abiProblems(file, { stripped: true }).map((it) => `  ${basename(file)} ${it}`),
  )
  if (problems.length > 0) throw new StepError(`the packed files would not open everywhere:\n${problems.join('\n')}`)
  return readdirSync(target)
    .map((name) => `${name} ${(statSync(join(target, name)).size / 1e6).toFixed(2)} MB`)
    .join(', ')
}

async function main() {
  const { values } = parseArgs({
    options: { torch: { type: 'string', multiple: true }, cuda: { type: 'boolean' }, built: { type: 'boolean' } },
  })
  const steps = new Steps(5)
  let chosen = []
  const names = []
  await steps.run('npm packages', packages)
  await steps.run('TypeScript', compileTypeScript)
  await steps.run('a core for each torch', async () => {
    if (values.built) {
      names.push(...builtFiles())
      return names.join(', ')
    }
    const { cacheFolder } = await import('../dist/paths.js')
    chosen = libtorchsFor(existsSync(cacheFolder()) ? readdirSync(cacheFolder()) : [], values.torch)
    if (chosen.length === 0) throw new StepError('there is no libtorch in the cache', 'npx bt-native setup --no-build')
    for (const libtorch of chosen) names.push(...(await build(libtorch, values.cuda)))
    return `torch ${chosen.map(({ version }) => version).join(', ')}`
  })
  await steps.run('packing', () => pack(names))
  await steps.run('what they need of a machine', check)
}

if (process.argv[1] === join(root, 'scripts', 'prebuild.mjs')) {
  await main().catch((error) =>
    fail(error.code?.startsWith?.('BT_') ? new StepError(`${error.code}: ${error.message}`, error.remedy) : error),
  )
}
