// Ctrl-C as two abort signals: the first asks to finish what is under way and save, the second to leave at once. A
// scheduler's SIGTERM and a closed terminal's SIGHUP count as the first, however often they come.
import { hasCode } from '../errors.js'
import { exitCodes, type Terminal } from './terminal.js'

export interface Interrupts {
  /** Finish the piece of work under way, save, end. */
  soft: AbortSignal
  /** Drop everything. */
  hard: AbortSignal
  /** Gives the signals back to whoever had them. */
  dispose(): void
}

/** Whether an error is the answer to Ctrl-C: an abort signal's reason, or a native call that was told to stop. */
export function isInterruption(error: unknown, interrupts: Interrupts): boolean {
  if (interrupts.soft.aborted && error === interrupts.soft.reason) return true
  return interrupts.soft.aborted && (hasCode(error, 'BT_ABORTED') || hasCode(error, 'ABORT_ERR'))
}

let hungUp = false

/** Whether the terminal was closed while a command worked. */
export function isHungUp(): boolean {
  return hungUp
}

/** @param notice said at the first Ctrl-C: what will still be done */
export function onInterrupt(terminal: Terminal, notice: () => string): Interrupts {
  const soft = new AbortController()
  const hard = new AbortController()
  const stop = () => {
    if (soft.signal.aborted) return
    terminal.info(`\n${notice()}; press again to leave at once`)
    soft.abort()
  }
  const interrupt = () => {
    if (hard.signal.aborted) process.exit(exitCodes.interrupted)
    if (soft.signal.aborted) hard.abort()
    else stop()
  }
  const hangUp = () => {
    hungUp = true
    stop()
  }
  const handlers = [
    ['SIGINT', interrupt],
    ['SIGTERM', stop],
    ['SIGHUP', hangUp],
  ] as const
  for (const [name, handle] of handlers) process.on(name, handle)
  return {
    soft: soft.signal,
    hard: hard.signal,
    dispose() {
      for (const [name, handle] of handlers) process.off(name, handle)
    },
  }
}

/**
 * The command as it was typed, to be pasted.
 * @param begun whether there is something of this run to go on with: --force would start over
 */
export function resumeLine(begun: boolean): string {
  const words = process.argv.slice(2).filter((word) => !begun || word !== '--force')
  return [
    'npx bt-native',
    ...words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)),
  ].join(' ')
}
