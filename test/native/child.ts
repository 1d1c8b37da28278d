// Runs a scenario of scenarios.mjs in a process of its own, as plain Node would: crashes, exit codes and hangs show.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { loadCore } from '../../src/native/load.js'
import { tinyBatch, tinyLora, tinyModel, tinySampler, tinyTrainer } from './tiny.js'

export interface Outcome {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  milliseconds: number
}

/** @param flags of Node, before the script. The process is killed (signal SIGKILL) after `timeout` milliseconds. */
export function runScenario(name: string, { flags = [] as string[], timeout = 40_000 } = {}): Promise<Outcome> {
  const { addon, corePath, libtorch } = loadCore({ device: 'cpu' })
  const setup = {
    addon,
    core: corePath,
    libraries: ['libc10.so', 'libtorch_cpu.so'].map((file) => `${libtorch.lib}/${file}`),
    model: tinyModel(),
    lora: tinyLora,
    trainer: { ...tinyTrainer, engine: 'reference' as const }, // thousands of libtorch calls a second, on many of its statics
    sampler: tinySampler,
    batch: Object.entries(tinyBatch()).map(([key, value]) => [key, [...value]]),
  }
  const script = fileURLToPath(new URL('scenarios.mjs', import.meta.url))
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(process.execPath, [...flags, script, name], {
      env: { ...process.env, BT_TEST_SETUP: JSON.stringify(setup), NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const outcome = { stdout: '', stderr: '' }
    child.stdout.on('data', (text) => (outcome.stdout += text))
    child.stderr.on('data', (text) => (outcome.stderr += text))
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ ...outcome, code, signal, milliseconds: performance.now() - started })
    })
  })
}
