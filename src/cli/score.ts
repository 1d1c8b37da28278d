// `bt-native score`: flags in, scored rows to a file or a pipe, progress on stderr.
import { type Command, Option } from 'commander'
import { BtError } from '../errors.js'
import { resolveOptions } from '../fields.js'
import type { ScoreStart, ScoreSummary } from '../generate/score.js'
import { type ScoreInput, scoreFields, scoreSchema } from '../generate/score-options.js'
import { plainName } from '../paths.js'
import { addFlags, flagOf, givenOptions } from './flags.js'
import { formatBytes, formatCount, formatDuration, plural } from './format.js'
import { resumeLine } from './interrupt.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'
import { drained, reportFact, reportMachine, runWork } from './work.js'

export function addScore(program: Command): void {
  const command = program
    .command('score')
    .description(
      'Tell how likely a model takes given pairs (or texts) to be: log-likelihood and perplexity, of each row and of all. ' +
        'The same command again goes on where it was.',
    )
  addFlags(command, scoreFields)
  command
    .optionsGroup('Other:')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpOption(new Option('-h, --help', 'print this help').helpGroup('Other:'))
    .addHelpText('after', examples)
    .action((options) => runCommand(program, options, (terminal) => scoreCommand(options, terminal)))
}

const examples = `
Examples:
  $ bt-native score --adapter runs/first --input examples/seed.jsonl --output scores.jsonl
  $ bt-native score --model smollm2-135m --template raw --input texts.jsonl --token-log-probs --output scores.parquet`

async function scoreCommand(parsed: Record<string, unknown>, terminal: Terminal): Promise<number> {
  const given = resolveOptions(scoreSchema, givenOptions<ScoreInput>(parsed, scoreFields), undefined, flagOf)
  const output = given.output ?? (given.input === '-' ? '-' : `${plainName(given.input)}.scored.jsonl`)
  if (terminal.json && output === '-') {
    throw new BtError('BT_USAGE', '--json and --output - both want stdout', { remedy: 'Name a file with --output.' })
  }
  const { score } = await import('../generate/score.js')
  const words = {
    stopping: 'stopping after the batch under way; rows so far are saved',
    stopped: 'stopped; rows scored so far are saved',
  }
  return runWork(terminal, words, async (control) => {
    const rows = score(
      { ...given, output },
      {
        ...control,
        onStart: (start) => {
          control.begun = true
          reportStart(start, output, terminal)
        },
      },
    )
    const summary = await drained(rows)
    terminal.endProgress()
    return reportEnd(summary, terminal)
  })
}

function reportStart(start: ScoreStart, output: string, terminal: Terminal): void {
  terminal.event({ event: 'started', ...start })
  const head = (name: string, text: string) => reportFact(name, text, terminal)
  reportMachine(start, terminal)
  head('model', start.model)
  if (start.adapter) head('adapter', start.adapter)
  head('template', start.template)
  if (start.rowsDone > 0) terminal.info(`going on after ${plural(start.rowsDone, 'row')} in ${output}`)
}

function reportEnd(summary: ScoreSummary, terminal: Terminal): number {
  const { output, rows, unscored, cut, tokens, perplexity, logLikelihood } = summary
  terminal.event({ event: summary.interrupted ? 'interrupted' : 'finished', ...summary })
  for (const { reason, count, examples } of summary.dropped) {
    terminal.warn(`${plural(count, 'row')} of the input left out: ${reason} (${examples.join(', ')})`)
  }
  if (summary.alreadyDone) {
    terminal.info(`${output} is finished already: ${plural(rows, 'row')}. --force starts over.`)
    return exitCodes.done
  }
  if (summary.interrupted) {
    terminal.info(`saved ${plural(rows, 'row')} in ${output}\nresume: ${resumeLine(true)}`)
    return exitCodes.interrupted
  }
  const rate = `${formatCount(summary.written / summary.seconds, 1)} rows/s`
  terminal.info(
    `${terminal.ok('done')} in ${formatDuration(summary.seconds)}. ${plural(rows, 'row')} in ${output === '-' ? 'the pipe' : output}` +
      ` · ${rate} · peak memory ${formatBytes(summary.peakMemory)}`,
  )
  if (perplexity !== null) {
    const mean = formatCount(logLikelihood / tokens, 3)
    terminal.info(`perplexity ${formatCount(perplexity, 3)} (${mean} nats a token) over ${plural(tokens, 'token')}`)
  }
  if (cut > 0) terminal.info(`${plural(cut, 'row')} cut to fit (--max-tokens)`)
  if (unscored > 0)
    terminal.info(`${plural(unscored, 'row')} without a score: the target does not fit, or there is none`)
  return exitCodes.done
}
