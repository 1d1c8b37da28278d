import { existsSync, readFileSync } from 'node:fs'

/** Whether a process runs; one that has ended may be listed until somebody asks for its exit code. */
export function isRunning(pid: number): boolean {
  const path = `/proc/${pid}/stat`
  return existsSync(path) && !/\) [ZX] /.test(readFileSync(path, 'utf8'))
}
