// The command line: parses, runs, and turns usage errors and a closed pipe into exit codes.
import { CommanderError } from 'commander'
import { isHungUp } from './interrupt.js'
import { buildProgram } from './program.js'
import { exitCodes, openTerminal, printError } from './terminal.js'

/**
 * Runs the command line.
 * @param argv as process.argv: node, script, then the arguments
 */
export async function run(argv: string[]): Promise<void> {
  process.stdout.on('error', leaveWhenNobodyReads)
  process.stderr.on('error', leaveWhenNobodyReads)
  const args = argv.slice(2)
  try {
    const program = await buildProgram(args)
    if (args.length === 0) program.outputHelp()
    else await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage
      return
    }
    printError(openTerminal({ color: !args.includes('--no-color') }), error)
    process.exitCode = exitCodes.failed
  } finally {
    // A read that nobody waits for any more would keep the process alive until the pipe says something.
    process.stdin.destroy()
    // Everything is saved. Node's own way out would restore the terminal's modes, and aborts when there is none.
    if (isHungUp()) process.kill(process.pid, 'SIGHUP')
  }
}

/**
 * `bt-native ... | head` closes our stdout: nothing more is to be said. Of a command under way that is the end, with the
 * exit code that runCommand() set. A terminal that was closed (EIO) lets the command save what it has.
 */
function leaveWhenNobodyReads(error: NodeJS.ErrnoException): void {
  if (error.code === 'EIO') return
  if (error.code !== 'EPIPE') throw error
  process.exit()
}
