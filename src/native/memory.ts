// How much memory this process may use: the machine's, or what its control group or ulimit leaves of it.
import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { dirname, join } from 'node:path'

export interface MemoryLimit {
  bytes: number
  /** What sets it. */
  from: 'machine' | 'control group' | 'ulimit'
}

/**
 * The least of the machine's memory, the limits of the process's control group and of the groups around it, and the limit
 * of its address space (`ulimit -v`), of which what is reserved and never touched takes a part too.
 * @param root where /proc and /sys/fs/cgroup lie
 */
export function memoryLimit(root = '/'): MemoryLimit {
  const limits: MemoryLimit[] = [
    { bytes: machineMemory(root), from: 'machine' },
    ...groupLimits(root).map((bytes) => ({ bytes, from: 'control group' as const })),
    ...addressSpace(root).map((bytes) => ({ bytes, from: 'ulimit' as const })),
  ]
  return limits.reduce((least, one) => (one.bytes < least.bytes ? one : least))
}

/** Bytes that new work can have now without swapping, as the kernel reckons. */
export function availableMemory(root = '/'): number {
  return memoryInfo(root, 'MemAvailable') ?? machineMemory(root)
}

function machineMemory(root: string): number {
  return memoryInfo(root, 'MemTotal') ?? totalmem()
}

function memoryInfo(root: string, name: string): number | undefined {
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(textOf(join(root, 'proc/meminfo')) ?? '')?.[1]
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
}

function addressSpace(root: string): number[] {
  const limit = /^Max address space\s+(\S+)/m.exec(textOf(join(root, 'proc/self/limits')) ?? '')?.[1]
  return limit === undefined || limit === 'unlimited' ? [] : [Number(limit)]
}

/** Limits of the group of this process and of all around it: "0::/a/b" (version 2) and "4:memory:/a/b" (version 1). */
function groupLimits(root: string): number[] {
  const groups = (textOf(join(root, 'proc/self/cgroup')) ?? '').split('\n')
  return groups.flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (path === undefined) return []
    if (controllers === '') return limitsAlong(join(root, 'sys/fs/cgroup'), path, 'memory.max')
    if (!controllers!.split(',').includes('memory')) return []
    return limitsAlong(join(root, 'sys/fs/cgroup/memory'), path, 'memory.limit_in_bytes')
  })
}

function limitsAlong(mount: string, path: string, file: string): number[] {
  const limits: number[] = []
  for (let at = path; ; at = dirname(at)) {
    const limit = Number(textOf(join(mount, at, file))?.trim() || Number.NaN) // "max" where there is none
    if (Number.isFinite(limit)) limits.push(limit)
    if (at === '/' || at === '.') return limits
  }
}

/** Undefined where the file is not there: another kernel, or a container that hides it. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
