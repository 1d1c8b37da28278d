// Where libtorch is looked for, in which order, and what is said of each place.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { findLibtorch } from '../../src/native/find.js'
import { chosenLibtorchFile, libtorchFolder } from '../../src/paths.js'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bt-find-'))
})

function touch(path: string, text = ''): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** A folder that looks like a wheel's. */
function wheel(path: string, { version = '2.11.0+cu130', cuda = false, c10 = true } = {}): string {
  touch(join(path, 'torch/lib/libtorch_cpu.so'))
  if (c10) touch(join(path, 'torch/lib/libc10.so'))
  if (cuda) touch(join(path, 'torch/lib/libtorch_cuda.so'))
  touch(join(path, 'torch/version.py'), `__version__ = '${version}'\ndebug = False\n`)
  return path
}

const cache = () => ({ BT_NATIVE_CACHE: join(root, 'cache') })
const taken = (options: Parameters<typeof findLibtorch>[0]) => findLibtorch(options).find((it) => it.taken)

test('the option comes before BT_NATIVE_LIBTORCH, our cache, a Python environment and LIBTORCH', () => {
  const env: NodeJS.ProcessEnv = {
    ...cache(),
    BT_NATIVE_LIBTORCH: wheel(join(root, 'named')),
    VIRTUAL_ENV: join(root, 'venv'),
    LIBTORCH: wheel(join(root, 'libtorch')),
  }
  wheel(libtorchFolder('2.11.0', 'cpu', env))
  wheel(join(root, 'venv/lib/python3.12/site-packages'))
  const libtorch = wheel(join(root, 'option'))

  const order: string[] = []
  order.push(taken({ libtorch, env })!.source)
  order.push(taken({ env })!.source)
  delete env.BT_NATIVE_LIBTORCH
  order.push(taken({ env })!.source)
  env.BT_NATIVE_CACHE = join(root, 'empty')
  order.push(taken({ env })!.source)
  delete env.VIRTUAL_ENV
  order.push(taken({ env })!.source)
  expect(order).toEqual(['option', 'BT_NATIVE_LIBTORCH', 'cache', 'python', 'LIBTORCH'])
})

test('a folder that the user named and that is of no use is not replaced in silence', () => {
  const env = { ...cache(), BT_NATIVE_LIBTORCH: join(root, 'nowhere'), LIBTORCH: wheel(join(root, 'libtorch')) }
  const list = findLibtorch({ env })
  expect(list.find((it) => it.taken)).toBeUndefined()
  expect(list[0]).toMatchObject({ source: 'BT_NATIVE_LIBTORCH', reason: 'does not exist' })
  expect(list.at(-1)!.reason).toContain('BT_NATIVE_LIBTORCH names another')
})

test('a cached version without a core is passed over for one that has it', () => {
  const env = cache()
  wheel(libtorchFolder('2.11.0', 'cpu', env), { version: '2.11.0' })
  wheel(libtorchFolder('2.13.1', 'cpu', env), { version: '2.13.1' })
  wheel(libtorchFolder('2.9.0', 'cpu', env), { version: '2.9.0' })
  expect(taken({ env, minors: ['2.11', '2.13'] })!.version).toBe('2.11.0')
  expect(taken({ env, minors: ['2.13', '2.9'] })!.version).toBe('2.13.1')
  expect(taken({ env, minors: ['2.9'] })!.version).toBe('2.9.0')
  const refused = findLibtorch({ env, minors: ['2.12'] })
  expect(refused.some((it) => it.taken)).toBe(false)
  expect(refused.find((it) => it.version === '2.11.0')!.reason).toBe('is torch 2.11.0; the core is built for 2.12')
})

test('what setup was asked for by name comes first in the cache, a pre-release too', () => {
  const env = cache()
  wheel(libtorchFolder('2.11.0', 'cuda', env), { cuda: true })
  wheel(libtorchFolder('2.13.0a0', 'cpu', env), { version: '2.13.0a0+git1234567' })
  expect(taken({ env })!.version).toBe('2.11.0+cu130')
  touch(chosenLibtorchFile(env), 'libtorch-2.13.0a0-cpu\n')
  expect(taken({ env })!.version).toBe('2.13.0a0+git1234567')
  expect(taken({ env, device: 'cuda' })!.version).toBe('2.11.0+cu130')
  expect(taken({ env, minors: ['2.11'] })!.version).toBe('2.11.0+cu130')
})

test('versions of the cache are compared by number, and a release comes before its pre-releases', () => {
  const env = cache()
  for (const version of ['2.9.0', '2.13.0a0', '2.13.0', '2.13.0.dev20260101', '2.10.1']) {
    wheel(libtorchFolder(version, 'cpu', env), { version })
  }
  const found = findLibtorch({ env }).filter((it) => it.lib)
  expect(found.map((it) => it.version)).toEqual(['2.13.0', '2.13.0a0', '2.13.0.dev20260101', '2.10.1', '2.9.0'])
})

test('the device decides between cached builds', () => {
  const env = cache()
  wheel(libtorchFolder('2.11.0', 'cpu', env))
  wheel(libtorchFolder('2.11.0', 'cuda', env), { cuda: true })
  expect(taken({ env, device: 'cpu' })!.cuda).toBe(false)
  expect(taken({ env, device: 'cuda' })!.cuda).toBe(true)
  expect(taken({ env, device: 'auto' })!.cuda).toBe(true)
})

test('torch/lib, lib and a bare folder of libraries all serve; versions are read from what is there', () => {
  const archive = join(root, 'archive')
  touch(join(archive, 'lib/libtorch_cpu.so'))
  touch(join(archive, 'lib/libc10.so'))
  touch(join(archive, 'build-version'), '2.11.0+cpu\n')
  expect(taken({ libtorch: archive, env: cache() })).toMatchObject({ lib: join(archive, 'lib'), version: '2.11.0+cpu' })

  const bare = join(root, 'bare')
  touch(join(bare, 'libtorch_cpu.so'))
  touch(join(bare, 'libc10.so'))
  const found = taken({ libtorch: bare, env: cache(), minors: ['2.11'] })
  expect(found).toMatchObject({ lib: bare, reason: 'usable' })
  expect(found!.version).toBeUndefined()

  const headers = join(root, 'headers')
  touch(join(headers, 'torch/lib/libtorch_cpu.so'))
  touch(join(headers, 'torch/lib/libc10.so'))
  const defines = ['MAJOR 2', 'MINOR 12', 'PATCH 3'].map((it) => `#define TORCH_VERSION_${it}\n`).join('')
  touch(join(headers, 'torch/include/torch/headeronly/version.h'), defines)
  expect(taken({ libtorch: headers, env: cache() })!.version).toBe('2.12.3')
})

test('what is missing is said', () => {
  const empty = join(root, 'empty')
  mkdirSync(empty)
  const reason = (libtorch: string, device?: 'cuda') => findLibtorch({ libtorch, env: cache(), device })[0]!.reason
  expect(reason(empty)).toBe('holds no libtorch_cpu.so in torch/lib, lib or itself')
  expect(reason(wheel(join(root, 'half'), { c10: false }))).toBe('holds no libc10.so')
  expect(reason(wheel(join(root, 'cpu')), 'cuda')).toBe('holds no libtorch_cuda.so')
})
