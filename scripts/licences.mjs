// Licences of the packages in package-lock.json: which are permitted, and the list of docs/licences.md (`npm run docs`
// writes it, `npm run lint` compares).
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './console.mjs'

/** What comes to a user with the package: any use is permitted, on no other condition than notices. */
const permitted = ['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT', 'Zlib']
/** Of tools that build and check, and of which nothing is passed on. */
const permittedTools = [...permitted, 'MPL-2.0', 'Python-2.0']

/** The machine that package.json asks for: packages for others are not installed. */
const machine = { os: 'linux', cpu: 'x64', libc: 'glibc' }

/** Lines that tell each licence that is not permitted, and whether docs/licences.md lists other packages than the lock file. */
export function checkLicences(folder) {
  const packages = installedPackages(readFileSync(join(folder, 'package-lock.json'), 'utf8'))
  const refused = packages.flatMap(({ name, version, licence, dev }) =>
    isPermitted(licence, dev ? permittedTools : permitted)
      ? []
      : [`${name} ${version} is under ${licence ?? 'no licence that is named'}`],
  )
  const page = readFileSync(join(folder, 'docs', 'licences.md'), 'utf8')
  return page === withTable(page, packages)
    ? refused
    : [...refused, 'docs/licences.md lists other packages than package-lock.json: npm run docs']
}

/**
 * Packages of a lock file that are installed on the machine that package.json asks for.
 * @returns {{ name: string, version: string, licence?: string, dev: boolean }[]} by name and version
 */
export function installedPackages(lock) {
  const serves = (wanted, value) => wanted === undefined || wanted.includes(value)
  return Object.entries(JSON.parse(lock).packages)
    .filter(
      ([path, entry]) => path !== '' && Object.entries(machine).every(([key, value]) => serves(entry[key], value)),
    )
    .map(([path, { name, version, license, dev }]) => ({
      name: name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version,
      licence: license,
      dev: dev === true,
    }))
    .sort((a, b) => compare(a.name, b.name) || compare(a.version, b.version))
}

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0)

/** Whether a licence expression (SPDX, "or" and "and" not mixed) can be met by those of `list` alone. */
export function isPermitted(expression, list = permitted) {
  if (!expression || (expression.includes(' OR ') && expression.includes(' AND '))) return false
  const names = expression.replace(/^\((.*)\)$/, '$1')
  if (names.includes(' OR ')) return names.split(' OR ').some((name) => list.includes(name))
  return names.split(' AND ').every((name) => list.includes(name))
}

/** The page with its table made anew; each package stands once, in whatever folders it lies. */
function withTable(page, packages) {
  const rows = packages
    .filter(({ dev }) => !dev)
    .map(({ name, version, licence }) => `| ${name} | ${version} | ${licence} |`)
  const heads = ['| Package | Version | Licence |', '|---|---|---|']
  return `${page.slice(0, page.indexOf(heads[0]))}${[...heads, ...new Set(rows)].join('\n')}\n`
}

if (process.argv[1] === join(root, 'scripts', 'licences.mjs')) {
  const path = join(root, 'docs', 'licences.md')
  const packages = installedPackages(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  writeFileSync(path, withTable(readFileSync(path, 'utf8'), packages))
  process.stdout.write('docs/licences.md is current\n')
}
