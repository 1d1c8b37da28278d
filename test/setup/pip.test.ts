import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  downloadArguments,
  findPip,
  findWheel,
  parseWheelName,
  platformTags,
  versionFits,
} from '../../src/setup/pip.js'
import { makePlace, type Place, writeTorch211 } from './wheels.js'

let place: Place
beforeEach(() => {
  place = makePlace()
})
afterEach(() => place.remove())

describe('finding pip', () => {
  it('names the package to install when there is none', async () => {
    const nowhere = join(place.root, 'python3')
    await expect(findPip(place.env, [[nowhere, ['-m', 'pip']]])).rejects.toMatchObject({
      code: 'BT_PIP_MISSING',
      remedy: expect.stringContaining('apt-get install -y python3-pip'),
    })
  })

  it('passes over a Python that was made without pip', async () => {
    const bare = join(place.root, 'python3')
    writeFileSync(bare, '#!/bin/sh\necho "No module named pip" >&2\nexit 1\n')
    chmodSync(bare, 0o755)
    const other = join(place.root, 'pip3')
    writeFileSync(other, '#!/bin/sh\necho "pip 26.1 from /somewhere (python 3.13)"\n')
    chmodSync(other, 0o755)
    const pip = await findPip(place.env, [
      [bare, ['-m', 'pip']],
      [other, []],
    ])
    expect(pip).toEqual({ command: other, args: [], version: '26.1' })
  })
})

describe('what pip is asked', () => {
  it('fixes Python and platform, so that any Python fetches the same wheel', () => {
    const args = downloadArguments(
      { name: 'torch', version: '2.11.0' },
      { folder: '/downloads', platforms: platformTags('x64') },
    )
    expect(args).toEqual(
      expect.arrayContaining(['download', '--no-deps', '--only-binary=:all:', '--python-version=3.12']),
    )
    expect(args).toEqual(
      expect.arrayContaining(['--platform=manylinux_2_28_x86_64', '--platform=manylinux2014_x86_64']),
    )
    expect(args.slice(-2)).toEqual(['--dest=/downloads', 'torch==2.11.0'])
  })

  it('lists every tag that NVIDIA uses, because pip takes them literally', () => {
    for (const tag of ['2_28', '2_27', '2_25', '2_18', '2_17'])
      expect(platformTags('x64')).toContain(`manylinux_${tag}_x86_64`)
  })

  it('asks for aarch64 wheels there', () => {
    expect(platformTags('arm64')).toContain('manylinux_2_28_aarch64')
  })
})

describe('wheels by file name', () => {
  it('finds one whatever the spelling of its name, and by the prefix of its version', async () => {
    writeTorch211(place.index)
    const find = (name: string, version: string) =>
      findWheel({ name, version }, [join(place.root, 'absent'), place.index])
    expect(await find('nvidia-cuda-runtime', '13.0.96.*')).toMatch(/nvidia_cuda_runtime-13\.0\.96-/)
    expect(await find('Nvidia_CUDA.runtime', '13.0.96')).toBeDefined()
    expect(await find('nvidia-cuda-runtime', '13.0.9.*')).toBeUndefined()
    expect(await find('torch', '2.11.1')).toBeUndefined()
  })

  it('does not compare the local part of a version', () => {
    expect(parseWheelName('torch-2.11.0+cpu-cp312-cp312-linux_x86_64.whl')).toEqual({
      name: 'torch',
      version: '2.11.0+cpu',
    })
    expect(versionFits('2.11.0+cpu', '2.11.0')).toBe(true)
    expect(versionFits('2.11.0', '2.1.*')).toBe(false)
  })
})
