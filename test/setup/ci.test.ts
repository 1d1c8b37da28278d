// The script that checks a clean clone, with a stand-in for npm: what it runs, and how it counts.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { packageRoot } from '../../src/paths.js'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bt-ci-'))
})
afterEach(() => rmSync(root, { recursive: true }))

/** Runs .ci/run where `npm run X` and `npm test` do what `npm` (shell, $1 $2 the arguments) says. */
function run(npm: string) {
  mkdirSync(join(root, '.ci'), { recursive: true })
  writeFileSync(join(root, '.ci/run'), readFileSync(join(packageRoot, '.ci/run')))
  writeFileSync(join(root, 'npm'), `#!/bin/sh\necho "$@" >> ${root}/asked\n${npm}\n`)
  for (const name of ['.ci/run', 'npm']) chmodSync(join(root, name), 0o755)
  const env = { ...process.env, PATH: `${root}:${process.env.PATH}` }
  const { status, stdout } = spawnSync(join(root, '.ci/run'), { env, encoding: 'utf8' })
  return {
    status,
    last: stdout.trim().split('\n').at(-1),
    asked: readFileSync(join(root, 'asked'), 'utf8').trim().split('\n'),
  }
}

const installed = '*ci:install*) echo "4 passed, 0 failed" ;;'

it('runs what the README tells, then the checks, and adds up what they count', () => {
  const { status, last, asked } = run(`case "$*" in test) echo "120 passed, 0 failed" ;; ${installed} esac`)
  expect({ status, last }).toEqual({ status: 0, last: '124 passed, 0 failed' })
  const pack = ['run prebuild -- --built', 'run ci:install -- --quick']
  expect(asked).toEqual(['run quickstart', 'test', ...pack, 'run lint', 'run types'])
})

it('adds one for each other step that fails, and goes on', () => {
  const { status, last, asked } = run(
    `case "$*" in test) echo "120 passed, 3 failed"; exit 1 ;; "run lint") exit 1 ;; ${installed} esac`,
  )
  expect({ status, last }).toEqual({ status: 1, last: '124 passed, 4 failed' })
  expect(asked).toHaveLength(6)
})

it.each([
  ['fails and gives no count', 'exit 139'],
  ['gives no count', 'exit 0'],
  ['fails and counts no failure', 'echo "0 passed, 0 failed"; exit 1'],
])('fails when npm test %s', (_, does) => {
  const { status, last } = run(`case "$*" in test) ${does} ;; ${installed} esac`)
  expect({ status, last }).toEqual({ status: 1, last: '4 passed, 1 failed' })
})
