// One folder for everything that a run of the tests writes: it stands in for the system's temporary folder, in the tests
// and in the processes that they start, and goes when the run ends.
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** vitest's globalSetup: the workers inherit the environment. */
export default function setup(): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bt-native-tests-'))
  process.env.TMPDIR = folder
  return () => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
}
