// What is said on machines that are not this one: other systems, an old glibc, no GPU.
import { expect, test } from 'vitest'
import { explainLinker } from '../../src/native/explain.js'
import { noLibtorch, noLoader } from '../../src/native/load-errors.js'
import { type Machine, machineObstacle, thisMachine } from '../../src/native/machine.js'
import { noCuda } from '../../src/native/no-cuda.js'

const debian: Machine = { platform: 'linux', arch: 'x64', glibc: '2.36', runtime: 'Node 20.20.0' }

test('this machine, and all with glibc 2.28 or later on x86-64, have no obstacle', () => {
  expect(machineObstacle(thisMachine())).toBeUndefined()
  for (const glibc of ['2.28', '2.36', '3.0']) expect(machineObstacle({ ...debian, glibc }), glibc).toBeUndefined()
})

test.each([
  ['musl', { glibc: undefined }, /no glibc \(musl/, /bookworm/],
  ['an old glibc', { glibc: '2.17' }, /glibc 2\.17 is too old: libtorch needs 2\.28/, /newer system/],
  ['arm64', { arch: 'arm64' }, /for arm64/, /x86-64/],
  ['Windows', { platform: 'win32', glibc: undefined }, /for Windows/, /WSL 2/],
  ['macOS', { platform: 'darwin', arch: 'arm64', glibc: undefined }, /for macOS/, /Linux/],
])('%s: one error with the reason, the places and what to do', (_, difference, reason, remedy) => {
  const machine = { ...debian, ...difference }
  const error = noLoader({ env: {}, machine })
  expect(error.code).toBe('BT_ADDON_NOT_FOUND')
  expect(error.message).toMatch(reason)
  expect(error.message).toMatch(/built: .*build\/Release\/bt_native\.node.*\n.*prebuilt: .*prebuilds\/linux-x64/)
  expect(error.remedy).toMatch(remedy)
  expect(error.remedy).not.toContain('npm install') // would change nothing
})

test.each([
  ['libcuda.so.1: cannot open shared object file: No such file or directory', /driver is missing/],
  ["/lib/libm.so.6: version `GLIBC_2.29' not found (required by libtorch_cpu.so)", /glibc lacks GLIBC_2\.29/],
  ["/opt/conda/lib/libstdc++.so.6: version `GLIBCXX_3.4.29' not found", /LD_LIBRARY_PATH/],
  ['/x/libc10.so: file too short', /damaged/],
  ['/x/libc10.so: cannot open shared object file: Permission denied', /may not read/],
  ['/x/libbt_core-2.11.so: undefined symbol: _ZN3c105ErrorC2', /different versions/],
  ['/x/libbt_core-2.11.so: failed to map segment from shared object', /noexec/],
  ['libgomp-a34b3233.so.1: cannot allocate memory in static TLS block', /LD_PRELOAD/],
  ['libnuma.so.1: cannot open shared object file: No such file or directory', /libnuma\.so\.1 is missing/],
])("the linker's words are explained: %s", (words, meaning) => {
  expect(explainLinker(words)).toMatch(meaning)
})

test('another version of torch: first what is a download, then what is a compilation', () => {
  const found = {
    source: 'cache' as const,
    path: '/c/libtorch-2.13.0-cpu',
    version: '2.13.0+cu130',
    cuda: false,
    taken: false,
    reason: 'is torch 2.13.0',
  }
  const error = noLibtorch([found], ['2.11'])
  expect(error.code).toBe('BT_TORCH_VERSION')
  expect(error.message).toContain('cache: /c/libtorch-2.13.0-cpu: is torch 2.13.0')
  expect(error.remedy!.split('\n')).toEqual([
    expect.stringMatching(/setup {3}provides torch 2\.11\.0/),
    expect.stringMatching(/setup --torch 2\.13\.0 {3}builds a core/),
    expect.stringContaining('doctor'),
  ])
  expect(noLibtorch([], ['2.11'], 'cuda').remedy).toMatch(/^npx bt-native setup --device cuda/)
})

test('no GPU: every reason that is known, and what to do about each, in their order', () => {
  const all = noCuda({ libtorch: '/t', cudaBuild: false, driver: false, visible: '' })
  expect(all.message).toMatch(/no NVIDIA driver.*; \/t is a build for the CPU; CUDA_VISIBLE_DEVICES="" hides/)
  expect(all.remedy!.split('\n').map((line) => line.slice(0, 14))).toEqual([
    'Install NVIDIA',
    'npx bt-native ',
    'Unset CUDA_VIS',
    'npx bt-native ',
  ])
  const old = noCuda({ libtorch: '/t', cudaBuild: true, driver: true, visible: '0' })
  expect(old.message).toContain('libtorch sees none')
  expect(old.remedy).toMatch(/nvidia-smi/)
  const broken = noCuda({ libtorch: '/t', cudaBuild: true, driver: true, problem: 'libnccl.so.2: cannot open' })
  expect(broken.message).toContain('libtorch_cuda.so does not open: libnccl.so.2')
})
