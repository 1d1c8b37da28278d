// Compiles native/model/padded_engine_test.cc, which stands in for a GPU's engine and graphs, and runs it.
import { execFile } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { findLibtorch } from '../../src/native/find.js'
import { packageRoot } from '../../src/paths.js'

const run = promisify(execFile)

test('a size of batch runs once, is captured, and is replayed until its memory has moved', async () => {
  const lib = findLibtorch({ device: 'cpu' }).find((candidate) => candidate.taken)?.lib
  if (!lib) throw new Error('libtorch was not found: run npm test, or npx bt-native setup')
  const native = join(packageRoot, 'native')
  const program = join(mkdtempSync(join(tmpdir(), 'bt-padded-')), 'padded_engine_test')
  const sources = ['padded_engine_test', 'padded_engine', 'budget', 'batch', 'cuda_library'].map((name) =>
    join(native, 'model', `${name}.cc`),
  )
  const definitions = ['-D_GLIBCXX_USE_CXX11_ABI=1', '-DAT_PER_OPERATOR_HEADERS', '-DBT_CUDA_LIBRARY="none"']
  const includes = ['-I', native, '-isystem', join(dirname(lib), 'include')]
  const libraries = ['libtorch_cpu.so', 'libc10.so'].map((name) => join(lib, name))
  const link = [...libraries, '-Wl,--allow-shlib-undefined', `-Wl,-rpath,${lib}`, '-o', program]
  await run('g++', ['-std=c++20', '-O0', '-Wall', '-Wextra', ...definitions, ...includes, ...sources, ...link])
  const { stdout } = await run(program).catch((error: { stdout: string }) => error)
  expect(stdout).toBe('padded engine: 0 wrong\n')
}, 120_000)
