import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findLibtorch } from '../../src/native/find.js'
import { provideLibtorch, wanted } from '../../src/setup/libtorch.js'
import { makePlace, type Place, writeTorch29, writeTorch211, writeWheel } from './wheels.js'

let place: Place
beforeEach(() => {
  place = makePlace()
})
afterEach(() => place.remove())

const filesUnder = (folder: string) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
/** Where a run keeps complete wheels: a set-up that finds all of them there needs no pip. */
const kept = (version: string, device = 'cpu') =>
  join(place.root, 'cache', 'downloads', `libtorch-${version}-${device}`)
const withoutPip = (): NodeJS.ProcessEnv => ({ ...place.env, PATH: '' })
const cached = () =>
  readdirSync(join(place.root, 'cache')).filter((name) => name !== 'downloads' && name !== 'libtorch-chosen')

describe('libtorch from the index', () => {
  it('keeps what the CPU needs in the layout of a Python environment, and drops the wheels', async () => {
    writeTorch211(place.index)
    const labels = new Set<string>()
    const onProgress = ({ label }: { label: string }) => labels.add(label)
    const { folder, version, created } = await provideLibtorch({ env: place.env, onProgress })
    expect({ version, created }).toEqual({ version: '2.11.0', created: true })
    expect(filesUnder(folder)).toEqual([
      'manifest.json',
      'nvidia/cu13/lib/libcudart.so.13',
      'nvidia/cu13/lib/libcupti.so.13',
      'torch/include/ATen/ATen.h',
      'torch/include/odd, name.h',
      'torch/lib/libc10.so',
      'torch/lib/libgomp.so.1',
      'torch/lib/libtorch_cpu.so',
      'torch/version.py',
    ])
    expect(readFileSync(join(folder, 'torch/lib/libtorch_cpu.so'))).toHaveLength(300_000)
    expect(readdirSync(join(place.root, 'cache', 'downloads'))).toEqual([])
    expect([...labels]).toContain('downloading torch 2.11.0')
    expect([...labels]).toContain('unpacking libtorch 2.11.0')
  })

  it('does nothing the second time, without pip, in less than a second', async () => {
    writeTorch211(kept('2.11.0'))
    await provideLibtorch({ env: place.env })
    const start = performance.now()
    const again = await provideLibtorch({ env: withoutPip() })
    expect(again.created).toBe(false)
    expect(performance.now() - start).toBeLessThan(1000)
  })

  it('fetches every NVIDIA library for CUDA, and no Python package', async () => {
    writeTorch211(kept('2.11.0', 'cuda'))
    const { folder } = await provideLibtorch({ env: withoutPip(), device: 'cuda' })
    expect(filesUnder(folder).filter((path) => path.includes('.so'))).toEqual([
      'nvidia/cu13/lib/libcublas.so.13',
      'nvidia/cu13/lib/libcudart.so.13',
      'nvidia/cu13/lib/libcupti.so.13',
      'nvidia/nccl/lib/libnccl.so.2',
      'torch/lib/libc10.so',
      'torch/lib/libgomp.so.1',
      'torch/lib/libtorch_cpu.so',
      'torch/lib/libtorch_cuda.so',
    ])
    expect(folder).toMatch(/libtorch-2\.11\.0-cuda$/)
  })

  it('follows the pins of older versions, which name the CUDA wheels outright', async () => {
    writeTorch29(kept('2.9.1'))
    const { folder, source } = await provideLibtorch({ env: place.env, version: '2.9.1' })
    expect(filesUnder(folder)).toContain('nvidia/cuda_runtime/lib/libcudart.so.12')
    expect(source).toBe('torch 2.9.1, nvidia-cuda-runtime-cu12 12.8.90, nvidia-cuda-cupti-cu12 12.8.90')
  })

  it('says which versions there are when the one asked for is not', async () => {
    writeTorch29(place.index)
    await expect(provideLibtorch({ env: place.env, version: '9.9.9' })).rejects.toMatchObject({
      code: 'BT_VERSION_UNKNOWN',
      message: expect.stringContaining('2.9.1'),
    })
  })

  it('lets one of two set-ups work and the other wait', async () => {
    writeTorch29(kept('2.9.1'))
    const waits: string[] = []
    const options = { env: place.env, version: '2.9.1', onWait: (holder: string) => waits.push(holder) }
    const both = await Promise.all([provideLibtorch(options), provideLibtorch(options)])
    expect(both.map(({ created }) => created).sort()).toEqual([false, true])
    expect(waits).toHaveLength(1)
    expect(cached()).toEqual(['libtorch-2.9.1-cpu'])
  })
})

it('is opened before others of the cache when it was asked for by name, until it is left to choose', async () => {
  const env = withoutPip()
  const used = () => findLibtorch({ env }).find(({ taken }) => taken)?.version
  for (const name of ['BT_NATIVE_LIBTORCH', 'VIRTUAL_ENV', 'CONDA_PREFIX', 'LIBTORCH'] as const) delete env[name]
  writeTorch211(kept('2.11.0'))
  writeTorch29(kept('2.9.1'))
  await provideLibtorch({ env, version: '2.9.1' })
  await provideLibtorch({ env })
  expect(used()).toMatch(/^2\.11\.0/)
  expect((await provideLibtorch({ env, version: '2.9.1' })).created).toBe(false)
  expect(used()).toMatch(/^2\.9\.1/)
})

describe('what goes wrong on the way', () => {
  it('refuses a wheel whose content differs from its RECORD, names the file and leaves nothing in place', async () => {
    for (const folder of [place.index, kept('2.9.1')]) writeTorch29(folder, ['torch/lib/libc10.so'])
    await expect(provideLibtorch({ env: place.env, version: '2.9.1' })).rejects.toMatchObject({
      code: 'BT_WHEEL_BROKEN',
      message: expect.stringContaining('torch/lib/libc10.so differs'),
    })
    expect(cached()).toEqual([])
  })

  it('fetches a kept download afresh when it is cut short', async () => {
    const whole = readFileSync(writeTorch29(place.index))
    writeFileSync(writeTorch29(kept('2.9.1')), whole.subarray(0, whole.length / 2))
    const { folder } = await provideLibtorch({ env: place.env, version: '2.9.1' })
    expect(existsSync(join(folder, 'torch/lib/libtorch_cpu.so'))).toBe(true)
  })

  it('makes a damaged folder afresh: a missing file at once, a changed one with verify', async () => {
    const options = { env: withoutPip(), version: '2.9.1' }
    writeTorch29(kept('2.9.1'))
    const { folder } = await provideLibtorch(options)
    writeFileSync(join(folder, 'torch/lib/libc10.so'), 'cXX')
    expect((await provideLibtorch(options)).created).toBe(false)
    writeTorch29(kept('2.9.1'))
    expect((await provideLibtorch({ ...options, verify: true })).created).toBe(true)
    expect(readFileSync(join(folder, 'torch/lib/libc10.so'), 'utf8')).toBe('c10')
    writeFileSync(join(folder, 'torch/lib/libc10.so'), '')
    writeTorch29(kept('2.9.1'))
    expect((await provideLibtorch(options)).created).toBe(true)
  })

  it('names the setting for another folder when the cache cannot be made', async () => {
    writeFileSync(join(place.root, 'file'), '')
    const env = { ...place.env, BT_NATIVE_CACHE: join(place.root, 'file', 'cache') }
    await expect(provideLibtorch({ env })).rejects.toMatchObject({
      code: 'BT_IO',
      remedy: expect.stringContaining('BT_NATIVE_CACHE'),
    })
  })

  it('stops when aborted and leaves nothing in place', async () => {
    writeTorch211(place.index)
    const signal = AbortSignal.timeout(300)
    await expect(provideLibtorch({ env: place.env, signal })).rejects.toThrow(/timeout/)
    expect(cached()).toEqual([])
  })
})

describe('libtorch that is already on the machine', () => {
  const torchIn = (root: string, version: string) => {
    mkdirSync(join(root, 'lib'), { recursive: true })
    writeFileSync(join(root, 'lib/libtorch_cpu.so'), `cpu of ${version}`)
    writeFileSync(join(root, 'lib/libc10.so'), 'c10')
    writeFileSync(join(root, 'version.py'), `__version__ = '${version}+cpu'\n`)
  }

  it('links to the torch of a Python environment, and notices when that was upgraded', async () => {
    const environment = join(place.root, 'venv')
    const torch = join(environment, 'lib/python3.12/site-packages/torch')
    torchIn(torch, '2.13.0')
    mkdirSync(join(torch, '../nvidia'))
    const first = await provideLibtorch({ env: place.env, from: environment })
    expect(first).toMatchObject({ version: '2.13.0', created: true })
    expect(realpathSync(join(first.folder, 'torch'))).toBe(realpathSync(torch))
    expect(existsSync(join(first.folder, 'nvidia'))).toBe(true)
    expect((await provideLibtorch({ env: place.env, from: environment })).created).toBe(false)
    torchIn(torch, '2.14.10')
    const upgraded = await provideLibtorch({ env: place.env, from: environment })
    expect(upgraded).toMatchObject({ version: '2.14.10', created: true })
  })

  it('reads the version of an unpacked libtorch, and replaces what was there', async () => {
    writeTorch29(kept('2.9.1'))
    await provideLibtorch({ env: place.env, version: '2.9.1' })
    const unpacked = join(place.root, 'libtorch')
    torchIn(unpacked, 'unused')
    writeFileSync(join(unpacked, 'version.py'), '')
    writeFileSync(join(unpacked, 'build-version'), '2.9.1+cpu\n')
    const linked = await provideLibtorch({ env: place.env, from: unpacked })
    expect(linked).toMatchObject({ version: '2.9.1', created: true })
    expect(realpathSync(join(linked.folder, 'torch'))).toBe(realpathSync(unpacked))
    expect((await provideLibtorch({ env: place.env, from: linked.folder })).created).toBe(false)
  })

  it('refuses a version that was not asked for, and a folder without torch', async () => {
    const torch = join(place.root, 'torch')
    torchIn(torch, '2.13.0')
    await expect(provideLibtorch({ env: place.env, from: torch, version: '2.11.0' })).rejects.toMatchObject({
      code: 'BT_TORCH_VERSION',
    })
    await expect(provideLibtorch({ env: place.env, from: place.index })).rejects.toMatchObject({
      code: 'BT_NOT_LIBTORCH',
    })
    await expect(provideLibtorch({ env: place.env, from: torch, device: 'cuda' })).rejects.toMatchObject({
      code: 'BT_NOT_LIBTORCH',
      message: expect.stringContaining('libtorch_cuda.so'),
    })
  })

  it('unpacks a local wheel with the wheels that lie beside it, without pip', async () => {
    const wheels = join(place.root, 'wheels')
    const wheel = writeTorch29(wheels)
    const options = { env: { ...place.env, PATH: '' }, from: wheel }
    expect(await provideLibtorch(options)).toMatchObject({ version: '2.9.1', created: true })
    expect((await provideLibtorch(options)).created).toBe(false)
    expect(existsSync(wheel)).toBe(true)
  })

  it('unpacks the wheel that was named, not another of its version beside it', async () => {
    const wheels = join(place.root, 'wheels')
    writeTorch29(wheels)
    const files = (core: string) => ({ 'torch/lib/libtorch_cpu.so': core, 'torch/lib/libc10.so': 'c10' })
    const torch = (tag: string) => writeWheel(wheels, { name: 'torch', version: '2.9.1', tag, files: files(tag) })
    for (const tag of ['cp310-cp310-linux_x86_64', 'cp313-cp313-linux_x86_64']) {
      const { folder } = await provideLibtorch({ env: withoutPip(), from: torch(tag) })
      expect(readFileSync(join(folder, 'torch/lib/libtorch_cpu.so'), 'utf8')).toBe(tag)
    }
  })

  it('refuses a wheel of something else, and a broken one without touching it', async () => {
    const other = writeWheel(place.root, { name: 'numpy', version: '1.0', tag: 'py3-none-any', files: {} })
    await expect(provideLibtorch({ env: place.env, from: other })).rejects.toMatchObject({ code: 'BT_NOT_LIBTORCH' })
    const broken = join(place.root, 'torch-2.9.1-cp312-cp312-linux_x86_64.whl')
    writeFileSync(broken, 'not a zip')
    await expect(provideLibtorch({ env: place.env, from: broken })).rejects.toMatchObject({ code: 'BT_WHEEL_BROKEN' })
    expect(existsSync(broken)).toBe(true)
  })
})

it('keeps the suffixes that libraries carry', () => {
  expect(wanted('torch/lib/libgomp-a34b3233.so.1', 'cpu')).toBe(true)
  expect(wanted('nvidia/cuda_cupti/lib/libcupti.so.12', 'cpu')).toBe(true)
  expect(wanted('nvidia/cu13/lib/libnvperf_host.so', 'cpu')).toBe(false)
  expect(wanted('nvidia/cu13/lib/libcudart_static.a', 'cuda')).toBe(false)
})
