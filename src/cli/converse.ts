// `bt-native converse`: flags in, conversations to a file or a pipe, progress on stderr.
import { type Command, Option } from 'commander'
import { BtError } from '../errors.js'
import { resolveOptions } from '../fields.js'
import type { ConverseSummary, WrittenConversation } from '../generate/converse.js'
import {
  type ConverseInput,
  type ConverseOptions,
  converseFields,
  converseSchema,
} from '../generate/converse-options.js'
import type { GenerateStart } from '../generate/run.js'
import { plainName } from '../paths.js'
import { addFlags, countOption, flagOf, givenOptions } from './flags.js'
import { formatBytes, formatCount, formatDuration, plural } from './format.js'
import { resumeLine } from './interrupt.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'
import { drained, reportFact, reportMachine, runWork } from './work.js'

export function addConverse(program: Command): void {
  const command = program
    .command('converse')
    .description(
      'Write a conversation for each long text: its sections are the replies, and the message before each is written ' +
        'given all that was said so far. The same command again goes on where it was.',
    )
  addFlags(command, converseFields)
  command
    .optionsGroup('Other:')
    .option('--show <n>', 'print so many conversations at the end')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpOption(new Option('-h, --help', 'print this help').helpGroup('Other:'))
    .addHelpText('after', examples)
    .action((options) => runCommand(program, options, (terminal) => converseCommand(options, terminal)))
}

const examples = `
Examples:
  $ bt-native converse --adapter runs/first --input segments.jsonl --output conversations.jsonl
  $ bt-native converse --adapter runs/first --input README.md --output - --show 1`

async function converseCommand(parsed: Record<string, unknown>, terminal: Terminal): Promise<number> {
  const given = resolveOptions(converseSchema, givenOptions<ConverseInput>(parsed, converseFields), undefined, flagOf)
  const usual = given.input === '-' ? '-' : `${plainName(given.input)}.conversations.jsonl`
  const options = { ...given, output: given.output ?? usual }
  if (terminal.json && options.output === '-') {
    throw new BtError('BT_USAGE', '--json and --output - both want stdout', { remedy: 'Name a file with --output.' })
  }
  const show = countOption('--show', parsed.show)
  const { converse } = await import('../generate/converse.js')
  const shown: WrittenConversation[] = []
  const words = {
    stopping: 'stopping after the tokens under way; conversations so far are saved',
    stopped: 'stopped; conversations written so far are saved',
  }
  return runWork(terminal, words, async (control) => {
    const rows = converse(options, {
      ...control,
      onStart: (start) => {
        control.begun = true
        reportStart(start, options, terminal)
      },
    })
    const summary = await drained(rows, (row) => {
      if (shown.length < show) shown.push(row)
    })
    terminal.endProgress()
    return reportEnd(summary, shown, terminal)
  })
}

function reportStart(start: GenerateStart, { output }: ConverseOptions, terminal: Terminal): void {
  terminal.event({ event: 'started', ...start })
  const head = (name: string, text: string) => reportFact(name, text, terminal)
  reportMachine(start, terminal)
  head('model', start.model)
  if (start.adapter) head('adapter', start.adapter)
  head('template', `${start.template.task}/${start.template.form} ${start.template.hash}   "${start.template.ask}"`)
  if (start.rowsDone > 0) terminal.info(`going on after ${plural(start.rowsDone, 'conversation')} in ${output}`)
}

function reportEnd(summary: ConverseSummary, shown: WrittenConversation[], terminal: Terminal): number {
  const { output, rows, turns, cut, rewritten, faulty, faults } = summary
  terminal.event({ event: summary.interrupted ? 'interrupted' : 'finished', ...summary })
  for (const { reason, count, examples } of summary.dropped) {
    terminal.warn(`${plural(count, 'text')} of the input left out: ${reason} (${examples.join(', ')})`)
  }
  if (summary.alreadyDone) {
    terminal.info(`${output} is finished already: ${plural(rows, 'conversation')}. --force starts over.`)
    return exitCodes.done
  }
  for (const one of shown) showConversation(one, terminal)
  if (summary.interrupted) {
    terminal.info(`saved ${plural(rows, 'conversation')} in ${output}\nresume: ${resumeLine(true)}`)
    return exitCodes.interrupted
  }
  const rate = `${formatCount(turns / summary.seconds, 2)} messages/s, ${formatCount(summary.tokens / summary.seconds)} tok/s`
  terminal.info(
    `${terminal.ok('done')} in ${formatDuration(summary.seconds)}. ${plural(rows, 'conversation')} in ${output === '-' ? 'the pipe' : output}, ` +
      `${plural(turns, 'message')} written · ${rate} · peak memory ${formatBytes(summary.peakMemory)}`,
  )
  if (cut > 0) terminal.info(`${plural(cut, 'prompt')} cut to fit (--max-tokens): oldest turns first`)
  if (rewritten > 0) terminal.info(`${plural(rewritten, 'message')} written again by the guard`)
  if (faulty > 0) {
    const each = Object.entries(faults).map(([fault, count]) => `${fault} ${formatCount(count)}`)
    terminal.info(`${plural(faulty, 'message')} with a fault left, marked as guard: ${each.join(', ')}`)
  }
  if (output !== '-') terminal.info(`next: npx bt-native train --task forward --data ${output}`)
  return exitCodes.done
}

/** Characters of each message that are shown. */
const shownCharacters = 300

function showConversation({ messages, title }: WrittenConversation, terminal: Terminal): void {
  if (title) terminal.info(terminal.dim(title))
  for (const { role, content } of messages) {
    const flat = content.replace(/\s+/g, ' ')
    const short = flat.length > shownCharacters ? `${flat.slice(0, shownCharacters)}…` : flat
    terminal.info(`${terminal.bold(role.padEnd(11))} ${short}`)
  }
  terminal.info('')
}
