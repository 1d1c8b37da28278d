// Compiles the sampling law with its test program, with sanitizers, and holds it to distributions that transformers made.
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const run = promisify(execFile)
const native = fileURLToPath(new URL('../../native', import.meta.url))
const laws = fileURLToPath(new URL('../fixtures/sampling/laws.txt', import.meta.url))
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-choose-'))
  const sources = ['choose', 'choose_test', 'stop'].map((name) => join(native, 'sample', `${name}.cc`))
  sources.push(join(native, 'kernels/log_sum_exp.cc'))
  const flags = ['-std=c++20', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']
  await run('g++', [...flags, `-I${native}`, ...sources, '-o', join(folder, 'choose_test')])
}, 120_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

test('the sampling law gives the distributions of transformers, and its own where transformers has none', async () => {
  const cases = (await readFile(laws, 'utf8')).match(/^case /gm)!.length
  expect(cases).toBeGreaterThan(50)
  const { stdout } = await run(join(folder, 'choose_test'), [laws])
  expect(stdout).toBe(`${cases} laws, 0 failures\n`)
})
