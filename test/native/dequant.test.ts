// Compiles kernels/dequant.cc with its test program (no libtorch needed) and holds both paths to the gguf package.
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const fixture = join(root, 'test/fixtures/models/dequant.bin')
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-dequant-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function compileAndRun(name: string, flags: string[]): Promise<string> {
  const sources = ['dequant.cc', 'dequant_test.cc'].map((file) => join(root, 'native/kernels', file))
  const program = join(folder, name)
  const warnings = ['-Wall', '-Wextra', '-Werror']
  await run('g++', [
    '-std=c++20',
    ...warnings,
    '-fopenmp',
    ...flags,
    '-I',
    join(root, 'native'),
    ...sources,
    '-o',
    program,
  ])
  return (await run(program, [fixture])).stdout
}

test('every quantized GGML type expands to what the gguf package makes of it', async () => {
  const lines = (await compileAndRun('plain', ['-O2'])).trim().split('\n')
  const types = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K']
  expect(lines.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
    ...types.map((type) => `ok ${type}`),
    'ok any',
    'ok refusals',
  ])
})

test('expanding reads and writes nothing out of bounds', async () => {
  const output = await compileAndRun('checked', ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'])
  expect(output).not.toContain('FAILED')
})
