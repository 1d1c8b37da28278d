// `bt-native rewrite`: flags in, rows with better responses to a file, what became of them on stdout, progress on stderr.
import { type Command, Option } from 'commander'
import { resolveOptions } from '../fields.js'
import { renderTable } from '../report/table.js'
import { type RewriteInput, rewriteFields, rewriteSchema } from '../rewrite/options.js'
import type { RewriteOutcome, RewriteStart, RewriteSummary } from '../rewrite/types.js'
import { addFlags, flagOf, givenOptions } from './flags.js'
import { formatBytes, formatCount, formatDuration, formatPercent, plural } from './format.js'
import { resumeLine } from './interrupt.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'
import { drained, reportFact, reportMachine, runWork } from './work.js'

export function addRewrite(program: Command): void {
  const command = program
    .command('rewrite')
    .description(
      'Let a forward model write a better response for each pair, and keep it where its score does not fall below the ' +
        "old one's. The same command again goes on where it was.",
    )
  addFlags(command, rewriteFields)
  command
    .optionsGroup('Other:')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpOption(new Option('-h, --help', 'print this help').helpGroup('Other:'))
    .addHelpText('after', examples)
    .action((options) => runCommand(program, options, (terminal) => rewriteCommand(options, terminal)))
}

const examples = `
Examples:
  $ bt-native rewrite --adapter runs/m0 --input curated.jsonl
  $ bt-native rewrite --adapter runs/m0 --backward runs/first --input curated.jsonl \\
      --calibration curated.calibration.json --output rewritten.jsonl`

async function rewriteCommand(parsed: Record<string, unknown>, terminal: Terminal): Promise<number> {
  const given = resolveOptions(rewriteSchema, givenOptions<RewriteInput>(parsed, rewriteFields), undefined, flagOf)
  const { rewrite } = await import('../rewrite/run.js')
  const words = {
    stopping: 'stopping after the rows under way; rows so far are saved',
    stopped: 'stopped; rows so far are saved',
  }
  return runWork(terminal, words, async (control) => {
    const rows = rewrite(given, {
      ...control,
      onStart: (start) => {
        control.begun = true
        reportStart(start, terminal)
      },
    })
    const summary = await drained(rows)
    terminal.endProgress()
    return reportEnd(summary, terminal)
  })
}

function reportStart(start: RewriteStart, terminal: Terminal): void {
  terminal.event({ event: 'started', ...start })
  const head = (name: string, text: string) => reportFact(name, text, terminal)
  reportMachine(start, terminal)
  head('model', start.model)
  if (start.adapter) head('adapter', start.adapter)
  head('judged by', start.by)
  if (start.rowsDone > 0) terminal.info(`going on after ${plural(start.rowsDone, 'row')}`)
}

const outcomeWords: Record<RewriteOutcome, string> = {
  kept: 'a new response stands',
  same: 'the same was written',
  'too long': 'the pair does not fit into --max-tokens',
  empty: 'nothing to read, or nothing written',
  shorter: 'shorter than --min-share allows',
  worse: 'its score fell',
  unscored: 'no score to compare by',
  leak: 'it repeats its prompt, or speaks of it',
  loop: 'it loops',
  end: 'it does not end within --max-new-tokens',
}

function reportEnd(summary: RewriteSummary, terminal: Terminal): number {
  const event = summary.interrupted ? 'interrupted' : summary.alreadyDone ? 'already-finished' : 'finished'
  terminal.event({ event, ...summary })
  for (const { reason, count, examples } of summary.dropped) {
    terminal.warn(`${plural(count, 'row')} of the input left out: ${reason} (${examples.join(', ')})`)
  }
  if (summary.interrupted) {
    terminal.info(`saved ${plural(summary.rows, 'row')} in ${summary.output}\nresume: ${resumeLine(true)}`)
    return exitCodes.interrupted
  }
  if (!terminal.json) showOutcomes(summary, terminal)
  if (summary.alreadyDone) terminal.info(`${summary.output} is finished already. --force starts over.`)
  if (summary.written > 0) {
    const rate = `${formatCount(summary.written / summary.seconds, 2)} rows/s`
    terminal.info(`${formatDuration(summary.seconds)} · ${rate} · peak memory ${formatBytes(summary.peakMemory)}`)
  }
  const { kept = 0 } = summary.outcomes
  const rise =
    summary.before === null ? '' : `; ${summary.by} ${summary.before.toFixed(3)} -> ${summary.after!.toFixed(3)}`
  terminal.info(
    `${terminal.ok('rewritten')} ${formatCount(kept)} of ${plural(summary.rows, 'row')} in ${summary.output}${rise}`,
  )
  return exitCodes.done
}

function showOutcomes({ outcomes, rows }: RewriteSummary, terminal: Terminal): void {
  const found = (Object.entries(outcomes) as [RewriteOutcome, number][]).toSorted((a, b) => b[1] - a[1])
  if (found.length === 0) return
  const columns = [
    { title: 'what became of the rows', align: 'left' as const, wrap: false },
    { title: 'rows', align: 'right' as const },
    { title: 'share', align: 'right' as const },
  ]
  const lines = found.map(([outcome, count]) => [
    outcomeWords[outcome],
    formatCount(count),
    formatPercent(count / rows),
  ])
  terminal.result(renderTable(columns, lines, { paintTitle: terminal.bold }))
}
