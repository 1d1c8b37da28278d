// Twenty processes killed at random moments, half of them in the midst of writing a checkpoint: what is left is always
// whole, and the run ends as one that nobody disturbed.
import { type FSWatcher, watch } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readAdapter } from '../../src/models/adapter.js'
import { listCheckpoints } from '../../src/train/checkpoint.js'
import { readState } from '../../src/train/state.js'
import { runCli } from '../cli/run-cli.js'
import { xorshift } from '../native/tiny.js'
import { tinyPairs, writeRows, writeTinyModel } from './tiny-model.js'

const kills = 20
const steps = 240

let folder: string
let args: string[]
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-kills-'))
  const model = await writeTinyModel(join(folder, 'model'))
  const data = await writeRows(join(folder, 'seed.jsonl'), tinyPairs(48))
  const machine = ['--threads', '1', '--device', 'cpu', '--precision', 'fp32']
  const often = ['--save-every', '1', '--validate-every', '5', '--epochs', '999', '--max-steps', `${steps}`]
  const small = ['--batch-size', '4', '--grad-accum-steps', '2', '--dropout', '0.1', '--learning-rate', '0.003']
  args = ['train', '--model', model, '--data', data, ...machine, ...often, ...small]
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Kills the run at a moment of its own: while a checkpoint is written, or so many milliseconds after a step. */
async function runKilled(output: string, delay: number | 'in a checkpoint'): Promise<boolean> {
  let watcher: FSWatcher | undefined
  let begun = false
  const result = await runCli([...args, '--output', output, '--json'], {
    onOutput: (text, child) => {
      if (begun || !text.includes('"event":"step"')) return
      begun = true
      const kill = () => child.kill('SIGKILL')
      if (delay !== 'in a checkpoint') setTimeout(kill, delay)
      else watcher = watch(output, (_, name) => /^checkpoint-\d+\.tmp$/.test(name ?? '') && kill())
    },
  })
  watcher?.close()
  if (result.code !== 0) expect(result.code).toBe(null)
  return result.code === null
}

async function expectWhole(output: string): Promise<number> {
  const checkpoints = await listCheckpoints(output)
  for (const { folder, step } of checkpoints) expect((await readState(folder)).standing.step).toBe(step)
  const newest = checkpoints[0]?.step ?? 0
  if (newest >= 5) for (const name of ['.', 'best', 'last']) await readAdapter(join(output, name))
  return newest
}

const metricsOf = async (output: string) =>
  (await readFile(join(output, 'metrics.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .map(({ milliseconds: _, tokensPerSecond: __, seconds: ___, ...rest }) => rest)

test('a run that is killed twenty times ends as one that was not', { timeout: 240_000 }, async () => {
  const whole = join(folder, 'whole')
  expect((await runCli([...args, '--output', whole])).code).toBe(0)

  const broken = join(folder, 'broken')
  await mkdir(broken)
  const random = xorshift(1)
  let killed = 0
  let reached = 0
  for (let attempt = 0; attempt < kills; attempt++) {
    const delay = attempt % 2 === 0 ? ('in a checkpoint' as const) : Math.floor(60 * (random() + 1))
    if (await runKilled(broken, delay)) killed++
    const newest = await expectWhole(broken)
    expect(newest).toBeGreaterThanOrEqual(reached)
    reached = newest
  }
  expect(killed).toBe(kills)
  expect((await runCli([...args, '--output', broken])).code).toBe(0)
  expect(await metricsOf(broken)).toEqual(await metricsOf(whole))
  for (const name of ['.', 'best', 'last']) {
    const bytes = (run: string) => readFile(join(run, name, 'adapter_model.safetensors'))
    expect(await bytes(broken)).toEqual(await bytes(whole))
  }
})
