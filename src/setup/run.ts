// Running another program to its end, line by line. Nothing here knows which program.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { hasCode } from '../errors.js'

export interface RunOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** Each complete line of stdout and stderr, without its newline. */
  onLine?: (line: string) => void
  /**
   * Ends the program and all that it started, which then have a process group of their own: Ctrl-C on the terminal does
   * not reach them. When all are gone the promise rejects with the signal's reason.
   */
  signal?: AbortSignal
}

export interface RunResult {
  /** Exit status; 128 + n when signal n killed it. */
  code: number
  /** stdout and stderr in the order they came, at most the last 64 kB. */
  output: string
}

const keptOutput = 64 * 1024
/** Milliseconds to end by SIGTERM in. */
const patience = 3000

/**
 * Runs `command` without a shell and without stdin.
 * @throws the error of spawn (ENOENT when there is no such program), or the reason of `signal`
 */
export function run(command: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const { cwd, env, signal } = options
    signal?.throwIfAborted()
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: signal !== undefined })
    const release = signal && child.pid !== undefined ? stopWith(child.pid, signal) : undefined
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      let rest = ''
      stream.setEncoding('utf8')
      stream.on('data', (text: string) => {
        output = (output + text).slice(-keptOutput)
        const lines = (rest + text).split(/\r?\n|\r/)
        rest = lines.pop() ?? ''
        for (const line of lines) options.onLine?.(line)
      })
      stream.on('end', () => {
        if (rest) options.onLine?.(rest)
      })
    }
    child.on('error', reject)
    child.on('close', (code, killedBy) => {
      release?.()
      if (signal?.aborted) reject(signal.reason)
      else resolve({ code: code ?? 128 + constants.signals[killedBy!], output })
    })
  })
}

/**
 * Ends a process group when `signal` is aborted, or when this process exits before it.
 * @returns to be called when the group is gone, whose number may then become another's
 */
function stopWith(group: number, signal: AbortSignal): () => void {
  let timer: NodeJS.Timeout | undefined
  const kill = () => signalGroup(group, 'SIGKILL')
  const stop = () => {
    signalGroup(group, 'SIGTERM')
    timer = setTimeout(kill, patience)
  }
  signal.addEventListener('abort', stop, { once: true })
  process.once('exit', kill)
  return () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
    process.off('exit', kill)
  }
}

function signalGroup(group: number, name: NodeJS.Signals): void {
  try {
    process.kill(-group, name)
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error // gone already
  }
}
