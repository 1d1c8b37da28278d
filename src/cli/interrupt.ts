// Ctrl-C (and a scheduler's SIGTERM) as two abort signals: the first asks to finish what is under way and save, the
// second to leave at once.
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

/** @param notice said at the first Ctrl-C: what will still be done */
export function onInterrupt(terminal: Terminal, notice: () => string): Interrupts {
  const soft = new AbortController()
  const hard = new AbortController()
  const handle = () => {
    if (hard.signal.aborted) process.exit(exitCodes.interrupted)
    if (soft.signal.aborted) {
      hard.abort()
      return
    }
    terminal.info(`\n${notice()}; press again to leave at once`)
    soft.abort()
  }
  process.on('SIGINT', handle)
  process.on('SIGTERM', handle)
  return {
    soft: soft.signal,
    hard: hard.signal,
    dispose() {
      process.off('SIGINT', handle)
      process.off('SIGTERM', handle)
    },
  }
}

/** The command as it was typed, to be pasted; without --force, which would start over. */
export function resumeLine(): string {
  const words = process.argv.slice(2).filter((word) => word !== '--force')
  return [
    'npx bt-native',
    ...words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)),
  ].join(' ')
}
