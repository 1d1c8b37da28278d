// Compiles the fused kernels with their test program and runs it: optimised as in the addon, and with sanitizers.
// The kernels multiply with what libtorch_cpu.so exports; nothing else of libtorch is needed.
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findLibtorch } from '../../src/native/find.js'

const run = promisify(execFile)
const native = fileURLToPath(new URL('../../native', import.meta.url))
const lib = findLibtorch({ device: 'cpu' }).find((candidate) => candidate.taken)?.lib

const kernels = [
  'attention',
  'attention_avx512',
  'blas',
  'cross_entropy',
  'dequant',
  'dropout',
  'gate',
  'head_norm',
  'heads',
  'linear',
  'linear_avx2',
  'linear_avx512',
  'linear_avx512vnni',
  'linear_baseline',
  'linear_inputs',
  'linear_naive',
  'linear_pack',
  'linear_paths',
  'logits',
  'logits_avx512',
  'norm',
  'quantize',
]
const tests = ['attention_test', 'kernels_bench_test', 'kernels_test', 'linear_bench_test', 'linear_test']
const avx512 = ['f', 'bw', 'dq', 'vl', 'bf16']
  .map((name) => `-mavx512${name}`)
  .concat('-mfma', '-Wno-uninitialized', '-Wno-maybe-uninitialized')
/** Flags by how a file's name ends. */
const instructions: Record<string, string[]> = {
  _avx2: ['-mavx2', '-mfma', '-mf16c'],
  _avx512: avx512,
  _avx512vnni: [...avx512, '-mavx512vnni'],
  quantize: ['-ffp-contract=off'],
}
const sanitize = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
let folder: string

beforeAll(async () => {
  if (!lib) throw new Error('libtorch was not found: run npm test, or npx bt-native setup')
  folder = await mkdtemp(join(tmpdir(), 'bt-kernels-'))
  // The test program itself gains nothing from -O3, and is the same for both.
  await inParallel([
    ...tests.map((name) => () => compile(name, name, ['-O1'])),
    ...kernels.map((name) => () => compile(name, name, ['-O3'])),
    ...kernels.map((name) => () => compile(name, `${name}-sanitized`, ['-O1', ...sanitize])),
  ])
  await link('kernels_test', [...kernels, ...tests], [])
  await link('kernels_test-sanitized', [...kernels.map((name) => `${name}-sanitized`), ...tests], sanitize)
}, 300_000)
afterAll(() => folder && rm(folder, { recursive: true }))

async function inParallel(jobs: (() => Promise<unknown>)[]): Promise<void> {
  const waiting = jobs.values()
  const worker = async () => {
    for (const job of waiting) await job()
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
}

/** The flags of kernels/ in CMakeLists.txt. */
function compile(source: string, object: string, flags: string[]) {
  const files = [join(native, 'kernels', `${source}.cc`), '-o', join(folder, `${object}.o`)]
  const math = ['-fno-math-errno', '-fno-trapping-math']
  const processor = Object.entries(instructions).find(([ending]) => source.endsWith(ending))?.[1] ?? []
  return run('g++', [
    '-std=c++20',
    '-Wall',
    '-Wextra',
    '-fopenmp',
    ...math,
    ...processor,
    ...flags,
    '-I',
    native,
    '-c',
    ...files,
  ])
}

/** With the OpenMP run time that libtorch brings, so that there is one in the process. */
async function link(program: string, objects: string[], flags: string[]) {
  const folderOfTorch = lib ?? ''
  const openMp = (await readdir(folderOfTorch)).filter((name) => /^libgomp.*\.so/.test(name)).slice(0, 1)
  const libraries = ['libtorch_cpu.so', 'libc10.so', ...openMp].map((name) => join(folderOfTorch, name))
  await run('g++', [
    ...objects.map((name) => join(folder, `${name}.o`)),
    ...flags,
    ...libraries,
    ...(openMp.length > 0 ? [] : ['-fopenmp']),
    '-Wl,--allow-shlib-undefined',
    `-Wl,-rpath,${folderOfTorch}`,
    '-o',
    join(folder, program),
  ])
}

/** The lines that are not "ok ...": none but the last, which counts, when all is well. */
async function problems(program: string, ...options: string[]): Promise<string[]> {
  // Threads that wait must not spin: the other test files need the cores.
  const env = { ...process.env, OMP_WAIT_POLICY: 'passive' }
  // A failed check is told by the program's lines, which say more than its exit code.
  const { stdout, stderr } = await run(join(folder, program), options, { env }).catch(
    (error: { stdout: string; stderr: string }) => error,
  )
  return `${stdout}${stderr}`
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('ok '))
}

const allPassed = [expect.stringMatching(/^kernels: [1-9]\d+ passed, 0 failed$/)]

test('every fast kernel computes what its plain version does', { timeout: 120_000 }, async () => {
  expect(await problems('kernels_test')).toEqual(allPassed)
})

test('no kernel reads or writes out of bounds, without AVX too', { timeout: 120_000 }, async () => {
  expect(await problems('kernels_test-sanitized', '--quick')).toEqual(allPassed)
})
