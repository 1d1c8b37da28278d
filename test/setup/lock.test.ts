import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withLock } from '../../src/setup/lock.js'

let root: string
let path: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bt-lock-'))
  path = join(root, 'lock')
})
afterEach(() => rmSync(root, { recursive: true }))

/** A lock that another process has left, touched last so many seconds ago. */
function leave(pid: number, host: string, seconds: number) {
  writeFileSync(path, JSON.stringify({ id: 'other', pid, host }))
  utimesSync(path, Date.now() / 1000, Date.now() / 1000 - seconds)
}

const taken = async () => {
  const start = performance.now()
  await withLock(path, { signal: AbortSignal.timeout(12_000) }, async () => expect(existsSync(path)).toBe(true))
  expect(existsSync(path)).toBe(false)
  return performance.now() - start
}

describe('a lock that was left behind', () => {
  it('by a process that is gone from this machine is taken at once', async () => {
    leave(spawnSync('true').pid, hostname(), 1)
    expect(await taken()).toBeLessThan(1000)
  })

  it('is taken when nobody touches it, whichever process has its number now', async () => {
    leave(process.pid, hostname(), 3600)
    expect(await taken()).toBeGreaterThan(4000)
  }, 15_000)
})

it('waits for a holder that touches its lock, though the clock calls it old', async () => {
  leave(process.pid, hostname(), 3600)
  const touching = setInterval(() => {
    const seconds = statSync(path).mtimeMs / 1000 + 1
    utimesSync(path, seconds, seconds)
  }, 500)
  const signal = AbortSignal.timeout(6500)
  await expect(withLock(path, { signal }, () => sleep(0))).rejects.toThrow(/abort/)
  clearInterval(touching)
}, 15_000)
