// Compiles kernels/quantize.cc with its test program (no libtorch needed) and holds both paths to the gguf package.
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const fixture = join(root, 'test/fixtures/models/quantize.bin')
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-quantize-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function compileAndRun(name: string, flags: string[]): Promise<string[]> {
  const sources = ['quantize.cc', 'dequant.cc', 'quantize_test.cc'].map((file) => join(root, 'native/kernels', file))
  const program = join(folder, name)
  const options = ['-std=c++20', '-Wall', '-Wextra', '-Werror', '-fopenmp', '-ffp-contract=off', ...flags]
  await run('g++', [...options, '-I', join(root, 'native'), ...sources, '-o', program])
  return (await run(program, [fixture])).stdout.trim().split('\n')
}

test('floats are packed into the very bytes that the gguf package makes of them', async () => {
  const lines = await compileAndRun('plain', ['-O3', '-fno-math-errno', '-fno-trapping-math'])
  expect(lines.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual(['ok Q8_0', 'ok Q4_0', 'ok refusals'])
})

test('packing reads and writes nothing out of bounds', async () => {
  const lines = await compileAndRun('checked', ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'])
  expect(lines.join()).not.toContain('FAILED')
})
