// Everything of the set-up: npm packages, TypeScript, libtorch, the demo model, the addon. What is current is kept,
// so that a second run takes a second or two.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { cli, fail, quietly, root, Steps } from './console.mjs'
import { checkTools } from './tools.mjs'

/** How many steps prepare() takes of a script's numbering. */
export const prepareSteps = 6

/** Runs the set-up as the first steps of `steps`. */
export async function prepare(steps) {
  await steps.run('what the machine has: Node, a C++ compiler, CMake, make, Python with pip', () => checkTools())
  await steps.run('npm packages', packages)
  await steps.run('TypeScript', compileTypeScript)
  await steps.run('libtorch (530 MB to download, once)', libtorch)
  await steps.run('demo model SmolLM2-135M (93 MB to download, once)', () => cli('setup', '--model', 'smollm2-135m'))
  await steps.run('the native addon (some minutes to compile, once)', () => cli('setup', '--build-only'))
}

async function libtorch() {
  const given = process.env.BT_NATIVE_LIBTORCH
  if (given) return `BT_NATIVE_LIBTORCH=${given} is used`
  const { chosenLibtorch } = await import('../dist/native/find.js')
  const chosen = chosenLibtorch()
  await cli('setup', '--no-build', ...(chosen ? ['--torch', chosen.version, '--device', chosen.device] : []))
}

/** npm ci, unless what npm installed last is what package-lock.json asks for. NODE_ENV=production would leave out tsc. */
export async function packages(folder = root) {
  if (packagesAreCurrent(folder)) return 'as package-lock.json says already'
  await quietly('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder })
}

/** Compares package-lock.json with npm's own note of what lies in node_modules. Optional packages may be missing. */
export function packagesAreCurrent(folder = root) {
  const note = join(folder, 'node_modules', '.package-lock.json')
  if (!existsSync(note)) return false
  const installed = JSON.parse(readFileSync(note, 'utf8')).packages
  const wanted = Object.entries(JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')).packages)
  return wanted.every(([path, { version, optional, devOptional }]) => {
    if (path === '') return true
    const found = installed[path]
    return found ? found.version === version : Boolean(optional || devOptional)
  })
}

/** tsc into dist/, unless it was run on these sources already. */
export async function compileTypeScript() {
  const dist = join(root, 'dist')
  const stamp = join(dist, '.sources')
  const hash = sourcesHash()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return 'no source has changed'
  rmSync(stamp, { force: true })
  await quietly(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'])
  removeOrphans(dist)
  mkdirSync(dist, { recursive: true })
  writeFileSync(stamp, hash)
}

function sourcesHash() {
  const files = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', ...filesUnder('src')]
  const hash = createHash('sha256')
  for (const file of files.sort()) hash.update(`${file}\0`).update(readFileSync(join(root, file)))
  return hash.digest('hex')
}

function filesUnder(folder) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
}

/** Output of sources that are gone would still be imported and packed. */
function removeOrphans(dist) {
  for (const file of filesUnder('dist')) {
    const source = /^dist\/(.*?)\.(js|js\.map|d\.ts)$/.exec(file)?.[1]
    if (source && !existsSync(join(root, 'src', `${source}.ts`))) rmSync(join(dist, file.slice('dist/'.length)))
  }
}

if (process.argv[1] === join(root, 'scripts', 'prepare.mjs')) {
  await prepare(new Steps(prepareSteps)).catch(fail)
}
