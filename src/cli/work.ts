// What every command that works for long has in common: Ctrl-C, how it ends then, and the line about the machine.
import type { OnProgress } from '../progress.js'
import { packageVersion } from '../version.js'
import { plural } from './format.js'
import { isInterruption, onInterrupt, resumeLine } from './interrupt.js'
import { exitCodes, type Terminal } from './terminal.js'

/** What long work is given; the work says when it has begun, after which --force would start over. */
export interface WorkControl {
  signal: AbortSignal
  abort: AbortSignal
  onProgress: OnProgress
  onWarning(text: string): void
  begun: boolean
}

/** Said at the first Ctrl-C, and once an interrupted command has ended. */
export interface WorkWords {
  stopping: string
  stopped: string
}

/** Runs work until it ends, or an interruption ends it. @returns the exit code */
export async function runWork(
  terminal: Terminal,
  { stopping, stopped }: WorkWords,
  work: (control: WorkControl) => Promise<number>,
): Promise<number> {
  const interrupts = onInterrupt(terminal, () => stopping)
  const { soft: signal, hard: abort } = interrupts
  const onWarning = (text: string) => terminal.warn(text)
  const control = { signal, abort, onProgress: terminal.progress, onWarning, begun: false }
  try {
    return await work(control)
  } catch (error) {
    if (!isInterruption(error, interrupts)) throw error
    terminal.endProgress()
    terminal.info(`${stopped}\nresume: ${resumeLine(control.begun)}`)
    return exitCodes.interrupted
  } finally {
    interrupts.dispose()
  }
}

/** Takes all rows. @returns what the generator returns */
export async function drained<Row, Summary>(
  rows: AsyncGenerator<Row, Summary>,
  each: (row: Row) => void = () => undefined,
): Promise<Summary> {
  let next = await rows.next()
  for (; !next.done; next = await rows.next()) each(next.value)
  return next.value
}

/** The first line: version, libtorch and processor, device and precision. */
export function reportMachine(
  { detail, device, threads, precision }: { detail: string; device: string; threads: number; precision: string },
  terminal: Terminal,
): void {
  const count = device === 'cpu' ? `, ${plural(threads, 'thread')}` : ''
  terminal.info(`bt-native ${packageVersion()} · ${detail} · ${device}${count}, ${precision}\n`)
}

/** A line of what is told before work begins. */
export function reportFact(name: string, text: string, terminal: Terminal): void {
  terminal.info(`${terminal.bold(name.padEnd(9))} ${text}`)
}
