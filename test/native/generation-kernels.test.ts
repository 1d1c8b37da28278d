// Compiles the loops of generation with their test program and runs it: optimised as in the addon, and with sanitizers.
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const run = promisify(execFile)
const native = fileURLToPath(new URL('../../native', import.meta.url))
const kernels = ['cached_attention', 'cached_attention_avx512', 'log_sum_exp', 'residual_norm']
const avx512 = ['f', 'bw', 'dq', 'vl', 'bf16']
  .map((name) => `-mavx512${name}`)
  .concat('-mfma', '-Wno-uninitialized', '-Wno-maybe-uninitialized')
const sanitize = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-generation-kernels-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** The program's lines that are not "ok ...". */
async function problems(name: string, flags: string[], ...options: string[]): Promise<string[]> {
  const objects: string[] = []
  for (const source of [...kernels, 'generation_test']) {
    const object = join(folder, `${name}-${source}.o`)
    const processor = source.endsWith('_avx512') ? avx512 : []
    const common = ['-std=c++20', '-Wall', '-Wextra', '-fopenmp', '-fno-math-errno', '-fno-trapping-math', '-I', native]
    await run('g++', [...common, ...processor, ...flags, '-c', join(native, 'kernels', `${source}.cc`), '-o', object])
    objects.push(object)
  }
  const program = join(folder, name)
  await run('g++', [...objects, ...flags, '-fopenmp', '-o', program])
  // A failed check is told by the program's lines, which say more than its exit code.
  const { stdout, stderr } = await run(program, options, { env: { ...process.env, OMP_WAIT_POLICY: 'passive' } }).catch(
    (error: { stdout: string; stderr: string }) => error,
  )
  return `${stdout}${stderr}`
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('ok '))
}

const allPassed = [expect.stringMatching(/^kernels: [1-9]\d+ passed, 0 failed$/)]

test('the loops of generation give a row the same bits in every pass', { timeout: 180_000 }, async () => {
  expect(await problems('fast', ['-O3'])).toEqual(allPassed)
})

test('none of them reads or writes out of bounds', { timeout: 180_000 }, async () => {
  expect(await problems('sanitized', ['-O1', ...sanitize], '--quick')).toEqual(allPassed)
})
