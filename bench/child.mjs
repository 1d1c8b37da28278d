// A contestant under way in a process of its own: one JSON command a line in, one JSON answer a line out.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** Lines of a child's stderr that are kept, to name what went wrong. */
const keptLines = 30

/**
 * Starts a process. ask(name, options) sends {[name]: options} and gives the answer; it rejects with the child's own
 * error line, whether the child answered {"error"} or ended.
 * @param env added to this process's environment
 */
export function startChild({ label, command, args, env = {} }) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const noise = []
  createInterface({ input: child.stderr }).on('line', (line) => {
    noise.push(line)
    if (noise.length > keptLines) noise.shift()
  })
  const ended = once(child, 'close').catch((error) => noise.push(error.message))
  child.stdin.on('error', () => {}) // a child that ended is reported by the answer that does not come

  async function ask(name, options) {
    child.stdin.write(`${JSON.stringify({ [name]: options })}\n`)
    const { value, done } = await lines.next()
    if (done) {
      await ended
      const last = noise.findLast((line) => line.trim() !== '') ?? 'no word on stderr'
      throw new Error(`${label} ended (${child.signalCode ?? `exit ${child.exitCode}`}): ${last}`)
    }
    const answer = JSON.parse(value)
    if (answer.error) throw new Error(`${label}: ${answer.error}`)
    return answer
  }

  /** Ends the child once it has answered what it was asked. */
  async function stop() {
    child.stdin.end()
    const patience = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await ended
    clearTimeout(patience)
  }

  return { ask, stop }
}
