// What a user sees when a native file or libtorch is missing, wrong or broken; and that nothing is opened too early.
import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { BtError } from '../../src/errors.js'
import { openAhead, openedAhead } from '../../src/native/ahead.js'
import { findLibtorch } from '../../src/native/find.js'
import { addonPath, coreMinors, loadCore, loadedCore, loadLoader } from '../../src/native/load.js'
import { openRuntime } from '../../src/native/runtime.js'
import { packageRoot } from '../../src/paths.js'

afterEach(() => vi.unstubAllEnvs())

function caught(call: () => unknown): BtError {
  try {
    call()
  } catch (error) {
    if (error instanceof BtError) return error
    throw error
  }
  throw new Error('expected a BtError')
}

/** A folder with these files: name to content. */
function folder(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'bt-load-'))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  return root
}

test('importing opens nothing', () => {
  expect(loadedCore()).toBeUndefined()
})

test('no addon', () => {
  vi.stubEnv('BT_NATIVE_ADDON', '/nonexistent/bt_native.node')
  const error = caught(loadLoader)
  expect(error).toMatchObject({ code: 'BT_ADDON_NOT_FOUND' })
  expect(error.message).toContain('/nonexistent/bt_native.node')
})

test('an addon that is none', () => {
  vi.stubEnv('BT_NATIVE_ADDON', join(folder({ 'bt_native.node': 'text' }), 'bt_native.node'))
  const error = caught(loadLoader)
  expect(error.code).toBe('BT_ADDON_NOT_FOUND')
  expect(error.message).toContain('could not be opened')
})

test('no libtorch: every place is listed, with the remedy', () => {
  vi.stubEnv('BT_NATIVE_CACHE', folder({}))
  for (const name of ['BT_NATIVE_LIBTORCH', 'VIRTUAL_ENV', 'CONDA_PREFIX']) vi.stubEnv(name, '')
  vi.stubEnv('LIBTORCH', '/nonexistent/libtorch')
  const error = caught(loadCore)
  expect(error).toMatchObject({ code: 'BT_LIBTORCH_NOT_FOUND' })
  expect(error.message).toContain('LIBTORCH: /nonexistent/libtorch: does not exist')
  expect(error.message).toContain('not set: BT_NATIVE_LIBTORCH, VIRTUAL_ENV, CONDA_PREFIX')
  expect(error.remedy).toContain('npx bt-native setup')
})

test('libtorch of a version without a core', () => {
  const libtorch = folder({
    'torch/lib/libtorch_cpu.so': '',
    'torch/lib/libc10.so': '',
    'torch/version.py': "__version__ = '1.13.1'\n",
  })
  const error = caught(() => loadCore({ libtorch }))
  expect(error).toMatchObject({ code: 'BT_TORCH_VERSION' })
  expect(error.message).toContain(`is torch 1.13.1; the core is built for ${coreMinors(addonPath()).join(', ')}`)
})

test("a library that does not open: the linker's own words", () => {
  const libtorch = folder({ 'torch/lib/libtorch_cpu.so': 'text', 'torch/lib/libc10.so': 'text' })
  const error = caught(() => loadCore({ libtorch }))
  expect(error).toMatchObject({ code: 'BT_LIBRARY' })
  expect(error.message).toMatch(/libc10\.so: (file too short|invalid ELF header)/)
  expect(error.remedy).toContain(libtorch)
})

test('opening ahead leaves what is wrong to whoever needs it', async () => {
  vi.stubEnv('BT_NATIVE_CACHE', folder({}))
  for (const name of ['VIRTUAL_ENV', 'CONDA_PREFIX', 'LIBTORCH']) vi.stubEnv(name, '')
  openAhead() // finds nothing
  vi.stubEnv('BT_NATIVE_LIBTORCH', folder({ 'torch/lib/libtorch_cpu.so': 'text', 'torch/lib/libc10.so': 'text' }))
  openAhead() // finds something that does not open
  await openedAhead()
  await expect(openRuntime({ device: 'cpu' })).rejects.toMatchObject({ code: 'BT_LIBRARY' })
  const { loader } = loadLoader()
  await expect(loader.openLibrariesAhead(['/nonexistent/libc10.so'])).rejects.toMatchObject({ code: 'BT_LIBRARY' })
  expect(() => loader.openLibrariesAhead(['libc10.so'])).toThrow(/expected a path/)
})

test('the loader refuses what is no path, and libraries that are not libtorch', () => {
  const { loader } = loadLoader()
  const code = (call: () => unknown) => {
    try {
      return call()
    } catch (error) {
      return (error as { code?: string }).code
    }
  }
  expect(code(() => loader.openLibraries('x' as never))).toBe('BT_ARGUMENT')
  expect(code(() => loader.openLibraries(['libc.so.6']))).toBe('BT_ARGUMENT')
  expect(code(() => loader.openLibraries([1 as never]))).toBe('BT_ARGUMENT')
  expect(code(() => loader.openLibraries([]))).toBe('BT_LIBRARY')
  expect(code(() => loader.openCore('/nonexistent/libbt_core.so'))).toBe('BT_LIBRARY')
})

test('after all these failures the right libtorch still opens, and a second one is refused', async () => {
  const open = loadCore({ device: 'cpu' })
  expect(open.libtorch.taken).toBe(true)
  expect(open.corePath).toContain(`libbt_core-${open.torch}.so`)
  expect(loadCore()).toBe(open)
  expect(loadCore({ libtorch: open.libtorch.path })).toBe(open)
  const other = folder({ 'lib/libtorch_cpu.so': '', 'lib/libc10.so': '' })
  expect(caught(() => loadCore({ libtorch: other })).message).toContain('this process already uses')
  try {
    loadLoader().loader.openLibraries([join(other, 'lib/libtorch_cpu.so')])
    expect.unreachable()
  } catch (error) {
    expect(error).toMatchObject({ code: 'BT_LIBRARY' })
  }
  await (await openRuntime({ device: 'cpu' })).close()
})

test('cuda is refused by name where there is none', async () => {
  const here = findLibtorch().find((it) => it.taken)
  if (here?.cuda && loadCore().core.info().cudaDevices > 0) return
  await expect(openRuntime({ device: 'cuda' })).rejects.toMatchObject({ code: 'BT_CUDA' })
})

test('neither native file needs more of glibc and libstdc++ than libtorch does', async () => {
  const { addon, corePath } = loadCore()
  const needed = async (path: string) =>
    new Promise<string>((resolve, reject) =>
      execFile('objdump', ['-T', path], { maxBuffer: 1 << 26 }, (error, out) => (error ? reject(error) : resolve(out))),
    )
  for (const path of [addon, corePath]) {
    const symbols = await needed(path)
    const newest = (prefix: string) =>
      Math.max(0, ...[...symbols.matchAll(new RegExp(`\\(${prefix}([0-9]+)`, 'g'))].map((match) => Number(match[1])))
    expect(newest('GLIBC_2\\.'), path).toBeLessThanOrEqual(28)
    expect(newest('GLIBCXX_3\\.4\\.'), path).toBeLessThan(30)
  }
})

test('of its own the core exports its entry alone', async () => {
  const { corePath } = loadCore()
  const out = await new Promise<string>((resolve, reject) =>
    execFile('nm', ['-D', '--defined-only', '--format=posix', corePath], (error, text) =>
      error ? reject(error) : resolve(text),
    ),
  )
  const names = out
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[0]!)
  // The rest are type names and inline functions of libstdc++ and libtorch, which must be one in the process.
  expect(names.filter((name) => !name.startsWith('_Z') || name.includes('2bt'))).toEqual(['bt_core_init'])
})

test('libtorch keeps what it makes for few shapes of products, unless the environment says how many', () => {
  const script = `
    const { loadCore } = await import(${JSON.stringify(join(packageRoot, 'dist', 'native', 'load.js'))})
    loadCore({ device: 'cpu' })
    console.log(process.env.ONEDNN_PRIMITIVE_CACHE_CAPACITY, process.env.LRU_CACHE_CAPACITY)`
  const set = (env: NodeJS.ProcessEnv) =>
    execFileSync(process.execPath, ['--input-type=module', '-e', script], { env: { ...process.env, ...env } })
  expect(set({}).toString().trim()).toBe('96 96')
  expect(set({ ONEDNN_PRIMITIVE_CACHE_CAPACITY: '512' }).toString().trim()).toBe('512 96')
})
