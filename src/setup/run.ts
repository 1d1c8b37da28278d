// Running another program to its end, line by line. Nothing here knows which program.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'

export interface RunOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** Each complete line of stdout and stderr, without its newline. */
  onLine?: (line: string) => void
  /** Kills the program (SIGTERM); the promise then rejects with the signal's reason. */
  signal?: AbortSignal
}

export interface RunResult {
  /** Exit status; 128 + n when signal n killed it. */
  code: number
  /** stdout and stderr in the order they came, at most the last 64 kB. */
  output: string
}

const keptOutput = 64 * 1024

/**
 * Runs `command` without a shell and without stdin.
 * @throws the error of spawn (ENOENT when there is no such program), or the reason of `signal`
 */
export function run(command: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted()
    const child = spawn(command, args, { cwd: options.cwd, env: options.env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const stop = () => child.kill('SIGTERM')
    options.signal?.addEventListener('abort', stop, { once: true })
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
      options.signal?.removeEventListener('abort', stop)
      if (options.signal?.aborted) reject(options.signal.reason)
      else resolve({ code: code ?? 128 + constants.signals[killedBy!], output })
    })
  })
}
