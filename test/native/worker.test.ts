// Compiles native/addon/worker_test.cc with ThreadSanitizer and runs it: the queue has no data race.
import { execFile } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { packageRoot } from '../../src/paths.js'

const run = promisify(execFile)

test('the queue is free of data races, keeps order, and aborts what it should', async () => {
  const native = join(packageRoot, 'native')
  const program = join(mkdtempSync(join(tmpdir(), 'bt-worker-')), 'worker_test')
  const sources = ['addon/worker_test.cc', 'addon/worker.cc', 'model/abort.cc'].map((file) => join(native, file))
  const flags = ['-std=c++20', '-O1', '-g', '-fsanitize=thread', '-I', native, '-pthread', '-o', program]
  await run(process.env.CXX ?? 'g++', [...flags, ...sources])
  const { stdout } = await run(program)
  expect(stdout).toBe('ok\n')
}, 60_000)
