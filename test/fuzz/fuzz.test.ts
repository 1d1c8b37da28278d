// A short run of every fuzz target with one seed, over the findings of earlier runs in corpus/ as well.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { mutate } from '../../scripts/fuzz/mutate.mjs'
import { randomFrom } from '../../scripts/fuzz/random.mjs'
import { targets } from '../../scripts/fuzz/targets.mjs'
import { packageRoot } from '../../src/paths.js'

const run = promisify(execFile)
const fuzz = (...args: string[]) => run(process.execPath, [join(packageRoot, 'scripts', 'fuzz.mjs'), ...args])

test('no damaged file gives anything but a result or a BtError', async () => {
  const { stderr } = await fuzz('--runs', '40', '--seed', '3')
  const lines = stderr.trim().split('\n')
  expect(lines.map((line) => line.replace(/:.*/, ''))).toEqual(Object.keys(targets).map((name) => `ok ${name}`))
}, 180_000)

test('a target that is not known is named, with those that are', async () => {
  await expect(fuzz('--target', 'gguff')).rejects.toThrow(/no target "gguff"[\s\S]*gguf, /)
})

test('the same seed damages the same bytes in the same way, and every seed in another', () => {
  const bytes = Buffer.from(JSON.stringify({ a: [1, 2, 'three'], b: { c: null } }))
  const damaged = (seed: number) => {
    const random = randomFrom(seed)
    return Array.from({ length: 20 }, () => mutate(bytes, random, bytes).toString('latin1'))
  }
  expect(damaged(1)).toEqual(damaged(1))
  expect(damaged(1)).not.toEqual(damaged(2))
  expect(new Set(damaged(1)).size).toBeGreaterThan(15)
})
