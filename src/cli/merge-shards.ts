// `bt-native merge-shards`: the name of an output in, its shards put together.
import type { Command } from 'commander'
import { formatCount, plural } from './format.js'
import { runCommand, type Terminal } from './terminal.js'

interface Flags {
  output: string
  force?: boolean
  json?: boolean
}

export function addMergeShards(program: Command): void {
  program
    .command('merge-shards')
    .description(
      'Put together what the processes of an array job wrote with generate --shard: the same bytes as one process would ' +
        'have written. The shards stay.',
    )
    .requiredOption('--output <file>', 'the --output that generate was given')
    .option('--force', 'replace what is there')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpText('after', examples)
    .action((flags: Flags) => runCommand(program, flags, (terminal) => mergeCommand(flags, terminal)))
}

const examples = `
Examples:
  $ sbatch --array=0-7 --wrap 'bt-native generate --adapter runs/first --input texts.jsonl --output pairs.parquet --shard auto'
  $ bt-native merge-shards --output pairs.parquet`

async function mergeCommand({ output, force }: Flags, terminal: Terminal): Promise<void> {
  const { mergeShards } = await import('../generate/merge.js')
  const summary = await mergeShards({ output, force }, { onProgress: terminal.progress })
  terminal.endProgress()
  terminal.event({ event: 'finished', ...summary })
  const { rows, shards, alreadyDone } = summary
  if (alreadyDone) terminal.info(`${output} is finished already: ${plural(rows, 'row')}. --force starts over.`)
  else {
    terminal.info(`${terminal.ok('done')}. ${plural(rows, 'row')} of ${formatCount(shards)} shards in ${output}`)
    terminal.info(`next: npx bt-native evaluate --predictions ${output}`)
  }
}
