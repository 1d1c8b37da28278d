// Numbered steps on the terminal for the scripts. Built-ins only: it runs before node_modules exists.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

const interactive = process.stderr.isTTY === true && process.env.TERM !== 'dumb'
const colours = interactive && !process.env.NO_COLOR
const paint = (code) => (text) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text)
export const bold = paint(1)
export const dim = paint(2)
export const green = paint(32)
export const red = paint(31)

/** A failure that needs no stack: what was wrong, and what to do. */
export class StepError extends Error {
  constructor(message, remedy) {
    super(message)
    this.remedy = remedy
  }
}

export const say = (text) => process.stderr.write(`${text}\n`)

/** Seconds as "4.2 s" or "2:05". */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}

/** Counts steps, and says what each does and how long it took. */
export class Steps {
  #number = 0
  #total
  #start = performance.now()

  constructor(total) {
    this.#total = total
  }

  /** Runs `work`; a string that it returns is said beside the time. */
  async run(title, work) {
    this.#number++
    const start = performance.now()
    say(`${bold(`[${this.#number}/${this.#total}] ${title}`)}`)
    const note = await work()
    say(`      ${green('ok')} ${typeof note === 'string' ? `${note}, ` : ''}${duration(performance.now() - start)}`)
  }

  get elapsed() {
    return performance.now() - this.#start
  }
}

/**
 * Runs a program whose output matters only when it fails; meanwhile the time passes on the terminal.
 * @returns what it wrote
 */
export function quietly(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options })
    const start = performance.now()
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', (text) => {
        output += text
      })
    }
    const tick = () => {
      const text = `      ${duration(performance.now() - start)} ...`
      process.stderr.write(interactive ? `\r\u001b[2K${text}` : `${text}\n`)
    }
    const timer = options.silent ? undefined : setInterval(tick, interactive ? 1000 : 30_000)
    child.on('error', reject)
    child.on('close', (code) => {
      clearInterval(timer)
      if (interactive && !options.silent) process.stderr.write('\r\u001b[2K')
      if (code === 0) resolve(output)
      else reject(new StepError(`${[command, ...args].join(' ')} failed (exit ${code}):\n${bothEnds(output)}`))
    })
  })
}

/** What a failed program said: programs tell the cause first (npm) or last (compilers). */
function bothEnds(output) {
  const most = 3000
  return output.length <= 2 * most ? output : `${output.slice(0, most)}\n...\n${output.slice(-most)}`
}

/** Runs a program that speaks for itself. @throws {StepError} when it fails: it has said why */
export function openly(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve(undefined)
      else
        reject(
          new StepError(
            `${args[0]?.endsWith('bt-native.js') ? ['bt-native', ...args.slice(1)].join(' ') : command} failed (${signal ?? `exit ${code}`})`,
          ),
        )
    })
  })
}

/** The command line of this checkout. */
export const cli = (...args) => openly(process.execPath, [`${root}bin/bt-native.js`, ...args])

/** Ends a script: a StepError is said plainly, anything else with its stack. */
export function fail(error) {
  say(`${red('error')} ${error instanceof StepError ? error.message : (error.stack ?? error)}`)
  if (error.remedy) say(`  ${error.remedy}`)
  process.exitCode = 1
}
