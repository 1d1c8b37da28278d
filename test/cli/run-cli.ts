// Starts the built command line as a user does, in a child process.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/paths.js'

const entry = join(packageRoot, 'bin', 'bt-native.js')

export interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  cwd?: string
  /** All of stdin; without it and with onStart, stdin stays open until the caller ends it. */
  input?: string
  onStart?: (child: ChildProcess) => unknown
  env?: NodeJS.ProcessEnv
  /** Called with each piece of stderr and stdout. */
  onOutput?: (text: string, child: ChildProcess) => void
}

export function runCli(args: string[], options: RunOptions = {}): Promise<Finished> {
  if (!existsSync(join(packageRoot, 'dist', 'cli', 'main.js'))) throw new Error('dist is missing: npm run build:ts')
  const { NO_COLOR: _, FORCE_COLOR: __, ...env } = process.env
  const child = spawn(process.execPath, [entry, ...args], { cwd: options.cwd, env: { ...env, ...options.env } })
  const finished: Finished = { code: null, stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      finished[name] += text
      options.onOutput?.(text, child)
    })
  }
  if (options.onStart) options.onStart(child)
  else child.stdin.end(options.input ?? '')
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ ...finished, code }))
  })
}
