// `bt-native publish`: a folder in, its page on the Hub out.
import { type Command, Option } from 'commander'
import type { PublishOptions, PublishSummary } from '../dataset/publish.js'
import { formatBytes, formatCount, plural } from './format.js'
import { onInterrupt } from './interrupt.js'
import { runCommand, type Terminal } from './terminal.js'

interface Flags extends Omit<PublishOptions, 'folder'> {
  json?: boolean
}

export function addPublish(program: Command): void {
  program
    .command('publish')
    .description(
      'Send a data set, an adapter or an exported model to the Hugging Face Hub as one commit. The repository is made where ' +
        'it is not there, and files that are there with the same content are not sent again.',
    )
    .argument('<folder>', '--output of bt-native dataset, train or export')
    .requiredOption('--to <org/name>', 'the repository')
    .addOption(new Option('--type <type>', 'told from the folder by default').choices(['dataset', 'model']))
    .option('--private', 'a new repository is seen by its owners alone')
    .option('--token <token>', 'with the right to write; better in HF_TOKEN, where others do not see it')
    .option('--message <text>', 'words of the commit')
    .option('--dry-run', 'tell what would be sent, and send nothing')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpText('after', examples)
    .action((folder: string, flags: Flags) =>
      runCommand(program, flags, (terminal) => publishCommand({ ...flags, folder }, terminal)),
    )
}

const examples = `
Examples:
  $ bt-native publish data --to my-name/my-instructions --dry-run
  $ HF_TOKEN=hf_... bt-native publish runs/first --to my-name/my-adapter --private`

async function publishCommand(options: PublishOptions & { json?: boolean }, terminal: Terminal): Promise<void> {
  const { publish } = await import('../dataset/publish.js')
  const interrupts = onInterrupt(terminal, () => 'stopping; what arrived is not sent again')
  try {
    const summary = await publish(options, { signal: interrupts.soft, onProgress: terminal.progress })
    terminal.endProgress(false)
    report(summary, terminal)
  } finally {
    interrupts.dispose()
  }
}

function report(summary: PublishSummary, terminal: Terminal): void {
  terminal.event({ event: summary.dryRun ? 'planned' : 'published', ...summary })
  const { url, type, created, sent, unchanged, dryRun } = summary
  const bytes = sent.reduce((sum, file) => sum + file.bytes, 0)
  for (const file of sent) terminal.info(`${dryRun ? 'would send' : 'sent'}  ${file.path} ${formatBytes(file.bytes)}`)
  if (unchanged.length > 0) terminal.info(`there already: ${unchanged.join(', ')}`)
  if (created) terminal.info(dryRun ? `the ${type} would be made` : `made the ${type}`)
  const what = `${plural(sent.length, 'file')}, ${formatBytes(bytes)}`
  if (dryRun) terminal.info(`nothing was sent; without --dry-run ${what} would go to ${url}`)
  else if (sent.length === 0) terminal.info(`${url} is up to date: ${formatCount(unchanged.length)} files`)
  else terminal.info(`${terminal.ok('done')}. ${what} at ${url}`)
}
