// `bt-native audit`: the options of train that shape its rows in, what it would train on out.
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { BtError, hasCode } from '../errors.js'
import { resolveOptions } from '../fields.js'
import type { Audit } from '../report/audit.js'
import { rowFields, type TrainInput, trainSchema } from '../train/options.js'
import { addFlags, flagOf, givenOptions } from './flags.js'
import { runCommand, type Terminal } from './terminal.js'

export function addAudit(program: Command): void {
  const command = program
    .command('audit')
    .description(
      'Show what bt-native train would train on with the same options: how many tokens are scored, what was cut and ' +
        'left out, which validation rows training has seen, and rows token by token. Needs no libtorch.',
    )
  addFlags(command, rowFields)
  command
    .optionsGroup('Output:')
    .addOption(new Option('--rows <n>', 'training rows to show token by token').argParser(count).default(6))
    .option('--row <id...>', "these rows instead: ids, what ids begin with, or numbers from train's messages")
    .option('--html <file>', 'write it all as one page')
    .option('--force', 'replace the page if it exists')
    .option('--json', 'one JSON object on stdout')
    .optionsGroup('Other:')
    .option(
      '--config <file>',
      'YAML or JSON with options of train; flags win, and what does not shape rows is passed over',
    )
    .addHelpOption(new Option('-h, --help', 'print this help').helpGroup('Other:'))
    .addHelpText('after', examples)
    .action((flags) => runCommand(program, flags, (terminal) => auditCommand(flags, terminal)))
}

const examples = `
Examples:
  $ bt-native audit --model smollm2-135m --data examples/seed.jsonl
  $ bt-native audit --model smollm2-135m --data examples/seed.jsonl --rows 100 --html audit.html`

function count(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isSafeInteger(value) && value >= 0) return value
  throw new InvalidArgumentError('A whole number was expected.')
}

interface Flags extends Record<string, unknown> {
  rows: number
  row?: string[]
  html?: string
  force?: boolean
  config?: string
}

async function auditCommand(flags: Flags, terminal: Terminal): Promise<void> {
  const { rows, row, html } = flags
  const given = givenOptions<TrainInput>(flags, rowFields)
  const config = flags.config === undefined ? undefined : await readOptions(flags.config)
  const options = resolveOptions(trainSchema, given, config, flagOf)
  if (html !== undefined && !flags.force) await refuseExisting(html)
  const { audit } = await import('../train/audit.js')
  const found = await audit(options, { rows, row }, { onProgress: terminal.progress })
  terminal.endProgress(false)
  await report(found, flags, terminal)
}

/** The YAML library is read in for this alone. */
async function readOptions(path: string) {
  const { readConfig } = await import('../train/config.js')
  return readConfig(path)
}

async function refuseExisting(path: string): Promise<void> {
  try {
    await stat(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return
    throw error
  }
  throw new BtError('BT_OUTPUT_EXISTS', `${path} exists`, { remedy: 'Name another file, or replace it with --force.' })
}

async function report(audit: Audit, { html, row }: Flags, terminal: Terminal): Promise<void> {
  if (html !== undefined) {
    const { auditPage } = await import('../report/audit-page.js')
    const { writeFileAtomic } = await import('../files.js')
    await mkdir(dirname(html), { recursive: true })
    await writeFileAtomic(html, auditPage(audit))
  }
  terminal.event({ event: 'audit', ...audit })
  if (terminal.json) return
  const { auditText } = await import('../report/audit-text.js')
  const { colour, bold } = terminal
  terminal.result(auditText(audit, { colour, paintTitle: bold, whole: row !== undefined }))
  if (html !== undefined) terminal.info(`\npage: ${html}`)
}
