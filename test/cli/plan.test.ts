import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'
import { runCli } from './run-cli.js'

let folder: string
let flags: string[]
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-plan-cli-'))
  const model = await writeTinyModel(join(folder, 'model'))
  const data = await writeRows(join(folder, 'rows.jsonl'), tinyPairs(40))
  flags = ['plan', '--model', model, '--data', data, '--device', 'cpu', '--precision', 'fp32', '--threads', '1']
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('plan prints memory, the ways to cut a step, time and what fits', async () => {
  const { code, stdout } = await runCli([...flags, '--memory', '8GB'])
  expect(stdout).toMatch(/steps +\d+ steps of 16 rows/)
  expect(stdout).toMatch(/time +about .+ a step/)
  expect(stdout).toMatch(/limit +8\.0 GB as --memory says/)
  for (const part of [
    'runtime',
    'text',
    'weights',
    'adapter',
    'optimizer',
    'activations',
    'logits',
    'working',
    'writing',
    'total',
  ]) {
    expect(stdout).toMatch(new RegExp(`^${part} +\\d+(\\.\\d)? [kMG]?B`, 'm'))
  }
  expect(stdout).toMatch(/^ +16 +1 +[\d,]+ +\d+ MB +\d+ MB$/m)
  expect(stdout).toContain('Fits into 8.0 GB. Most rows at a time for the same steps: --batch-size 16')
  expect(code).toBe(0)
})

test('a run that does not fit is said to, with exit code 1; --json gives the numbers', async () => {
  const { code, stdout } = await runCli([...flags, '--memory', '1MB', '--json'])
  expect(code).toBe(1)
  const plan = JSON.parse(stdout)
  expect(plan).toMatchObject({ event: 'plan', fits: false, limit: { bytes: 1e6, from: 'given' } })
  expect(plan.memory.total).toBeGreaterThan(1e6)
})

test('a size that is none is refused', async () => {
  const { code, stderr } = await runCli([...flags, '--memory', 'much'])
  expect(code).toBe(2)
  expect(stderr).toContain('8GB')
})
