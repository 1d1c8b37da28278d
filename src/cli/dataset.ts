// `bt-native dataset`: rows in, a data set in the forms of others and its card out.
import type { Command } from 'commander'
import { type DatasetInput, datasetFields } from '../dataset/options.js'
import type { DatasetSummary } from '../dataset/write.js'
import { addFlags, givenOptions } from './flags.js'
import { formatCount, plural } from './format.js'
import { onInterrupt } from './interrupt.js'
import { runCommand, type Terminal } from './terminal.js'

export function addDataset(program: Command): void {
  const command = program
    .command('dataset')
    .description(
      'Write rows as a data set that others read: messages, Alpaca, ShareGPT and Parquet, with a card that tells counts, ' +
        'lengths, scores, licences and how they were made.',
    )
  addFlags(command, datasetFields)
  command
    .option('--json', 'one JSON object an event on stdout')
    .addHelpText('after', examples)
    .action((flags: Record<string, unknown>) =>
      runCommand(program, flags, (terminal) => datasetCommand(givenOptions(flags, datasetFields), terminal)),
    )
}

const examples = `
Examples:
  $ bt-native dataset --input examples/seed.jsonl --output data
  $ bt-native dataset --input seed.jsonl curated.jsonl --run runs/loop --formats messages,parquet --output data`

async function datasetCommand(given: Partial<DatasetInput>, terminal: Terminal): Promise<void> {
  const { writeDataset } = await import('../dataset/write.js')
  const interrupts = onInterrupt(terminal, () => 'stopping; nothing will be written')
  try {
    const summary = await writeDataset(given as DatasetInput, {
      signal: interrupts.soft,
      onProgress: terminal.progress,
    })
    terminal.endProgress(false)
    report(summary, terminal)
  } finally {
    interrupts.dispose()
  }
}

function report(summary: DatasetSummary, terminal: Terminal): void {
  terminal.event({ event: summary.alreadyDone ? 'already-finished' : 'finished', ...summary })
  const { output, rows, files, conversations, licenses, dropped, card } = summary
  if (summary.alreadyDone) {
    terminal.info(`${output} is finished already: ${plural(rows, 'row')}. --force starts over.`)
    return
  }
  for (const { reason, count, examples } of dropped) {
    terminal.warn(`${plural(count, 'row')} left out: ${reason} (${examples.join(', ')})`)
  }
  const head = (name: string, text: string) => terminal.info(`${terminal.bold(name.padEnd(9))} ${text}`)
  head(
    'rows',
    `${formatCount(rows)}${conversations > 0 ? `, ${formatCount(conversations)} of them conversations` : ''}`,
  )
  const unknown = licenses.find(({ name }) => name === null)?.rows ?? 0
  const named = licenses.filter(({ name }) => name !== null).map(({ name, rows: n }) => `${name} ${formatCount(n)}`)
  head('licences', [...named, ...(unknown > 0 ? [`unknown ${formatCount(unknown)}`] : [])].join(', '))
  for (const [at, file] of files.entries()) head(at === 0 ? 'files' : '', file)
  head('card', card ?? `${output}/README.md was there, and stays as it is (--force replaces it)`)
  terminal.info(`next: npx bt-native publish ${output} --to org/name --dry-run`)
}
