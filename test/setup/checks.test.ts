import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { checkImports, importsOf, nativeMayInclude, sourceMayImport } from '../../scripts/check-imports.mjs'
import { placesIn } from '../../scripts/check-places.mjs'
import { packages, packagesAreCurrent } from '../../scripts/prepare.mjs'
import { scoreLine } from '../../scripts/quickstart.mjs'
import { sideBySide, wrap } from '../../scripts/table.mjs'
import { countTests } from '../../scripts/test.mjs'
import { checkTools } from '../../scripts/tools.mjs'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bt-checks-'))
})
afterEach(() => {
  rmSync(root, { recursive: true })
  vi.unstubAllEnvs()
})

function write(files: Record<string, string>) {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
}

describe('the direction of imports', () => {
  it('names files that import what stands above them', () => {
    write({
      'src/errors.ts': '',
      'src/paths.ts': "import './train/run.js'",
      'src/models/open.ts': "import { BtError } from '../errors.js'\nimport { encode } from '../text/tokenizer.js'",
      'src/train/run.ts':
        "import { open } from '../models/open.js'\nconst setup = await import('../setup/libtorch.js')",
      'src/cli/train.ts': "export { run } from '../train/run.js'\nimport '../setup/libtorch.js'",
      'src/index.ts': "export * from './train/run.js'",
      'native/kernels/norm.cc': '#include "kernels/norm.h"\n#include "model/config.h"',
      'native/kernels/norm.h': '#include <vector>',
      'native/model/config.h': '#include "kernels/norm.h"',
    })
    expect(checkImports(root)).toEqual([
      'src/models/open.ts imports text/tokenizer.js',
      'src/paths.ts imports train/run.js',
      'src/train/run.ts imports setup/libtorch.js',
      'native/kernels/norm.cc includes model/config.h',
    ])
  })

  it('reads every form of import and no comment', () => {
    const text = `import a, { b } from './a.js'
import './b.js'
export type { C } from './c.js'
const d = await import('./d.js')
// import './no.js'
/* from './no.js' */`
    expect(importsOf(text)).toEqual(['./a.js', './b.js', './c.js', './d.js'])
  })

  it('keeps training and sampling apart, and asks for a place for new folders', () => {
    expect(nativeMayInclude('train', 'sample')).toBe(false)
    expect(nativeMayInclude('addon', 'sample')).toBe(true)
    expect(() => sourceMayImport('novel', 'native')).toThrow(/knows no folder "novel"/)
  })
})

describe('places of one machine', () => {
  it('finds home and working folders and hosts of package indexes', () => {
    const home = ['', 'root', 'cache', 'x'].join('/')
    const host = ['https:/', ['registry', 'npmjs', 'org'].join('.'), 'yauzl'].join('/')
    expect(placesIn(`first\nsee ${home} here`)).toEqual([[2, expect.any(String)]])
    expect(placesIn(`"resolved": "${host}"`)).toHaveLength(1)
    expect(placesIn('join(root, "work"); ~/work/x; src/root/a; https://nodejs.org/en')).toEqual([])
  })
})

describe('npm packages', () => {
  const lock = (packages: object) => JSON.stringify({ packages })
  it('are current when npm installed what the lock file asks for', () => {
    const wanted = {
      '': {},
      'node_modules/a': { version: '1.0.0' },
      'node_modules/b': { version: '2.0.0', optional: true },
    }
    write({ 'package-lock.json': lock(wanted) })
    expect(packagesAreCurrent(root)).toBe(false)
    write({ 'node_modules/.package-lock.json': lock({ 'node_modules/a': { version: '1.0.0' } }) })
    expect(packagesAreCurrent(root)).toBe(true)
    write({ 'node_modules/.package-lock.json': lock({ 'node_modules/a': { version: '0.9.0' } }) })
    expect(packagesAreCurrent(root)).toBe(false)
  })

  it('come with those that compile, also where NODE_ENV is production', async () => {
    write({
      'tool/package.json': '{"name":"tool","version":"1.0.0"}',
      'package.json': '{"name":"x","version":"1.0.0","devDependencies":{"tool":"file:tool"}}',
      'package-lock.json': JSON.stringify({
        name: 'x',
        version: '1.0.0',
        lockfileVersion: 3,
        packages: {
          '': { name: 'x', version: '1.0.0', devDependencies: { tool: 'file:tool' } },
          'node_modules/tool': { resolved: 'tool', link: true },
          tool: { version: '1.0.0', dev: true },
        },
      }),
    })
    vi.stubEnv('NODE_ENV', 'production')
    await packages(root)
    expect(existsSync(join(root, 'node_modules/tool/package.json'))).toBe(true)
  }, 20_000)
})

describe('the count of tests', () => {
  it('counts a file that did not run, and a crash without a report, as failures', () => {
    const file = (status: string, ...tests: string[]) => ({
      status,
      assertionResults: tests.map((each) => ({ status: each })),
    })
    const report = {
      numPassedTests: 3,
      numFailedTests: 1,
      testResults: [file('failed', 'failed', 'passed'), file('failed')],
    }
    expect(countTests(report, 1)).toEqual({ passed: 3, failed: 2 })
    expect(countTests(undefined, 139)).toEqual({ passed: 0, failed: 1 })
    expect(countTests({ numPassedTests: 3, numFailedTests: 0, testResults: [file('passed')] }, 0)).toEqual({
      passed: 3,
      failed: 0,
    })
    expect(countTests({ numPassedTests: 3, numFailedTests: 0, testResults: [file('passed')] }, 1)).toEqual({
      passed: 3,
      failed: 1,
    })
  })
})

describe('the last line of the quickstart', () => {
  it('sets ROUGE-L beside its shuffled control', () => {
    const rougeL = { value: 31.24, interval: [27.06, 35.5], controls: { shuffled: { value: 12.3 } } }
    const plain = scoreLine({ metrics: { rougeL }, referenced: 25 })
    expect(plain).toMatch(/ROUGE-L 31\.2.*\(95 % interval 27\.1 to 35\.5\) over 25 rows, against .*12\.3/)
  })
})

describe('two columns of text', () => {
  it('wrap at words, break what is too long, and end a long text with an ellipsis', () => {
    expect(wrap('one two three', 8)).toEqual(['one two', 'three'])
    expect(wrap('abcdefghij', 4)).toEqual(['abcd', 'efgh', 'ij'])
    expect(wrap('a '.repeat(100), 10).at(-1)).toMatch(/…$/)
    const lines = sideBySide(['true', 'written'], [['short', 'a longer text that needs two lines']], 60).split('\n')
    expect(new Set(lines.map((line) => line.length)).size).toBe(1)
  })
})

describe('what the machine must have', () => {
  it('names all that is missing at once, with the command that installs it', () => {
    expect(() => checkTools({ PATH: root })).toThrow(
      expect.objectContaining({
        message: 'missing: a C++ compiler, CMake, make or Ninja, Python 3 with pip',
        remedy: 'Install with: sudo apt-get install -y g++ cmake make python3-pip',
      }),
    )
    expect(() => checkTools()).not.toThrow()
  })
})
