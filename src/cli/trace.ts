// `bt-native trace`: an id in, the row's story out.
import type { Command } from 'commander'
import { runCommand, type Terminal } from './terminal.js'

interface Flags {
  run?: string
  lineage?: string
  json?: boolean
}

export function addTrace(program: Command): void {
  program
    .command('trace')
    .description(
      "Tell a row's story: the document and the place in it, who wrote the instruction with which options, its scores by " +
        'iteration with why it was kept or dropped, and which models it trained.',
    )
    .argument('<id>', 'id of the row, or the beginning of it')
    .option('--run <folder>', 'output folder of bt-native run (default: the working folder)')
    .option('--lineage <file>', 'a lineage.parquet by itself')
    .option('--json', 'one JSON object on stdout')
    .addHelpText('after', examples)
    .action((id: string, flags: Flags) => runCommand(program, flags, (terminal) => traceCommand(id, flags, terminal)))
}

const examples = `
Examples:
  $ bt-native trace 3f2a9c1e --run runs/loop
  $ bt-native trace 3f2a9c1e0b4d5a67 --lineage runs/loop/lineage.parquet --json`

async function traceCommand(id: string, { run, lineage }: Flags, terminal: Terminal): Promise<void> {
  const { trace } = await import('../dataset/trace.js')
  const { renderTrace } = await import('../dataset/trace-text.js')
  const found = await trace({ id, run, lineage })
  terminal.event({ event: 'trace', ...found })
  if (!terminal.json) terminal.result(renderTrace(found, { paintTitle: (text) => terminal.bold(text) }))
}
