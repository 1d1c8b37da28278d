// Entry of the command line. Imports next to nothing, so that opening libtorch begins before the rest is read.
import { openAhead } from '../native/ahead.js'

/**
 * Runs the command line.
 * @param argv as process.argv: node, script, then the arguments
 */
export async function main(argv: string[] = process.argv): Promise<void> {
  if (willCompute(argv.slice(2))) openAhead()
  const { run } = await import('./run.js')
  await run(argv)
}

/** Whether libtorch will be wanted, and the one that is taken by default. */
function willCompute(args: string[]): boolean {
  const others = ['-h', '--help', '--device', '--config']
  const has = (flag: string) => args.some((arg) => arg === flag || arg.startsWith(`${flag}=`))
  return ['train', 'generate'].includes(args[0] ?? '') && args.length > 1 && !others.some(has)
}
