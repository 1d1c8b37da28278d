// `bt-native generate`: flags in, rows to a file or a pipe, progress on stderr.
import { type Command, Option } from 'commander'
import { BtError } from '../errors.js'
import { resolveOptions } from '../fields.js'
import { type GenerateInput, type GenerateOptions, generateFields, generateSchema } from '../generate/options.js'
import type { GenerateStart } from '../generate/run.js'
import type { GeneratedRow, GenerateSummary } from '../generate/types.js'
import { plainName } from '../paths.js'
import { addFlags, countOption, flagOf, givenOptions } from './flags.js'
import { formatBytes, formatCount, formatDuration, plural } from './format.js'
import { resumeLine } from './interrupt.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'
import { drained, reportFact, reportMachine, runWork } from './work.js'

export function addGenerate(program: Command): void {
  const command = program
    .command('generate')
    .description(
      'Write an instruction for each text (or, with a forward adapter, a response for each instruction). ' +
        'The same command again goes on where it was.',
    )
  addFlags(command, generateFields)
  command
    .optionsGroup('Other:')
    .option('--show <n>', 'print so many pairs at the end')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpOption(new Option('-h, --help', 'print this help').helpGroup('Other:'))
    .addHelpText('after', examples)
    .action((options) => runCommand(program, options, (terminal) => generateCommand(options, terminal)))
}

const examples = `
Examples:
  $ bt-native generate --adapter runs/first --input examples/seed.jsonl --output pairs.jsonl --show 5
  $ cat texts.jsonl | bt-native generate --adapter runs/first --greedy --input - --output - > pairs.jsonl`

async function generateCommand(parsed: Record<string, unknown>, terminal: Terminal): Promise<number> {
  const given = resolveOptions(generateSchema, givenOptions<GenerateInput>(parsed, generateFields), undefined, flagOf)
  const options = { ...given, output: given.output ?? defaultOutput(given.input) }
  if (terminal.json && options.output === '-') {
    throw new BtError('BT_USAGE', '--json and --output - both want stdout', { remedy: 'Name a file with --output.' })
  }
  const show = countOption('--show', parsed.show)
  const { generate } = await import('../generate/run.js')
  const shown: GeneratedRow[] = []
  let sharded = false
  const words = {
    stopping: 'stopping after the tokens under way; rows so far are saved',
    stopped: 'stopped; rows written so far are saved',
  }
  return runWork(terminal, words, async (control) => {
    const rows = generate(options, {
      ...control,
      onStart: (start) => {
        control.begun = true
        sharded = start.shard !== undefined
        reportStart(start, options, terminal)
      },
    })
    const summary = await drained(rows, (row) => {
      if (shown.length < show) shown.push(row)
    })
    terminal.endProgress()
    const following = sharded ? `merge-shards --output ${options.output}` : `evaluate --predictions ${options.output}`
    return reportEnd(summary, { shown, following }, terminal)
  })
}

/** What comes from a pipe goes into one. */
function defaultOutput(input: string): string {
  return input === '-' ? '-' : `${plainName(input)}.written.jsonl`
}

function reportStart(start: GenerateStart, options: GenerateOptions, terminal: Terminal): void {
  terminal.event({ event: 'started', ...start })
  const { task, form, hash, ask } = start.template
  const head = (name: string, text: string) => reportFact(name, text, terminal)
  reportMachine(start, terminal)
  head('model', start.model)
  if (start.adapter) head('adapter', start.adapter)
  head('template', `${task}/${form} ${hash}   "${ask}"`)
  head('sampling', samplingText(options))
  if (start.shard) head('shard', `${start.shard.index} of ${start.shard.count}, to ${start.output}`)
  if (start.rowsDone > 0) terminal.info(`going on after ${plural(start.rowsDone, 'row')} in ${start.output}`)
}

function samplingText(options: GenerateOptions): string {
  const { temperature, topP, topK, minP, typicalP, seed, maxNewTokens, n, rerank, guard, guardRetries } = options
  const parts = [
    options.greedy || temperature === 0 ? 'greedy' : `temperature ${temperature}, top-p ${topP}, top-k ${topK}`,
    minP > 0 && `min-p ${minP}`,
    typicalP < 1 && `typical-p ${typicalP}`,
    !(options.greedy || temperature === 0) && `seed ${seed}`,
    options.repetitionPenalty !== 1 && `repetition penalty ${options.repetitionPenalty}`,
    options.presencePenalty !== 0 && `presence penalty ${options.presencePenalty}`,
    options.frequencyPenalty !== 0 && `frequency penalty ${options.frequencyPenalty}`,
    options.uniqueNgram > 0 && `no ${options.uniqueNgram}-gram twice`,
    `at most ${maxNewTokens} new tokens`,
    n > 1 && `best of ${n} by ${rerank}`,
    guard.length > 0 ? `guard: ${guard.join(', ')}; at most ${plural(1 + guardRetries, 'attempt')}` : 'no guard',
  ]
  return parts.filter(Boolean).join(', ')
}

function reportEnd(
  summary: GenerateSummary,
  { shown, following }: { shown: GeneratedRow[]; following: string },
  terminal: Terminal,
): number {
  const { output } = summary
  terminal.event({ event: summary.interrupted ? 'interrupted' : 'finished', ...summary })
  for (const { reason, count, examples } of summary.dropped) {
    terminal.warn(`${plural(count, 'row')} of the input left out: ${reason} (${examples.join(', ')})`)
  }
  if (summary.alreadyDone) {
    terminal.info(`${output} is finished already: ${plural(summary.rows, 'row')}. --force starts over.`)
    return exitCodes.done
  }
  for (const row of shown) showRow(row, terminal)
  if (summary.interrupted) {
    terminal.info(`saved ${plural(summary.rows, 'row')} in ${output}\nresume: ${resumeLine(true)}`)
    return exitCodes.interrupted
  }
  const rate = `${formatCount(summary.written / summary.seconds, 2)} rows/s`
  const memory = `peak memory ${formatBytes(summary.peakMemory)}`
  terminal.info(
    `${terminal.ok('done')} in ${formatDuration(summary.seconds)}. ${plural(summary.rows, 'row')} in ${output === '-' ? 'the pipe' : output}` +
      ` · ${rate}, ${formatCount(summary.tokens / summary.seconds)} tok/s · ${memory}`,
  )
  for (const line of countLines(summary)) terminal.info(line)
  if (output !== '-') terminal.info(`next: npx bt-native ${following}`)
  return exitCodes.done
}

function countLines(summary: GenerateSummary): string[] {
  const { cut, unfinished, empty, rewritten, faulty, faults } = summary
  const lines: string[] = []
  if (cut > 0) lines.push(`${plural(cut, 'text')} cut to fit the prompt (--max-tokens)`)
  if (unfinished > 0) lines.push(`${plural(unfinished, 'row')} ended by --max-new-tokens`)
  if (empty > 0) lines.push(`${plural(empty, 'row')} with nothing to read: written empty`)
  if (rewritten > 0) lines.push(`${plural(rewritten, 'row')} written again by the guard`)
  if (faulty > 0) {
    const each = Object.entries(faults).map(([fault, count]) => `${fault} ${formatCount(count)}`)
    lines.push(`${plural(faulty, 'row')} with a fault left, marked as guard in the row: ${each.join(', ')}`)
  }
  return lines
}

/** Characters of each side that are shown. */
const shownCharacters = 300

function showRow(row: GeneratedRow, terminal: Terminal): void {
  const side = (name: string, text: string | undefined) => {
    if (text === undefined) return
    const flat = text.replace(/\s+/g, ' ')
    const short = flat.length > shownCharacters ? `${flat.slice(0, shownCharacters)}…` : flat
    terminal.info(`${terminal.bold(name.padEnd(11))} ${short}`)
  }
  side('response', row.response)
  side('instruction', row.instruction)
  side('reference', row.reference)
  terminal.info(terminal.dim(`${plural(row.tokens, 'token')}, ended by ${row.finish}`))
  terminal.info('')
}
