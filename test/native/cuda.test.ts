// The kernels for GPUs, on a machine that may have none: they compile, what the library holds and asks for is what it
// should, each kernel run thread by thread on the CPU computes what it should, and the core opens the library. What a GPU
// makes of it is not seen.
import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packageRoot } from '../../src/paths.js'
import { foundLibtorch } from '../../src/setup/build.js'
import { buildCuda } from '../../src/setup/build-cuda.js'
import { provideToolkit, toolkitPlace } from '../../src/setup/toolkit.js'

const run = promisify(execFile)
const native = join(packageRoot, 'native')
const libtorch = foundLibtorch()
const torchLib = join(libtorch.folder, existsSync(join(libtorch.folder, 'torch')) ? 'torch/lib' : 'lib')

let folder: string
let toolkit: string
let library: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-cuda-'))
  toolkit = (await provideToolkit()).folder
  library = (await buildCuda({ libtorch: libtorch.folder, version: libtorch.version, toolkit })).library
}, 600_000)
afterAll(() => folder && rm(folder, { recursive: true }))

/** Names of dynamic symbols, without their versions. */
function symbols(path: string, ...options: string[]): string[] {
  const lines = execFileSync('nm', ['-D', '--format=posix', ...options, path], { encoding: 'utf8', maxBuffer: 1 << 28 })
  return lines.split('\n').flatMap((line) => line.split(' ')[0]?.split('@')[0] || [])
}

/** The weakly asked for may stay open. */
const undefinedSymbols = (path: string) =>
  execFileSync('nm', ['-D', '--undefined-only', '--format=posix', path], { encoding: 'utf8' })
    .split('\n')
    .flatMap((line) => (/ U( |$)/.test(line) ? line.split(' ')[0]!.split('@')[0]! : []))

/** of at::cuda and c10::cuda */
const torchCuda = /^_ZNK?(2at4cuda|3c104cuda)/

test('the library exports its two functions and nothing else', () => {
  expect(symbols(library, '--defined-only').sort()).toEqual(['bt_cuda_abi', 'bt_cuda_functions'])
})

test("what it asks for comes with torch's CUDA build or the system", async () => {
  const cudart = (await readdir(join(toolkit, 'lib'))).find((name) => name.startsWith('libcudart.so'))!
  const compiler = async (name: string) => (await run('g++', [`-print-file-name=${name}`])).stdout.trim()
  const system = await Promise.all(['libstdc++.so.6', 'libgcc_s.so.1', 'libc.so.6', 'libm.so.6'].map(compiler))
  const torch = ['libc10.so', 'libtorch_cpu.so'].map((name) => join(torchLib, name))
  const known = new Set(
    [join(toolkit, 'lib', cudart), ...torch, ...system].flatMap((path) => symbols(path, '--defined-only')),
  )
  const loader = ['__tls_get_addr'] // of ld-linux
  const wanted = undefinedSymbols(library)
  expect(wanted.length).toBeGreaterThan(30)
  expect(wanted.filter((name) => !known.has(name) && !torchCuda.test(name) && !loader.includes(name))).toEqual([])
})

test('it names no folder to look for libraries in, and the run time of CUDA that torch opens', async () => {
  const { stdout } = await run('readelf', ['-d', library])
  expect(stdout).not.toMatch(/RPATH|RUNPATH/)
  expect(stdout).toMatch(/NEEDED.*\[libcudart\.so\.13\]/)
})

test('no kernel needs ATen', async () => {
  const objects = (await readdir(join(packageRoot, 'build', 'cuda'))).filter((name) => name.endsWith('.o'))
  const sources = (await readdir(join(native, 'cuda'))).filter((name) => name.endsWith('.cu'))
  expect(objects.sort()).toEqual(sources.map((name) => name.replace(/\.cu$/, '.o')).sort())
  for (const object of objects) {
    const { stdout } = await run('nm', [join(packageRoot, 'build', 'cuda', object)], { maxBuffer: 1 << 26 })
    expect(stdout).not.toMatch(/_ZN?K?[A-Z]*(2at|3c10|5torch)/)
  }
})

test('every kernel is there for Ampere, Ada and Hopper, and as PTX for what comes after', async () => {
  const codes = deviceCode(await readFile(library))
  const kernels = (await readdir(join(native, 'cuda'))).filter((name) => name.endsWith('.cu')).length
  for (const code of ['sm_80', 'sm_86', 'sm_89', 'sm_90', 'compute_90']) {
    expect(codes.filter((found) => found === code)).toHaveLength(kernels)
  }
})

/**
 * Architectures of the device code in a file: fat binaries, each of a header (magic 0xba55ed50, version, header's size
 * as u16, size of all as u64) and entries (kind as u16: 1 PTX, 2 machine code; ..., header's size as u32, size as u64,
 * ..., architecture as u32 at 28).
 */
function deviceCode(bytes: Buffer): string[] {
  const found: string[] = []
  const magic = Buffer.from([0x50, 0xed, 0x55, 0xba])
  for (let start = bytes.indexOf(magic); start >= 0; start = bytes.indexOf(magic, start + 4)) {
    if (start % 8 !== 0 || bytes.readUInt16LE(start + 4) !== 1) continue // no header: four bytes in a wrapper's struct
    const end = start + 16 + Number(bytes.readBigUInt64LE(start + 8))
    let entry = start + bytes.readUInt16LE(start + 6)
    while (entry + 32 <= end) {
      const kind = bytes.readUInt16LE(entry)
      found.push(`${kind === 1 ? 'compute' : 'sm'}_${bytes.readUInt32LE(entry + 28)}`)
      entry += bytes.readUInt32LE(entry + 4) + Number(bytes.readBigUInt64LE(entry + 8))
    }
  }
  return found
}

test('every kernel computes what the plain versions do, without a race between threads', {
  timeout: 240_000,
}, async () => {
  const kernels = (await readdir(join(native, 'cuda'))).filter((name) => name.endsWith('.cu'))
  const plain = ['cross_entropy', 'dropout', 'gate', 'head_norm', 'heads', 'norm'].map((name) => `${name}.cc`)
  const sharing = ['emulated_test.cc', 'cross_entropy.cu'] // the others share no memory between threads
  // Three blocks at most, so that each has rows to walk over.
  const emulated = ['-Wall', '-Wextra', '-DBT_CUDA_MOST_BLOCKS=3', '-fopenmp', '-x', 'c++']
  const watched = ['-fsanitize=thread', '-g1']
  const object = (name: string, kind: string) => join(folder, `${name}${kind}.o`)
  const compile = (place: string, name: string, flags: string[], kind = '') =>
    run('g++', ['-std=c++20', '-O1', '-I', native, ...flags, '-c', join(native, place, name), '-o', object(name, kind)])
  await inParallel([
    ...['emulated_test.cc', ...kernels].map((name) => () => compile('cuda', name, emulated)),
    ...sharing.map((name) => () => compile('cuda', name, [...watched, ...emulated], '-watched')),
    ...plain.map((name) => () => compile('kernels', name, ['-fopenmp'])),
  ])
  const names = ['emulated_test.cc', ...kernels, ...plain]
  const objects = (watching: boolean) =>
    names.map((name) => object(name, watching && sharing.includes(name) ? '-watched' : ''))
  const program = join(folder, 'emulated_test')
  await run('g++', ['-fopenmp', ...objects(false), '-o', program])
  await run('g++', ['-fopenmp', ...watched, ...objects(true), '-o', `${program}-watched`])
  expect(await problems(program)).toEqual([expect.stringMatching(/^cuda kernels: [1-9]\d+ passed, 0 failed$/)])
  expect(await problems(`${program}-watched`, '--races')).toEqual(['cuda kernels: 2 passed, 0 failed'])
})

/** The lines that are not "ok ...", ThreadSanitizer's too. */
async function problems(program: string, ...options: string[]): Promise<string[]> {
  const env = { ...process.env, OMP_NUM_THREADS: '1' }
  const result = await run(program, options, { env }).catch((error: { stdout: string; stderr: string }) => error)
  return `${result.stdout}${result.stderr}`
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('ok '))
}

async function inParallel(jobs: (() => Promise<unknown>)[]): Promise<void> {
  const waiting = jobs.values()
  const worker = async () => {
    for (const job of waiting) await job()
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
}

/**
 * Builds native/model/cuda_library_test.cc, and a library that stands in for libtorch_cuda and libc10_cuda: it has their
 * symbols, and nothing that could be called.
 */
async function opener(): Promise<(path: string) => Promise<string[]>> {
  const program = join(folder, 'cuda_library_test')
  const sources = ['cuda_library_test.cc', 'cuda_library.cc'].map((name) => join(native, 'model', name))
  const define = '-DBT_CUDA_LIBRARY="libbt_cuda.so"'
  await run('g++', ['-std=c++20', '-Wall', '-Wextra', define, '-I', native, ...sources, '-o', program])
  const standIn = join(folder, 'libtorch_cuda.so')
  const names = undefinedSymbols(library).filter((name) => torchCuda.test(name))
  await writeFile(`${standIn}.s`, names.map((name) => `.globl ${name}\n.data\n${name}: .quad 0\n`).join(''))
  await run('gcc', ['-shared', '-nostdlib', '-o', standIn, `${standIn}.s`])
  const env = { ...process.env, LD_PRELOAD: standIn, LD_LIBRARY_PATH: `${torchLib}:${join(toolkit, 'lib')}` }
  return async (path) => (await run(program, [path], { env })).stdout.split('\n').slice(0, -1)
}

test('the core opens it, passes over what does not fit, and hears of errors in words', async () => {
  const open = await opener()
  const [path, problem, type, nothing, kernel, heads] = await open(library)
  expect([path, problem]).toEqual([`path: ${library}`, 'problem: '])
  expect([type, nothing, heads]).toEqual([
    'no such type: invalid argument',
    'nothing to do: no error',
    'odd heads: invalid argument',
  ])
  // Without a driver or a device; where there is one, the address of the host's memory is none of its own.
  expect(kernel).toMatch(/^kernel: (CUDA driver version is insufficient|no CUDA-capable device|no error)/)

  expect(await open(join(folder, 'absent.so'))).toEqual(['path: ', 'problem: '])
  const broken = join(folder, 'broken.so')
  await writeFile(broken, 'text')
  expect(await open(broken)).toEqual([`path: ${broken}`, expect.stringMatching(/^problem: .*(too short|invalid ELF)/)])
  const source = join(folder, 'old.cc')
  await writeFile(
    source,
    'extern "C" int bt_cuda_abi() { return 99; }\nextern "C" void* bt_cuda_functions() { return 0; }\n',
  )
  await run('g++', ['-shared', '-fPIC', source, '-o', join(folder, 'old.so')])
  expect(await open(join(folder, 'old.so'))).toContainEqual(expect.stringMatching(/^problem: it has version 99/))
})

test('of the wheels the compiler and headers are kept, and the rest is not', () => {
  const place = (member: string) => toolkitPlace(`nvidia/cu13/${member}`)
  expect(place('bin/nvcc')).toBe('bin/nvcc')
  expect(place('nvvm/bin/cicc')).toBe('nvvm/bin/cicc')
  expect(place('include/cccl/cuda/std/atomic')).toBe('include/cccl/cuda/std/atomic')
  for (const left of ['bin/nvlink', 'lib/libcudart_static.a', 'lib/libnvvm.so.4']) expect(place(left)).toBeUndefined()
})
