// `bt-native audit` as a user starts it, on a machine without libtorch.
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'
import { runCli } from './run-cli.js'

let folder: string
let named: string[]
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-audit-cli-'))
  const model = await writeTinyModel(join(folder, 'model'))
  const data = await writeRows(join(folder, 'seed.jsonl'), tinyPairs(30))
  named = ['--model', model, '--data', data]
})
afterAll(() => rm(folder, { recursive: true }))

const env = () => ({ BT_NATIVE_LIBTORCH: join(folder, 'nowhere'), BT_NATIVE_CACHE: join(folder, 'cache') })
const audit = (...args: string[]) => runCli(['audit', ...named, ...args], { env: env(), cwd: folder })

test('needs no libtorch, and writes nothing', async () => {
  const { code, stdout, stderr } = await audit('--rows', '2')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^training rows +\d+$/m)
  expect(stdout.match(/^row \d+ · [0-9a-f]{16} · .* scored$/gm)).toHaveLength(2)
  expect(stdout).toMatch(/⟦.*│<\|im_end\|>⟧$/m)
  expect(existsSync(join(folder, 'runs'))).toBe(false)
})

test('paints tokens where colours are seen', async () => {
  const { stdout } = await runCli(['audit', ...named, '--rows', '1'], { env: { ...env(), FORCE_COLOR: '1' } })
  expect(stdout).toContain('\u001b[30;42m')
  const plain = await runCli(['audit', ...named, '--rows', '1', '--no-color'], { env: env() })
  expect(plain.stdout).not.toContain('\u001b')
})

test('writes the page, and replaces it only when told to', async () => {
  const page = join(folder, 'pages', 'audit.html')
  expect((await audit('--html', page)).code).toBe(0)
  const first = await readFile(page, 'utf8')
  expect(first).toMatch(/^<!doctype html>/)
  expect(first.match(/class="card row"/g)).toHaveLength(6)
  const again = await audit('--html', page, '--rows', '1')
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('BT_OUTPUT_EXISTS') })
  expect(await readFile(page, 'utf8')).toBe(first)
  expect((await audit('--html', page, '--rows', '1', '--force')).code).toBe(0)
  expect((await readFile(page, 'utf8')).match(/class="card row"/g)).toHaveLength(1)
})

test('--json prints one object with everything', async () => {
  const { code, stdout } = await audit('--json', '--row', '5', '7')
  expect(code).toBe(0)
  const event = JSON.parse(stdout)
  expect(event).toMatchObject({ event: 'audit', rowsWithoutTarget: 0, template: { task: 'backward' } })
  expect(event.rows.map(({ row }: { row: number }) => row)).toEqual([5, 7])
  expect(event.rows[0].parts.at(-1)).toEqual({ id: 257, text: '<|im_end|>', form: 'control', kind: 'scored' })
})

test('takes the config file that train takes, flags first', async () => {
  const config = join(folder, 'run.yaml')
  await writeFile(config, 'task: forward\nask: Answer.\nepochs: 7\nlearningRate: 1e-4\noutput: elsewhere\n')
  const { stdout } = await audit('--json', '--config', config)
  expect(JSON.parse(stdout).template).toMatchObject({ task: 'forward', ask: 'Answer.' })
  const flagged = await audit('--json', '--config', config, '--task', 'backward')
  expect(JSON.parse(flagged.stdout).template).toMatchObject({ task: 'backward', ask: 'Answer.' })
  await writeFile(config, 'epoch: 7\n')
  const wrong = await audit('--config', config)
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('run.yaml:1') })
})

test.each([
  [['--rows', 'many'], 'A whole number was expected'],
  [['--row', 'ffff'], 'row ffff: no row'],
  [['--learning-rate', '1'], "unknown option '--learning-rate'"],
])('%j is wrong usage', async (args, words) => {
  const { code, stderr } = await audit(...args)
  expect(code).toBe(2)
  expect(stderr).toContain(words)
})
