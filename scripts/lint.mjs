// `npm run lint`: biome, clang-format, the direction of imports, what native files need, links, licences, the documentation
// of the API, places of one machine. --fix formats.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { checkAbi } from './check-abi.mjs'
import { checkImports } from './check-imports.mjs'
import { checkPlaces } from './check-places.mjs'
import { clangFormat } from './clang-format.mjs'
import { fail, green, red, root, say } from './console.mjs'
import { checkLicences } from './licences.mjs'
import { compileTypeScript, packages } from './prepare.mjs'

const fix = process.argv.includes('--fix')

function biome() {
  const program = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome')
  const args = ['check', '--error-on-warnings', ...(fix ? ['--write'] : [])]
  return spawnSync(process.execPath, [program, ...args], { cwd: root, stdio: 'inherit' }).status === 0
}

async function formatNative() {
  const files = readdirSync(join(root, 'native'), { recursive: true })
    .filter((file) => /\.(cc|h|cu|cuh)$/.test(file))
    .map((file) => join('native', file))
  const program = await clangFormat()
  const args = fix ? ['-i'] : ['--dry-run', '--Werror']
  return spawnSync(program, [...args, ...files], { cwd: root, stdio: 'inherit' }).status === 0
}

/** All that the API exports is documented, and all that it refers to exported: typedoc warns of what is not. */
async function documented() {
  await compileTypeScript() // scripts/typedoc-options.mjs reads the tables of options there
  const program = join(root, 'node_modules', 'typedoc', 'bin', 'typedoc')
  const args = ['--emit', 'none', '--logLevel', 'Warn']
  const good = spawnSync(process.execPath, [program, ...args], { cwd: root, stdio: 'inherit' }).status === 0
  if (!good) {
    say('  "does not have any documentation": write a doc comment above it, at its declaration')
    say('  "referenced by ..., but not included": export that type from src/index.ts, too')
    say('  "@link" or "resolve": name what src/index.ts exports, or use plain `code`')
  }
  return good
}

/** Prints what a check found. */
function none(problems) {
  for (const problem of problems) say(`  ${problem}`)
  return problems.length === 0
}

const checks = [
  ['biome', biome],
  ['clang-format', formatNative],
  ['imports point one way', () => none(checkImports(root))],
  ['native files need no newer system', () => none(checkAbi(root))],
  ['links lead somewhere', async () => none((await import('./check-links.mjs')).checkLinks(root))],
  ['licences permit any use, and are listed', () => none(checkLicences(root))],
  ['the API is documented', documented],
  ['no places of one machine', () => (existsSync(join(root, '.git')) ? none(checkPlaces(root)) : true)],
]

try {
  await packages()
  for (const [name, check] of checks) {
    const good = await check()
    say(`${good ? green('ok') : red('failed')} ${name}`)
    if (!good) process.exitCode = 1
  }
} catch (error) {
  fail(error)
}
