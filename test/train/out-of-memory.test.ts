// A process that is left too little memory for its steps, and then goes on with fewer rows at a time.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TrainInput } from '../../src/train/options.js'
import { writeRows, writeTinyModel } from './tiny-model.js'

let folder: string
let small: TrainInput
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-memory-'))
  const rows = Array.from({ length: 128 }, (_, row) => ({
    instruction: `What of ${row}?`,
    response: `${row} is a number. `.repeat(40),
  }))
  small = {
    model: await writeTinyModel(join(folder, 'model')),
    data: await writeRows(join(folder, 'rows.jsonl'), rows),
    ...{ precision: 'fp32', device: 'cpu', threads: 1, maxTokens: 1000, validation: 0, epochs: 2, saveEvery: 1 },
  }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

interface Line {
  type: string
  step?: number
  loss?: number
  code?: string
  message?: string
  remedy?: string
}

/** What limited.mjs prints. */
function limited(options: Partial<TrainInput>, control: { room?: number; last?: number } = {}): Promise<Line[]> {
  const script = fileURLToPath(new URL('limited.mjs', import.meta.url))
  const given = JSON.stringify({ options: { ...small, ...options }, ...control })
  const child = spawn(process.execPath, [script, given])
  let text = ''
  let errors = ''
  child.stdout.on('data', (part) => (text += part))
  child.stderr.on('data', (part) => (errors += part))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      if (code !== 0) reject(new Error(`ended with ${code}: ${errors}`))
      else
        resolve(
          text
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line)),
        )
    })
  })
}

test('a step without memory tells its sizes and what to set, and the run goes on with fewer rows at a time', async () => {
  const few = { batchSize: 4, gradAccumSteps: 16 }
  const whole = await limited({ ...few, output: join(folder, 'whole') })
  expect(whole.map(({ type }) => type)).toEqual(['step', 'step', 'step', 'step', 'finished'])

  const output = join(folder, 'run')
  await limited({ ...few, output }, { last: 2 })
  const room = 120e6
  const failed = await limited({ batchSize: 64, gradAccumSteps: 1, output }, { room })
  expect(failed.map(({ type }) => type)).toEqual(['resumed', 'error'])
  const { code, message, remedy } = failed.at(-1)!
  expect(code).toBe('BT_OUT_OF_MEMORY')
  expect(message).toMatch(/^step 3: out of memory: .+ could not be allocated/)
  expect(message).toMatch(/64 rows, [\d,]+ tokens, [\d,]+ of them scored/)
  expect(message).toMatch(/needs about \d+ MB .*activations \d+ MB/)
  expect(message).toMatch(/Limit: .+ \(ulimit\)/)
  expect(remedy).toMatch(/--batch-size 32 --grad-accum-steps 2, or --recompute/)
  expect(remedy).toMatch(/--max-tokens/)

  const rest = await limited({ ...few, output }, { room })
  expect(rest.map(({ type, step }) => [type, step])).toEqual([
    ['resumed', 2],
    ['step', 3],
    ['step', 4],
    ['finished', undefined],
  ])
  for (const at of [1, 2]) expect(rest[at]!.loss).toBe(whole[at + 1]!.loss)
}, 120_000)
