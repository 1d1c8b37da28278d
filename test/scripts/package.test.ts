// What `npm pack` would send to a registry: all that a user needs and no more, with exact and permitted dependencies.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { libtorchsFor } from '../../scripts/prebuild.mjs'
import { packageRoot } from '../../src/paths.js'
import { packageVersion } from '../../src/version.js'

const read = (name: string) => readFileSync(join(packageRoot, name), 'utf8')
const manifest = JSON.parse(read('package.json'))

describe('the packed files', () => {
  let names: string[]
  let bytes: { packed: number; unpacked: number }
  beforeAll(() => {
    const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
    const [packed] = JSON.parse(execFileSync('npm', args, { cwd: packageRoot, encoding: 'utf8' }))
    names = packed.files.map((file: { path: string }) => file.path)
    bytes = { packed: packed.size, unpacked: packed.unpackedSize }
  }, 60_000)

  test('hold the program, its types, its sources to build from, and what it reads at run time', () => {
    const needed = ['bin/bt-native.js', 'dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js', 'dist/setup/probe.js']
    const native = ['binding.d.ts', 'CMakeLists.txt', 'cmake/cuda.cmake', 'native/loader.cc', 'native/glibc.h']
    expect(names).toEqual(expect.arrayContaining([...needed, ...native, 'examples/seed.jsonl', 'LICENSE', 'README.md']))
    const sources = readdirSync(join(packageRoot, 'native'), { recursive: true, encoding: 'utf8' })
    const compiled = sources.filter((name) => /(?<!_test)\.(cc|cu|cuh|map)$/.test(name))
    expect(names).toEqual(expect.arrayContaining(compiled.map((name) => `native/${name}`)))
  })

  test('hold no tests, no TypeScript sources, no build, and no binding.gyp, which npm would run node-gyp for', () => {
    const others = names.filter((name) =>
      /(^(src|test|bench|scripts|build|node_modules|\.ci)\/)|binding\.gyp$|_test\.cc$|\.js\.map$|\.tgz$|^dist\/\.|testing\.h$/.test(
        name,
      ),
    )
    expect(others).toEqual([])
  })

  test('hold each module whose source is there, and none whose source is gone', () => {
    const modules = names.filter((name) => /^dist\/.*\.js$/.test(name))
    expect(modules.length).toBeGreaterThan(100)
    for (const name of modules) {
      expect(existsSync(join(packageRoot, name.replace(/^dist/, 'src').replace(/\.js$/, '.ts'))), name).toBe(true)
    }
  })

  test('are small: under 10 MB with cores for two torches and kernels for GPUs', () => {
    const prebuilt = names.filter((name) => name.startsWith('prebuilds/'))
    expect(bytes.packed).toBeLessThan(prebuilt.length > 0 ? 10e6 : 1.2e6)
    expect(bytes.unpacked).toBeLessThan(prebuilt.length > 0 ? 25e6 : 4e6)
  })
})

test('no script runs when it is installed', () => {
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']) {
    expect(manifest.scripts).not.toHaveProperty(name)
  }
})

test("the program's version is the package's", () => {
  expect(packageVersion()).toBe(manifest.version)
})

test('the refusal of other systems stands in package.json, for the package manager to tell', () => {
  expect(manifest).toMatchObject({ os: ['linux'], cpu: ['x64'], libc: ['glibc'], engines: { node: '>=20.19' } })
})

describe('dependencies', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { version: string; integrity?: string; dev?: boolean }>
  }

  test('are exact, and each package that is installed has a hash', () => {
    for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
      expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/)
    }
    for (const [path, { integrity }] of Object.entries(packages)) {
      // What is meant for other systems has none.
      if (path !== '' && existsSync(join(packageRoot, path))) expect(integrity, path).toMatch(/^sha512-/)
    }
  })

  test('have licences that permit any use, and docs/licences.md lists them all', () => {
    const permitted = /^\(?(MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD|BlueOak-1\.0\.0)\b/
    const listed = read('docs/licences.md')
    for (const [path, { version, dev }] of Object.entries(packages)) {
      const folder = join(packageRoot, path)
      if (path === '' || dev || !existsSync(folder)) continue
      const { name, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      expect(license, name).toMatch(permitted)
      expect(listed).toContain(`| ${name} | ${version} | ${license} |`)
    }
  })
})

describe('prebuild', () => {
  const names = ['libtorch-2.11.0-cpu', 'libtorch-2.13.0-cuda', 'libtorch-2.13.1-cpu', 'libtorch-chosen', 'models']

  test('takes the newest libtorch of each minor version, newest first', () => {
    expect(libtorchsFor(names).map(({ name }) => name)).toEqual(['libtorch-2.13.1-cpu', 'libtorch-2.11.0-cpu'])
    expect(libtorchsFor(names, ['2.13.0']).map(({ minor }) => minor)).toEqual(['2.13'])
  })

  test('tells how to get one that is not there', () => {
    expect(() => libtorchsFor(names, ['2.14.0'])).toThrow(/libtorch 2\.14\.0 is not in the cache/)
  })
})
