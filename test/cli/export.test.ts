import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packageRoot } from '../../src/paths.js'
import { writeRandomAdapter } from '../export/tools.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'
import { runCli } from './run-cli.js'

let folder: string
let adapter: string
let prompts: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-cli-export-'))
  const model = await writeTinyModel(join(folder, 'model'))
  adapter = await writeRandomAdapter(join(folder, 'adapter'), model)
  prompts = await writeRows(join(folder, 'rows.jsonl'), tinyPairs(4))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const args = (...more: string[]) => ['export', '--adapter', adapter, '--prompts', prompts, '--threads', '1', ...more]

test('export says what it will do, does it, compares, and says what comes next', async () => {
  const output = join(folder, 'merged.gguf')
  const { code, stdout, stderr } = await runCli(args('--to', 'gguf', '--dtype', 'q8_0', '--output', output))
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
  expect(stderr).toMatch(
    /^model +model\nadapter +.*adapter {3}14 weights of 20 changed, added in fp32\noutput +.* gguf, q8_0, /m,
  )
  expect(stderr).toMatch(/wrote \d+ kB in \d+ s\n/)
  expect(stderr).toMatch(/compared with the unmerged model on 4 rows of .*rows.jsonl, \d+ tokens, in fp32:/)
  expect(stderr).toMatch(
    /largest logit difference +\d\.\d+\n +same likeliest token +[\d.]+ %\n +nats per true token +[\d.]+ \(unmerged [\d.]+\)/,
  )
  expect(stderr).toContain(`GGUF: ${output}\nnext: npx bt-native generate --model ${output}`)

  const again = await runCli(args('--to', 'gguf', '--output', output))
  expect(again.code).toBe(1)
  expect(again.stderr).toMatch(/^error BT_OUTPUT_EXISTS: .* is there already\n {2}Choose another --output, or --force/)

  const read = await runCli([
    'generate',
    '--model',
    output,
    '--input',
    prompts,
    '--output',
    '-',
    '--greedy',
    '--max-new-tokens',
    '4',
    '--threads',
    '1',
  ])
  expect(read.code).toBe(0)
  expect(read.stdout.trimEnd().split('\n')).toHaveLength(4)
})

test('with --json each event is a line, and without --output the result lies in the working folder', async () => {
  const cwd = join(folder, 'elsewhere')
  await promisify(execFile)('mkdir', [cwd])
  const { code, stdout } = await runCli(args('--to', 'safetensors', '--json'), { cwd })
  expect(code).toBe(0)
  const events = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(events.map(({ event }) => event)).toEqual(['warning', 'started', 'written', 'finished'])
  expect(events[0].message).toContain('no bt_native.json')
  expect(events[1]).toMatchObject({ merged: 14, tensors: 20, dtype: 'bf16', output: join(cwd, 'adapter-bf16') })
  expect(events[3].comparison).toMatchObject({ rows: 4, precision: 'fp32' })
  expect(await readdir(cwd)).toEqual(['adapter-bf16'])
})

test('a type that the format cannot hold is wrong usage', async () => {
  const { code, stderr } = await runCli(args('--to', 'safetensors', '--dtype', 'q4_0'))
  expect(code).toBe(2)
  expect(stderr).toBe('error BT_USAGE: safetensors cannot hold q4_0\n  Give --dtype bf16, f16, f32, or --to gguf.\n')
})

test('the example runs as it stands', async () => {
  const script = join(packageRoot, 'examples', 'export.mjs')
  const { stdout } = await promisify(execFile)(process.execPath, [script, adapter, join(folder, 'exports')])
  expect(stdout).toMatch(/model-q8_0\.gguf: 0 MB\n {2}largest logit difference.*\n {2}same likeliest token: .* %\n/)
  expect((await readdir(join(folder, 'exports'))).sort()).toEqual(['model', 'model-q8_0.gguf'])
})
