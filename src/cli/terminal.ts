// The one place that writes to the terminal: results on stdout, everything else on stderr, colours, the progress line,
// and how an error ends a command. Knows nothing of what the commands do.
import { stripVTControlCharacters } from 'node:util'
import type { Command } from 'commander'
import { BtError, hasCode, messageOf } from '../errors.js'
import type { OnProgress, Progress } from '../progress.js'
import { formatBytes, formatCount, formatDuration } from './format.js'

export interface Terminal {
  /** --json was given: stdout carries JSON and nothing else. */
  readonly json: boolean
  /** stderr is a TTY. */
  readonly interactive: boolean
  /** Colours in a result are seen. */
  readonly colour: boolean
  /** To stdout with a newline; without colours where no terminal shows them. */
  result(text: string): void
  /** With --json: one JSON line on stdout; otherwise nothing. */
  event(value: object): void
  /** To stderr (nothing with --json). */
  info(text: string): void
  /** To stderr, "warning: " in colour. With --json an event as well, with `values` beside the text. */
  warn(text: string, values?: object): void
  /** For success, for failure, for what matters less, for what matters more. Plain without colours. */
  ok(text: string): string
  bad(text: string): string
  dim(text: string): string
  bold(text: string): string
  /** A bar with rate and ETA on a TTY, otherwise a plain line each 10 % or 30 s. */
  progress: OnProgress
  /**
   * A line that replaces the one before it on a TTY; otherwise printed each 10 % or 30 s.
   * @param key lines of one piece of work share it
   * @param fraction done, 0 to 1, where known
   */
  live(key: string, fraction: number | undefined, text: (width: number) => string): void
  /** Ends the progress line; what it said last stays unless `keep` is false. */
  endProgress(keep?: boolean): void
}

export interface TerminalOptions {
  json?: boolean
  /** false turns colours off; otherwise NO_COLOR, FORCE_COLOR and the kind of stderr decide. */
  color?: boolean
}

/** Milliseconds between two drawings of the live line, and between two plain lines. */
const drawEvery = 100
const plainEvery = 30_000
/** Progress of work that is done sooner is not worth a line in a pipe. */
const quick = 2000

export function openTerminal(options: TerminalOptions = {}): Terminal {
  const json = options.json === true
  const interactive = process.stderr.isTTY === true && !json && process.env.TERM !== 'dumb'
  const colours = wantsColour(options.color)
  const paint = (code: number) => (text: string) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text)
  const warning = paint(33)
  const plain = process.stdout.isTTY !== true && !forcesColour()
  const line = new LiveLine(interactive, json)

  const terminal: Terminal = {
    json,
    interactive,
    colour: colours && !plain,
    result(text) {
      line.clear()
      process.stdout.write(`${plain ? stripVTControlCharacters(text) : text}\n`)
      line.redraw()
    },
    event(value) {
      if (json) process.stdout.write(`${JSON.stringify(value)}\n`)
    },
    info(text) {
      if (json) return
      line.clear()
      process.stderr.write(`${text}\n`)
      line.redraw()
    },
    warn(text, values) {
      line.clear()
      process.stderr.write(`${warning('warning:')} ${text}\n`)
      terminal.event({ event: 'warning', message: text, ...values })
      line.redraw()
    },
    ok: paint(32),
    bad: paint(31),
    dim: paint(2),
    bold: paint(1),
    progress: (progress) => {
      const rate = line.rate(progress)
      const fraction = progress.total ? Math.min(1, progress.done / progress.total) : undefined
      if (json) {
        if (line.isSlow() && line.due(progress.label, fraction)) terminal.event({ event: 'progress', ...progress })
      } else if (interactive || line.isSlow()) {
        line.show(progress.label, fraction, (width) => progressText(progress, rate, width))
      }
    },
    live: (key, fraction, text) => line.show(key, fraction, text),
    endProgress: (keep) => line.end(keep ?? true),
  }
  return terminal
}

function wantsColour(option: boolean | undefined): boolean {
  if (option === false || process.env.NO_COLOR) return false
  if (forcesColour()) return true
  return process.stderr.isTTY === true && process.env.TERM !== 'dumb'
}

function forcesColour(): boolean {
  return Boolean(process.env.FORCE_COLOR) && process.env.FORCE_COLOR !== '0'
}

/** The line at the bottom that is drawn again and again, and its plain form in a pipe. */
class LiveLine {
  private key: string | undefined
  private started = 0
  private startedAt = 0
  private drawn = ''
  private drawnAt = 0
  private plainAt = 0
  private plainTenth = -1
  private pending: string | undefined

  constructor(
    private readonly interactive: boolean,
    private readonly silent: boolean,
  ) {}

  /** Units a second since the first report of this label. */
  rate(progress: Progress): number | undefined {
    if (progress.label !== this.key) this.begin(progress.label, progress.done)
    const seconds = (performance.now() - this.startedAt) / 1000
    return seconds > 0.5 ? (progress.done - this.started) / seconds : undefined
  }

  /** Whether the work has been going on for long enough to be spoken of. */
  isSlow(): boolean {
    return performance.now() - this.startedAt > quick
  }

  show(key: string, fraction: number | undefined, text: (width: number) => string): void {
    if (key !== this.key) this.begin(key, 0)
    if (this.silent) return
    const now = performance.now()
    if (this.interactive) {
      if (now - this.drawnAt < drawEvery && fraction !== 1) {
        this.pending = text(width())
        return
      }
      this.draw(text(width()))
      this.drawnAt = now
      return
    }
    if (this.due(key, fraction)) process.stderr.write(`${text(100).trimEnd()}\n`)
  }

  /** Whether a plain line is due: each tenth of the work, or after 30 s. */
  due(key: string, fraction: number | undefined): boolean {
    if (key !== this.key) this.begin(key, 0)
    const now = performance.now()
    const tenth = fraction === undefined ? -1 : Math.floor(fraction * 10 + 1e-9)
    if (tenth <= this.plainTenth && now - this.plainAt < plainEvery) return false
    this.plainTenth = Math.max(tenth, this.plainTenth)
    this.plainAt = now
    return true
  }

  clear(): void {
    if (this.drawn) process.stderr.write('\r\u001b[2K')
  }

  redraw(): void {
    if (this.drawn) process.stderr.write(this.drawn)
  }

  end(keep: boolean): void {
    if (this.pending !== undefined && keep) this.draw(this.pending)
    if (this.drawn) process.stderr.write(keep ? '\n' : '\r\u001b[2K')
    this.drawn = ''
    this.pending = undefined
    this.key = undefined
  }

  private begin(key: string, done: number): void {
    this.end(true)
    this.key = key
    this.started = done
    this.startedAt = performance.now()
    this.drawnAt = 0
    this.plainAt = performance.now()
    // The start is reported only when there is time for more than the end: no line at 0 %.
    this.plainTenth = 0
  }

  private draw(text: string): void {
    this.pending = undefined
    this.drawn = text
    process.stderr.write(`\r\u001b[2K${text}`)
  }
}

/** Columns a live line may take. */
function width(): number {
  return Math.max(40, (process.stderr.columns ?? 100) - 1)
}

/** "  label  58 % ████░░░░  done  rate  eta"; without the bar, then cut, where that is more than `columns`. */
function progressText(progress: Progress, rate: number | undefined, columns: number): string {
  const { done, total, unit } = progress
  const amount = unit === 'bytes' ? formatBytes : (value: number) => formatCount(value)
  const fraction = total ? Math.min(1, done / total) : undefined
  const parts: string[] = []
  if (total) {
    parts.push(unit === 'bytes' ? `${amount(done)} of ${amount(total)}` : `${amount(done)}/${amount(total)} ${unit}`)
  } else parts.push(unit === 'bytes' ? amount(done) : `${amount(done)} ${unit}`)
  if (rate !== undefined && rate > 0) {
    parts.push(unit === 'bytes' ? `${amount(rate)}/s` : `${formatCount(rate, rate < 10 ? 1 : 0)} ${unit}/s`)
    if (total && done < total) parts.push(`eta ${formatDuration((total - done) / rate)}`)
  }
  if (progress.note) parts.push(progress.note)
  const line = (share: string[]) => [`  ${progress.label}`, ...share, ...parts].join('  ')
  if (fraction === undefined) return line([]).slice(0, columns)
  const percent = `${String(Math.floor(fraction * 100)).padStart(3)} %`
  const full = line([`${percent} ${bar(fraction, 20)}`])
  return (full.length <= columns ? full : line([percent])).slice(0, columns)
}

/** A bar of `cells` characters. */
export function bar(fraction: number, cells: number): string {
  const full = Math.round(Math.max(0, Math.min(1, fraction)) * cells)
  return '█'.repeat(full) + '░'.repeat(cells - full)
}

/** Exit codes of the command line. */
export const exitCodes = { done: 0, failed: 1, usage: 2, interrupted: 130, unread: 141 } as const

/**
 * Runs a command's action with a terminal, prints what it throws and sets the exit code: 1 failed, 2 usage
 * (BT_USAGE, BT_CONFIG), 130 interrupted (BT_INTERRUPTED), 141 nobody read on. The action may return another one.
 */
export async function runCommand(
  program: Command,
  options: { json?: boolean },
  action: (terminal: Terminal) => Promise<unknown>,
): Promise<void> {
  const color = program.optsWithGlobals<{ color?: boolean }>().color
  const terminal = openTerminal({ json: options.json, color })
  // What a process says that ends before its work does: the shell's number for one that wrote into a closed pipe.
  process.exitCode = exitCodes.unread
  try {
    const code = await action(terminal)
    terminal.endProgress()
    process.exitCode = typeof code === 'number' ? code : undefined
  } catch (error) {
    terminal.endProgress()
    printError(terminal, error)
    process.exitCode = exitCodeOf(error)
  }
}

function exitCodeOf(error: unknown): number {
  if (hasCode(error, 'BT_USAGE') || hasCode(error, 'BT_CONFIG')) return exitCodes.usage
  return hasCode(error, 'BT_INTERRUPTED') ? exitCodes.interrupted : exitCodes.failed
}

/** `error CODE: message`, the remedy indented; a stack only for what nobody foresaw. */
export function printError(terminal: Terminal, error: unknown): void {
  const code = (error as { code?: unknown } | null)?.code
  const known = error instanceof BtError || typeof code === 'string'
  const name = typeof code === 'string' ? `error ${code}:` : 'error:'
  const remedy = error instanceof BtError ? error.remedy : undefined
  terminal.event({ event: 'error', code, message: messageOf(error), remedy })
  process.stderr.write(`${terminal.bad(name)} ${messageOf(error)}\n`)
  if (remedy) process.stderr.write(`${remedy.replace(/^/gm, '  ')}\n`)
  const stack = error instanceof Error ? error.stack : undefined
  if (stack && (!known || process.env.BT_NATIVE_DEBUG)) process.stderr.write(`${terminal.dim(stack)}\n`)
}
