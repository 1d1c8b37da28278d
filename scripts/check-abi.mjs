// What the native files need of the machine they run on, read from the files themselves: Node-API 8 and nothing else of
// Node, glibc 2.28 and the libstdc++ of RHEL 9, known libraries found without a run path; and how they are mapped. A
// file that was made on a newer system must open on every system that libtorch opens on.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

/** Newest symbol versions that may be needed: libtorch's wheels need 2.28 themselves; RHEL 9 has the other two. */
const newest = { GLIBC: '2.28', GLIBCXX: '3.4.29', CXXABI: '1.3.13' }

/** Version of Node-API, as in package.json and CMakeLists.txt. */
const nodeApi = 8

/** Libraries that may be named, by the kind of file: the system's, and what the loader has opened before. */
const system = ['libc.so.6', 'libm.so.6', 'libstdc++.so.6', 'libgcc_s.so.1', 'ld-linux-x86-64.so.2']
const libraries = {
  loader: system,
  core: [...system, 'libtorch_cpu.so', 'libc10.so'],
  cuda: [...system, 'libtorch_cpu.so', 'libc10.so', 'libtorch_cuda.so', 'libc10_cuda.so', 'libcudart.so.13'],
}

/** Whether the file is the loader, a core, or the kernels for GPUs, by its name. */
function kindOf(file) {
  if (file.endsWith('.node')) return 'loader'
  return /libbt_cuda-[^/]*$/.test(file) ? 'cuda' : 'core'
}

/** Names of Node-API 1 to `nodeApi`. */
function nodeApiNames() {
  const { symbols } = createRequire(import.meta.url)('node-api-headers')
  const { js_native_api_symbols: language, node_api_symbols: runtime } = symbols[`v${nodeApi}`]
  return new Set([...language, ...runtime])
}

function readelf(...args) {
  const { stdout, status, error, stderr } = spawnSync('readelf', ['--wide', ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, LC_ALL: 'C' },
  })
  if (status !== 0) throw new Error(`readelf ${args.join(' ')}: ${error?.message ?? stderr}`)
  return stdout
}

const isNewer = (version, most) => {
  const [one, other] = [version, most].map((text) => text.split('.').map(Number))
  const at = one.findIndex((number, index) => number !== (other[index] ?? 0))
  return at >= 0 && one[at] > (other[at] ?? 0)
}

/**
 * @param file path of bt_native.node, libbt_core-MINOR.so or libbt_cuda-MINOR.so
 * @param stripped whether it must hold no symbol table
 * @returns what is wrong with it, a line each; none when all is well
 */
export function abiProblems(file, { stripped = false } = {}) {
  const dynamic = readelf('--dynamic', file)
  const headers = readelf('--program-headers', file)
  const symbols = undefinedSymbols(readelf('--dyn-syms', file))
  return [
    ...neededProblems(dynamic, libraries[kindOf(file)]),
    ...versionProblems(readelf('--version-info', file)),
    ...symbolProblems(symbols),
    ...mappingProblems(dynamic, headers),
    ...(stripped && /\s\.symtab\s/.test(readelf('--sections', file)) ? ['is not stripped'] : []),
  ]
}

/** Names that must be found elsewhere, without their versions. */
function undefinedSymbols(text) {
  return text.split('\n').flatMap((line) => {
    const [, name] = /\sUND\s+([^\s@]+)/.exec(line) ?? []
    return name === undefined ? [] : [name]
  })
}

function neededProblems(dynamic, allowed) {
  const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map((match) => match[1])
  return needed.filter((name) => !allowed.includes(name)).map((name) => `needs ${name}`)
}

function versionProblems(text) {
  const needs = text.slice(text.indexOf('Version needs section'))
  const versions = new Set([...needs.matchAll(/Name: ((?:GLIBC|GLIBCXX|CXXABI)_[\w.]+)/g)].map((match) => match[1]))
  return [...versions].flatMap((version) => {
    const [prefix, number] = version.split(/_(.*)/)
    if (!/^[\d.]+$/.test(number)) return [`needs ${version}, which older systems do not know`]
    return isNewer(number, newest[prefix]) ? [`needs ${version}; the newest allowed is ${newest[prefix]}`] : []
  })
}

function symbolProblems(names) {
  const known = nodeApiNames()
  return names.flatMap((name) => {
    if (/^(napi|node_api)_/.test(name))
      return known.has(name) ? [] : [`needs ${name}, which is not in Node-API ${nodeApi}`]
    return /^(uv_|_ZN?K?2v8|_ZN?K?4node)/.test(name) ? [`needs ${name}, which is Node's own and changes with it`] : []
  })
}

function mappingProblems(dynamic, headers) {
  const flags = dynamic
    .split('\n')
    .filter((line) => /\(FLAGS(_1)?\)/.test(line))
    .join(' ')
  const stack = /GNU_STACK\s+(?:0x\w+\s+){5}([RWE ]+?)\s+0x/.exec(headers)?.[1]
  const checks = [
    [/\((RPATH|RUNPATH)\)/.test(dynamic), 'has a run path'],
    [/\(TEXTREL\)/.test(dynamic) || /\bTEXTREL\b/.test(flags), 'has relocations in its code'],
    [!/\bNODELETE\b/.test(flags), 'may be unmapped (no -z nodelete)'],
    [!/GNU_RELRO/.test(headers) || !/\bNOW\b/.test(flags), 'can be written to where it is linked (no full RELRO)'],
    [stack === undefined || stack.includes('E'), 'wants an executable stack'],
    [/LOAD\s.*\sRWE\s/.test(headers), 'has memory that is written and executed'],
  ]
  return checks.flatMap(([bad, words]) => (bad ? [words] : []))
}

/** The native files in a folder; none where there is no such folder. */
export function nativeFiles(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => /^(bt[_-]native.*\.node|libbt_(core|cuda)-.*\.so)$/.test(name))
    .map((name) => join(folder, name))
}

/** The same for all native files that a checkout holds, those in prebuilds/ stripped: "path: what is wrong". */
export function checkAbi(root) {
  const prebuilds = join(root, 'prebuilds', 'linux-x64')
  return [
    ...nativeFiles(join(root, 'build', 'Release')).flatMap((file) => abiProblems(file).map((it) => `${file}: ${it}`)),
    ...nativeFiles(prebuilds).flatMap((file) => abiProblems(file, { stripped: true }).map((it) => `${file}: ${it}`)),
  ]
}
