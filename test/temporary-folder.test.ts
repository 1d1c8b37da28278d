import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { packageRoot } from '../src/paths.js'

test('tests and their child processes write into the folder of the run', () => {
  expect(basename(tmpdir())).toMatch(/^bt-native-tests-/)
  const child = spawnSync(process.execPath, ['-p', 'os.tmpdir()'], { encoding: 'utf8' })
  expect(child.stdout.trim()).toBe(tmpdir())
})

test('a run of tests leaves nothing in the system temporary folder, whatever they leave in theirs', () => {
  const outer = mkdtempSync(join(tmpdir(), 'bt-outer-'))
  mkdirSync(join(outer, 'kept'))
  const vitest = join(packageRoot, 'node_modules', 'vitest', 'vitest.mjs')
  // Tests that make folders and leave them to the run.
  const file = join('test', 'native', 'find.test.ts')
  const run = spawnSync(process.execPath, [vitest, 'run', file], {
    cwd: packageRoot,
    encoding: 'utf8',
    env: { ...process.env, TMPDIR: outer },
  })
  expect(stripVTControlCharacters(run.stdout)).toMatch(/Tests +\d+ passed/)
  expect(run.status).toBe(0)
  expect(readdirSync(outer)).toEqual(['kept'])
})
