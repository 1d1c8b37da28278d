// `bt-native compare`: flags in, models side by side out.
import { type Command, Option } from 'commander'
import { type CompareInput, compareFields, compareSchema } from '../compare/options.js'
import type { CompareStart } from '../compare/run.js'
import type { CompareSummary } from '../compare/types.js'
import { resolveOptions } from '../fields.js'
import { packageVersion } from '../version.js'
import { addFlags, flagOf, givenOptions } from './flags.js'
import { formatDuration, plural } from './format.js'
import { resumeLine } from './interrupt.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'
import { reportFact, runWork } from './work.js'

export function addCompare(program: Command): void {
  const command = program
    .command('compare')
    .description(
      'Compare forward models on held-out pairs: log-likelihood, what they write, and the preference of a judge behind ' +
        'an OpenAI-compatible endpoint, beside their base model and the responses of other rows. The same command again ' +
        'goes on where it was.',
    )
  addFlags(command, compareFields)
  command
    .optionsGroup('Other:')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpOption(new Option('-h, --help', 'print this help').helpGroup('Other:'))
    .addHelpText('after', examples)
    .action((options) => runCommand(program, options, (terminal) => compareCommand(options, terminal)))
}

const examples = `
Examples:
  $ bt-native compare --models m0=runs/m0 m1=runs/m1 --data held-out.jsonl --output compared
  $ bt-native compare --models runs/m1 --data held-out.jsonl --limit 100 --judge http://localhost:8000/v1 --judge-model qwen3`

async function compareCommand(parsed: Record<string, unknown>, terminal: Terminal): Promise<number> {
  const given = resolveOptions(compareSchema, givenOptions<CompareInput>(parsed, compareFields), undefined, flagOf)
  const { compare } = await import('../compare/run.js')
  let machine = ''
  const words = {
    stopping: 'stopping after what is under way; all so far is saved',
    stopped: 'stopped; all so far is saved',
  }
  return runWork(terminal, words, async (control) => {
    const summary = await compare(given, {
      ...control,
      onStart: (start) => {
        control.begun = true
        reportStart(start, terminal)
      },
      onModel: (name, { detail, device, precision, threads }) => {
        const found = `${detail} · ${device}${device === 'cpu' ? `, ${plural(threads, 'thread')}` : ''}, ${precision}`
        terminal.event({ event: 'model', name, device, precision, threads })
        if (found !== machine) terminal.info(`machine   ${found}`)
        machine = found
      },
    })
    terminal.endProgress()
    return await reportEnd(summary, terminal)
  })
}

function reportStart(start: CompareStart, terminal: Terminal): void {
  terminal.event({ event: 'started', ...start })
  const head = (name: string, text: string) => reportFact(name, text, terminal)
  terminal.info(`bt-native ${packageVersion()}\n`)
  for (const { name, model, adapter, control } of start.models) {
    head('model', `${name}: ${model}${adapter ? ` with ${adapter}` : ''}${control ? ' (control)' : ''}`)
  }
  head('pairs', plural(start.rows, 'row'))
  if (start.judge) head('judge', `${start.judge.model} at ${start.judge.endpoint}`)
}

async function reportEnd(summary: CompareSummary, terminal: Terminal): Promise<number> {
  const { output, comparison } = summary
  terminal.event({ event: summary.interrupted ? 'interrupted' : 'finished', ...summary })
  if (!comparison) {
    terminal.info(`saved so far in ${output}\nresume: ${resumeLine(true)}`)
    return exitCodes.interrupted
  }
  for (const { reason, count, examples } of comparison.dropped) {
    terminal.warn(`${plural(count, 'row')} of the data left out: ${reason} (${examples.join(', ')})`)
  }
  if (!terminal.json) {
    const { renderComparison } = await import('../compare/tables.js')
    terminal.result(renderComparison(comparison, { paintTitle: (text) => terminal.bold(text) }))
  }
  if (summary.alreadyDone) terminal.info(`\n${output} is finished already. --force starts over.`)
  else
    terminal.info(
      `\n${terminal.ok('done')} in ${formatDuration(summary.seconds)}. Report: ${output}/compare.md, ${output}/compare.json`,
    )
  return exitCodes.done
}
