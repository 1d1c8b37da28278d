// What `npm pack` would send to a registry: all that a user needs and no more, with exact and permitted dependencies.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { checkLicences, isPermitted } from '../../scripts/licences.mjs'
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
  const lock = read('package-lock.json')
  const { packages } = JSON.parse(lock) as {
    packages: Record<string, { version: string; integrity?: string; license?: string; dependencies?: object }>
  }
  const here = Object.entries(packages).filter(([path]) => path !== '' && existsSync(join(packageRoot, path)))

  test('are exact, and the lock file is in step with them', () => {
    const kinds = ['dependencies', 'devDependencies'] as const
    for (const kind of kinds) expect((packages[''] as Record<string, unknown>)[kind]).toEqual(manifest[kind])
    expect(Object.keys(manifest)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(peer|optional|bundled?)Dependencies$/)]),
    )
    for (const [name, version] of kinds.flatMap((kind) => Object.entries(manifest[kind]))) {
      expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/)
      expect(packages[`node_modules/${name}`]?.version, name).toBe(version)
    }
  })

  test('have a hash each, and lie in node_modules as the lock file says', () => {
    expect(here.length).toBeGreaterThan(100)
    for (const [path, { version, integrity, license }] of here) {
      expect(integrity, path).toMatch(/^sha512-/) // what is meant for other systems has none
      const installed = JSON.parse(readFileSync(join(packageRoot, path, 'package.json'), 'utf8'))
      expect([installed.version, installed.license], path).toEqual([version, license])
    }
  })

  test('have licences that permit any use, and docs/licences.md lists them all', () => {
    expect(checkLicences(packageRoot)).toEqual([])
    const listed = read('docs/licences.md')
    for (const name of Object.keys(manifest.dependencies)) expect(listed).toContain(`| ${name} | `)
  })

  test('a licence is permitted when it can be met by those that permit any use', () => {
    for (const licence of ['MIT', '(MIT AND Zlib)', '(MIT OR GPL-3.0)'])
      expect(isPermitted(licence), licence).toBe(true)
    for (const licence of [undefined, 'GPL-3.0', 'MPL-2.0', '(MIT AND GPL-3.0)', 'MIT AND (MIT OR GPL-3.0)']) {
      expect(isPermitted(licence), licence).toBe(false)
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
