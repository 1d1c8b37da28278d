// What the native files may need of a machine, held to the ones that are here and to libraries planted to be wrong.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { abiProblems, checkAbi } from '../../scripts/check-abi.mjs'
import { packageRoot } from '../../src/paths.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'bt-abi-'))
})

const safe = ['-Wl,-z,relro,-z,now,-z,nodelete,-z,noexecstack', '-s']

/** Compiles a library and returns what is wrong with it. */
function problems(name: string, source: string, flags: string[], options = {}): string[] {
  const [file, library] = [join(folder, `${name}.cc`), join(folder, name)]
  writeFileSync(file, source)
  execFileSync('g++', ['-shared', '-fPIC', '-std=c++20', file, '-o', library, ...flags])
  return abiProblems(library, options)
}

test('the native files of this checkout need nothing that an older system lacks', () => {
  expect(checkAbi(packageRoot)).toEqual([])
})

test('a library that keeps every rule has no problems', () => {
  const source =
    'extern "C" int napi_create_object(void*, void**); extern "C" int f() { return napi_create_object(0, 0); }'
  expect(problems('libbt_core-1.0.so', source, safe, { stripped: true })).toEqual([])
})

test('a later Node-API, functions of Node itself and unknown libraries are found', () => {
  const source = `
    extern "C" int node_api_symbol_for(void*), napi_create_object(void*), uv_run(void*), compress(void*);
    namespace v8 { struct Isolate { static int GetCurrent(); }; }
    extern "C" int f() {
      return node_api_symbol_for(0) + napi_create_object(0) + uv_run(0) + v8::Isolate::GetCurrent();
    }`
  const torch = join(folder, 'libtorch_cpu.so')
  execFileSync('g++', ['-shared', '-fPIC', '-x', 'c++', '/dev/null', '-Wl,-soname,libtorch_cpu.so', '-o', torch])
  const found = problems('bt_native.node', source, [...safe, '-Wl,--no-as-needed', torch])
  expect(found.sort()).toEqual([
    expect.stringContaining('needs _ZN2v87Isolate'),
    'needs libtorch_cpu.so', // the loader links nothing of torch
    'needs node_api_symbol_for, which is not in Node-API 8',
    expect.stringContaining('needs uv_run'),
  ])
})

test('symbols of a newer glibc and libstdc++ are found', () => {
  // Names of versions lie in the file as text: a library of tomorrow is today's with a later number.
  const library = join(folder, 'libbt_core-2.0.so')
  const source =
    '#include <string>\n#include <cstring>\nextern "C" void f(std::string& s, void* a, void* b) { s.append("x"); memcpy(a, b, s.size()); }'
  writeFileSync(join(folder, 'new.cc'), source)
  execFileSync('g++', ['-shared', '-fPIC', join(folder, 'new.cc'), '-o', library, ...safe])
  const bytes = execFileSync('cat', [library], { encoding: 'latin1' })
  writeFileSync(
    library,
    bytes.replace('GLIBC_2.2.5\0', 'GLIBC_2.29\0\0').replace('GLIBCXX_3.4.21\0', 'GLIBCXX_3.4.30\0'),
    'latin1',
  )
  expect(abiProblems(library)).toEqual([
    'needs GLIBCXX_3.4.30; the newest allowed is 3.4.29',
    'needs GLIBC_2.29; the newest allowed is 2.28',
  ])
})

test('a run path, lazy binding, an executable stack and a library that may be unmapped are found', () => {
  const flags = ['-Wl,-rpath,/opt/x', '-Wl,-z,lazy,-z,norelro,-z,execstack']
  expect(problems('libbt_cuda-1.0.so', 'int x;', flags, { stripped: true })).toEqual([
    'has a run path',
    'may be unmapped (no -z nodelete)',
    'can be written to where it is linked (no full RELRO)',
    'wants an executable stack',
    'is not stripped',
  ])
})
