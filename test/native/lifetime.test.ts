// Processes end as they should, whatever the runtimes in them are doing: right exit code, no crash, no hang, no leak.
import { describe, expect, test } from 'vitest'
import { runScenario } from './child.js'

describe('side by side', () => {
  test('several runtimes compute the same, and closing one leaves the others', async () => {
    expect(await runScenario('severalRuntimes')).toMatchObject({ code: 0, signal: null, stdout: 'done\n' })
  })

  test('libtorch opened on another thread computes, and the process ends', async () => {
    expect(await runScenario('openAhead')).toMatchObject({ code: 0, signal: null, stdout: 'done\n', stderr: '' })
  })

  test('worker_threads open, leave and are terminated in mid-step while the main thread trains', async () => {
    expect(await runScenario('workerThreads')).toMatchObject({ code: 0, signal: null, stdout: 'done\n' })
  })

  test("one OpenMP run time is mapped: libtorch's own", async () => {
    const names: string[] = JSON.parse((await runScenario('oneOpenMp')).stdout)
    expect(names).toHaveLength(1)
  })
})

describe('the end of the process', () => {
  test('process.exit() in mid-step leaves at once with its code and what was printed', async () => {
    const outcome = await runScenario('processExit')
    expect(outcome).toMatchObject({ code: 7, signal: null, stdout: 'leaving\n' })
    expect(outcome.stderr).toBe('')
    expect(outcome.milliseconds).toBeLessThan(15_000)
  })

  test('process.exit() while a worker_threads thread is in mid-step keeps its code', async () => {
    expect(await runScenario('processExitFromWorker')).toMatchObject({ code: 5, signal: null, stderr: '' })
  })

  test('process.exit() while libtorch is being opened on another thread keeps its code', async () => {
    expect(await runScenario('exitWhileOpening')).toMatchObject({
      code: 3,
      signal: null,
      stdout: 'going\n',
      stderr: '',
    })
  })

  test('process.exit() with an idle runtime keeps its code', async () => {
    expect(await runScenario('processExitIdle')).toMatchObject({ code: 0, signal: null, stderr: '' })
  })

  test('process.exit() after close() keeps its code', async () => {
    expect(await runScenario('processExitClosed')).toMatchObject({ code: 3, signal: null, stderr: '' })
  })

  test('an uncaught exception in mid-step ends the process with 1 and the message', async () => {
    const outcome = await runScenario('uncaught')
    expect(outcome).toMatchObject({ code: 1, signal: null })
    expect(outcome.stderr).toContain('thrown by the test')
    expect(outcome.milliseconds).toBeLessThan(15_000)
  })

  test('a natural exit waits for a pending promise', async () => {
    expect(await runScenario('naturalExit')).toMatchObject({ code: 0, signal: null, stdout: 'loss true\n' })
  })

  test('a natural exit does not wait for an idle runtime that nobody closed', async () => {
    const outcome = await runScenario('naturalExitIdle')
    expect(outcome).toMatchObject({ code: 0, signal: null, stdout: 'idle\n' })
    expect(outcome.milliseconds).toBeLessThan(15_000)
  })

  test('close() gives up what runs and what waits, and is quick', async () => {
    const outcome = await runScenario('closeWithWorkQueued')
    expect(outcome).toMatchObject({ code: 0, signal: null, stderr: '' })
    expect(JSON.parse(outcome.stdout).milliseconds).toBeLessThan(3000)
  })
})

describe('garbage collection', () => {
  const flags = ['--expose-gc']

  test('a runtime that only a pending promise refers to answers it', async () => {
    expect(await runScenario('forgottenWhilePending', { flags })).toMatchObject({ code: 0, stdout: 'true\n' })
  })

  test('200 unclosed runtimes leave neither memory nor threads behind', async () => {
    const outcome = await runScenario('collected', { flags, timeout: 55_000 })
    expect(outcome).toMatchObject({ code: 0, signal: null, stderr: '' })
    const { grown, threads } = JSON.parse(outcome.stdout)
    expect(grown).toBeLessThan(6e6) // 43 kB a time
    expect(threads).toBeLessThan(30)
  })

  test('200 times opened, used and closed: memory and threads stay as they are', async () => {
    const outcome = await runScenario('closed', { timeout: 55_000 })
    expect(outcome).toMatchObject({ code: 0, signal: null, stderr: '' })
    const { grown, threads } = JSON.parse(outcome.stdout)
    expect(grown).toBeLessThan(6e6) // 43 kB a time
    expect(threads).toBeLessThan(30)
  })

  test('unclosed models of an open runtime are freed', async () => {
    const outcome = await runScenario('objectsCollected', { flags })
    expect(outcome).toMatchObject({ code: 0, signal: null, stderr: '' })
    expect(JSON.parse(outcome.stdout).weights).toBe(0)
  })
})
