// `bt-native export`: flags in, a merged model in a folder or a .gguf file, progress on stderr.
import { type Command, Option } from 'commander'
import { BtError } from '../errors.js'
import { completeExport, type ExportInput, type ExportOptions, exportFields } from '../export/options.js'
import type { ExportComparison, ExportStart, ExportSummary, ExportWritten } from '../export/types.js'
import { packageVersion } from '../version.js'
import { addFlags, flagOf, givenOptions } from './flags.js'
import { formatBytes, formatCount, formatDuration, plural } from './format.js'
import { type Interrupts, isInterruption, onInterrupt } from './interrupt.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'

export function addExport(program: Command): void {
  const command = program
    .command('export')
    .description(
      'Merge an adapter into its base model and write the whole model: a Hugging Face folder, or a GGUF file. ' +
        'The result is read back and compared with the unmerged model.',
    )
  addFlags(command, exportFields)
  command
    .optionsGroup('Other:')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpOption(new Option('-h, --help', 'print this help').helpGroup('Other:'))
    .addHelpText('after', examples)
    .action((options) => runCommand(program, options, (terminal) => exportCommand(options, terminal)))
}

const examples = `
Examples:
  $ bt-native export --adapter runs/first --to safetensors --output exports/first
  $ bt-native export --adapter runs/first --to gguf --dtype q8_0 --output exports/first-q8_0.gguf`

async function exportCommand(parsed: Record<string, unknown>, terminal: Terminal): Promise<number> {
  const options = completeExport(givenOptions<ExportInput>(parsed, exportFields) as ExportInput, flagOf)
  const { exportModel } = await import('../export/run.js')
  let written: ExportWritten | undefined
  const interrupts = onInterrupt(terminal, () =>
    written ? 'leaving the comparison out; the model is whole' : 'stopping; nothing is left half written',
  )
  interrupts.hard.addEventListener('abort', () => process.exit(exitCodes.interrupted))
  try {
    const summary = await exportModel(options, {
      signal: interrupts.soft,
      onProgress: terminal.progress,
      onStart: (start) => reportStart(start, terminal),
      onWritten: (result) => {
        written = result
        reportWritten(result, terminal)
      },
      onWarning: (text) => terminal.warn(text),
    })
    reportEnd(summary, options, terminal)
    return exitCodes.done
  } catch (error) {
    throw interruption(error, interrupts, written)
  } finally {
    interrupts.dispose()
  }
}

/** Ctrl-C as an error of its own, anything else as it is. */
function interruption(error: unknown, interrupts: Interrupts, written: ExportWritten | undefined): unknown {
  if (!isInterruption(error, interrupts)) return error
  const state = written ? `${written.output} is whole, but was not compared` : 'nothing was written'
  return new BtError('BT_INTERRUPTED', `the export was interrupted: ${state}`, { cause: error })
}

function reportStart(start: ExportStart, terminal: Terminal): void {
  terminal.event({ event: 'started', ...start })
  const head = (name: string, text: string) => terminal.info(`${terminal.bold(name.padEnd(9))} ${text}`)
  terminal.info(`bt-native ${packageVersion()}\n`)
  head('model', start.model)
  const merged = `${plural(start.merged, 'weight')} of ${formatCount(start.tensors)} changed, added in fp32`
  head('adapter', start.adapter ? `${start.adapter}   ${merged}` : 'none: the model as it is')
  head('output', `${start.output}   ${start.to}, ${start.dtype}, ${formatBytes(start.bytes)}`)
}

function reportWritten(written: ExportWritten, terminal: Terminal): void {
  terminal.endProgress()
  terminal.event({ event: 'written', ...written })
  const files = written.files.length > 1 ? ` in ${plural(written.files.length, 'file')}` : ''
  terminal.info(`wrote ${formatBytes(written.bytes)}${files} in ${formatDuration(written.seconds)}`)
}

function reportEnd(summary: ExportSummary, { to }: ExportOptions, terminal: Terminal): void {
  terminal.endProgress()
  terminal.event({ event: 'finished', ...summary })
  if (summary.comparison) for (const line of comparisonLines(summary.comparison)) terminal.info(line)
  terminal.info(`${terminal.ok('done')}. ${to === 'gguf' ? 'GGUF' : 'Hugging Face folder'}: ${summary.output}`)
  terminal.info(`next: npx bt-native generate --model ${summary.output} --input texts.jsonl`)
}

function comparisonLines(comparison: ExportComparison): string[] {
  const { rows, positions, prompts, precision, largestLogitDifference, sameTopToken, meanLogProb } = comparison
  return [
    `compared with the unmerged model on ${plural(rows, 'row')} of ${prompts}, ${plural(positions, 'token')}, in ${precision}:`,
    `  largest logit difference  ${largestLogitDifference.toPrecision(2)}`,
    `  same likeliest token      ${formatCount(100 * sameTopToken, 1)} %`,
    `  nats per true token       ${(-meanLogProb.exported).toFixed(4)} (unmerged ${(-meanLogProb.unmerged).toFixed(4)})`,
  ]
}
