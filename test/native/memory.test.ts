import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { availableMemory, memoryLimit } from '../../src/native/memory.js'
import { readProcessor } from '../../src/native/processor.js'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'bt-memory-'))
  await file('proc/meminfo', 'MemTotal:       8000 kB\nMemFree:  10 kB\nMemAvailable:   5000 kB\n')
})
afterEach(() => rm(root, { recursive: true }))

async function file(path: string, content: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true })
  await writeFile(join(root, path), content)
}

test('without limits the machine sets it', async () => {
  await file('proc/self/cgroup', '0::/user.slice\n')
  await file('sys/fs/cgroup/user.slice/memory.max', 'max\n')
  await file('proc/self/limits', 'Max address space         unlimited            unlimited            bytes\n')
  expect(memoryLimit(root)).toEqual({ bytes: 8000 * 1024, from: 'machine' })
  expect(availableMemory(root)).toBe(5000 * 1024)
})

test.each([
  ['of its own', 'user.slice/job.scope'],
  ['around it', 'user.slice'],
])('a control group %s may leave less', async (_, limited) => {
  await file('proc/self/cgroup', '0::/user.slice/job.scope\n')
  await file('sys/fs/cgroup/user.slice/memory.max', 'max\n')
  await file('sys/fs/cgroup/user.slice/job.scope/memory.max', 'max\n')
  await file(`sys/fs/cgroup/${limited}/memory.max`, '4096000\n')
  expect(memoryLimit(root)).toEqual({ bytes: 4096000, from: 'control group' })
})

test('so may one of version 1, whose other controllers do not matter', async () => {
  await file('proc/self/cgroup', '9:cpu,cpuacct:/none\n4:memory:/jobs/7\n0::/\n')
  await file('sys/fs/cgroup/memory/memory.limit_in_bytes', '9223372036854771712\n')
  await file('sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes', '2048000\n')
  expect(memoryLimit(root)).toEqual({ bytes: 2048000, from: 'control group' })
})

test('and so may ulimit', async () => {
  await file('proc/self/limits', 'Max address space         1024000              unlimited            bytes\n')
  expect(memoryLimit(root)).toEqual({ bytes: 1024000, from: 'ulimit' })
})

test('this machine has memory', () => {
  expect(memoryLimit().bytes).toBeGreaterThan(1e8)
  expect(availableMemory()).toBeGreaterThan(1e6)
})

test('the processor is told by its flags', () => {
  const plain = 'model name\t: A Processor\nflags\t\t: fpu avx2 avx512f avx512bw avx512dq avx512vl'
  expect(readProcessor(plain)).toEqual({ name: 'A Processor', avx512: true, avx512Bf16: false, amxBf16: false })
  expect(readProcessor(`${plain} avx512_bf16 amx_tile amx_bf16\n`)).toMatchObject({ avx512Bf16: true, amxBf16: true })
  expect(readProcessor('')).toEqual({ name: 'unknown', avx512: false, avx512Bf16: false, amxBf16: false })
})
