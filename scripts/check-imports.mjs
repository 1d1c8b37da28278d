// Imports point one way. This says where they do not, in src/ and in native/.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'

/** Folders of src/, lowest first: each may import what stands before it. */
const sourceOrder = [
  'native',
  ...['models', 'text', 'data', 'segment'], // one level to a reader; text knows the model's description, data knows neither
  ...['metrics', 'report'],
  'generate',
  'export',
  'train',
  'curate',
  'rewrite',
  'dataset',
  'compare',
  'pipeline',
  'cli',
].map((folder) => [folder])
/** Beside pipeline: provisioning uses the lower rows, and only the command line and the public API use it. */
const setupMayImport = ['native', 'data', 'text', 'models']

/** Folders of native/, lowest first. cuda stands beside kernels, of which it shares two headers. The addon's top file and the loader lie beside them. */
const nativeRows = [['kernels'], ['cuda'], ['model'], ['train', 'sample'], ['addon']]

/** Whether a file of folder `from` may import one of folder `to`; '' is the top of src/. */
export function sourceMayImport(from, to, file = '') {
  if (from === to) return true
  if (from === '') return to === '' || (file === 'index.ts' && to !== 'cli')
  if (to === '') return true
  if (from === 'setup') return setupMayImport.includes(to)
  if (to === 'setup') return from === 'cli'
  return rowOf(sourceOrder, to) < rowOf(sourceOrder, from)
}

/** Whether a C++ file of folder `from` may include one of folder `to`; '' is the top of native/. */
export function nativeMayInclude(from, to) {
  return from === to || (to !== '' && (from === '' || rowOf(nativeRows, to) < rowOf(nativeRows, from)))
}

function rowOf(rows, folder) {
  const row = rows.findIndex((names) => names.includes(folder))
  if (row < 0) throw new Error(`scripts/check-imports.mjs knows no folder "${folder}": give it a row`)
  return row
}

/** Module names that a TypeScript text imports or exports from: static, dynamic and in types. Comments are left out. */
export function importsOf(text) {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  const found = code.matchAll(/\b(?:from|import)\s*\(?\s*(['"])([^'"]+)\1/g)
  return [...found].map((match) => match[2])
}

/** Quoted includes of a C++ text. */
export function includesOf(text) {
  return [...text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)].map((match) => match[1])
}

/** Lines that tell each wrong import under `root`. */
export function checkImports(root) {
  return [...checkSource(join(root, 'src')), ...checkNative(join(root, 'native'))]
}

function* checkSource(src) {
  for (const path of filesUnder(src, /\.ts$/)) {
    for (const name of importsOf(readFileSync(join(src, path), 'utf8'))) {
      if (!name.startsWith('.')) continue
      const target = normalize(join(dirname(path), name))
      if (target.startsWith('..')) continue // binding.d.ts, package.json
      if (!sourceMayImport(folderOf(path), folderOf(target), path)) yield `src/${path} imports ${target}`
    }
  }
}

function* checkNative(native) {
  for (const path of filesUnder(native, /\.(cc|h|cu|cuh)$/)) {
    for (const name of includesOf(readFileSync(join(native, path), 'utf8'))) {
      const beside = join(dirname(path), name)
      const target = existsSync(join(native, name)) ? normalize(name) : normalize(beside)
      if (existsSync(join(native, target)) && !nativeMayInclude(folderOf(path), folderOf(target))) {
        yield `native/${path} includes ${target}`
      }
    }
  }
}

const folderOf = (path) => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '')

function filesUnder(folder, pattern) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()
}
