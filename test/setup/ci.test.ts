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

it('runs what the README tells, then the checks', () => {
  const { status, last, asked } = run('[ "$1" = test ] && echo "120 passed, 0 failed" || true')
  expect({ status, last }).toEqual({ status: 0, last: '120 passed, 0 failed' })
  expect(asked).toEqual(['run quickstart', 'test', 'run lint', 'run types'])
})

it('adds one for each other step that fails, and goes on', () => {
  const { status, last, asked } = run(
    'case "$*" in test) echo "120 passed, 3 failed"; exit 1 ;; "run lint") exit 1 ;; esac',
  )
  expect({ status, last }).toEqual({ status: 1, last: '120 passed, 4 failed' })
  expect(asked).toHaveLength(4)
})

it('fails when the tests end without a count', () => {
  const { status, last } = run('[ "$1" = test ] && exit 139 || true')
  expect({ status, last }).toEqual({ status: 1, last: '0 passed, 1 failed' })
})
