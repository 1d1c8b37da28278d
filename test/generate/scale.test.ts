// Memory does not grow with the input: a hundred megabytes through a model of a few thousand weights.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { writeTinyModel } from '../train/tiny-model.js'

let folder: string
let model: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-scale-'))
  model = await writeTinyModel(join(folder, 'model'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Rows of five kilobytes, most of them in a column that is not written. */
async function writeInput(rows: number): Promise<string> {
  const path = join(folder, `${rows}.jsonl`)
  const file = createWriteStream(path)
  const page = 'lorem ipsum dolor sit amet '.repeat(190)
  for (let row = 0; row < rows; row++) {
    const line = `${JSON.stringify({ response: `reply ${row}`, page })}\n`
    if (!file.write(line)) await once(file, 'drain')
  }
  file.end()
  await once(file, 'close')
  return path
}

async function peakOf(rows: number, ending: string): Promise<number> {
  const input = await writeInput(rows)
  const script = fileURLToPath(new URL('peak.mjs', import.meta.url))
  const machine = { threads: 1, device: 'cpu', precision: 'fp32', batchSize: 32 }
  const output = join(folder, `${rows}${ending}`)
  const options = { model, input, output, ...machine, maxNewTokens: 1, greedy: true, guard: ['none'] }
  const flags = ['--max-old-space-size=64', script, JSON.stringify(options)]
  const { stdout } = await promisify(execFile)(process.execPath, flags)
  const { rows: written, peak } = JSON.parse(stdout)
  expect(written).toBe(rows)
  return peak
}

test('a hundred megabytes take no more memory than one', async () => {
  const small = await peakOf(200, '.jsonl.gz')
  const large = await peakOf(20_000, '.jsonl.gz')
  expect((await stat(join(folder, '20000.jsonl'))).size).toBeGreaterThan(100e6)
  expect(large - small).toBeLessThan(80e6)
}, 180_000)
