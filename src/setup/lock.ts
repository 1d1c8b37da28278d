// One set-up at a time in a cache folder. Node has no flock and the addon may not be built yet, so the lock is a file
// that its holder touches every few seconds; one that was not touched for a while belonged to a killed process.
import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasCode } from '../errors.js'

export interface LockOptions {
  /** Told once when another process holds the lock: "process 4711 on myhost". */
  onWait?: (holder: string) => void
  signal?: AbortSignal
}

/** Milliseconds. */
const touchEvery = 2_000
const staleAfter = 30_000
const watchFor = 5_000

interface Holder {
  id: string
  pid: number
  host: string
}

/** Runs `work` while holding the lock `path`; waits for whoever holds it. */
export async function withLock<T>(path: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true })
  const holder: Holder = { id: randomUUID(), pid: process.pid, host: hostname() }
  const isUntouched = watch(path)
  let told = false
  while (!(await take(path, holder))) {
    const other = await read(path)
    if (!other || isDead(other) || (await isUntouched())) {
      await dropStale(path, other)
      continue
    }
    if (!told) options.onWait?.(`process ${other.pid} on ${other.host}`)
    told = true
    await sleep(300, undefined, { signal: options.signal })
  }
  const timer = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => clearInterval(timer)) // the folder was removed: nothing left to hold
  }, touchEvery)
  timer.unref()
  try {
    return await work()
  } finally {
    clearInterval(timer)
    if ((await read(path))?.id === holder.id) await rm(path, { force: true })
  }
}

/** A link appears whole or not at all, also on network file systems: nobody reads half a lock. */
async function take(path: string, holder: Holder): Promise<boolean> {
  const own = `${path}.${holder.id}`
  await writeFile(own, JSON.stringify(holder))
  try {
    await link(own, path)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(own, { force: true })
  }
}

async function read(path: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Whether the holder ran on this machine and is gone. A living process may be another one that got its number. */
function isDead(holder: Holder): boolean {
  return holder.host === hostname() && !isAlive(holder.pid)
}

/**
 * Tells, when asked again and again, whether nobody touches the lock any more. The clock alone would not do: on a machine
 * that wakes from sleep every lock looks old, so it must also stay as it is while this process looks on.
 */
function watch(path: string): () => Promise<boolean> {
  let touched: number | undefined
  let since = 0
  return async () => {
    const now = await touchedAt(path)
    if (now === undefined) return true
    if (now !== touched) since = performance.now()
    touched = now
    return performance.now() - since > watchFor && Date.now() - now > staleAfter
  }
}

async function touchedAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return hasCode(error, 'EPERM') // there, but another user's
  }
}

/** Removes the lock only if it is still the stale one. */
async function dropStale(path: string, stale: Holder | undefined): Promise<void> {
  if (stale && (await read(path))?.id === stale.id) await rm(path, { force: true })
}
