// `bt-native preprocess`: flags in, a table of what was read, kept and left out.
import { type Command, InvalidArgumentError, Option } from 'commander'
import { formats, parseColumns } from '../data/formats.js'
import type { PreprocessOptions, PreprocessReport } from '../data/preprocess.js'
import type { DropCount } from '../data/types.js'
import { formatCount, formatPercent, plural } from './format.js'
import { onInterrupt } from './interrupt.js'
import { runCommand, type Terminal } from './terminal.js'

type Flags = Omit<PreprocessOptions, 'inputs' | 'onProgress' | 'signal'> & {
  input: string[]
  filter_single_turn?: boolean
  json?: boolean
}

export function addPreprocess(program: Command): void {
  program
    .command('preprocess')
    .description(
      'Turn data sets into clean {id, instruction, response, source, ...} rows: one a conversation, in input order, ' +
        'every row that is left out counted by reason.',
    )
    .optionsGroup('Data:')
    .requiredOption('--input <files...>', 'data sets, each of any format below; "-" is stdin')
    .option('--output <file>', 'JSONL to write (default: NAME.rows.jsonl here, after the first input)')
    .addOption(
      new Option('--columns <map>', 'which column holds what: instruction=a,response=b').argParser(parseColumns),
    )
    .option('--all-replies', 'OASST1: every fit reply to a first prompt, not the best ranked alone')
    .option('--strict', 'stop at the first unreadable line instead of counting it')
    .optionsGroup('Filters:')
    .option('--single-turn', 'keep conversations of exactly one instruction and one response')
    .addOption(new Option('--filter_single_turn').hideHelp())
    .addOption(
      new Option('--lang <codes>', 'keep these languages, by column or else detected: en or en,de').argParser(
        (text: string) => text.split(','),
      ),
    )
    .addOption(count('--max-rank <n>', 'keep replies ranked this or better: 0 is the best'))
    .addOption(count('--min-instruction <n>', 'fewest characters of an instruction'))
    .addOption(count('--max-instruction <n>', 'most characters of an instruction'))
    .addOption(count('--min-response <n>', 'fewest characters of a response'))
    .addOption(count('--max-response <n>', 'most characters of a response'))
    .addOption(
      new Option('--near-duplicates <s>', 'leave out rows this similar to an earlier one, 0 to 1, or "off"')
        .default(0.85)
        .argParser((text: string) => (text === 'off' ? false : toNumber(text))),
    )
    .optionsGroup('Validation:')
    .addOption(
      new Option('--validation <share>', 'share of instructions to keep back, chosen by their content alone')
        .default(0)
        .argParser(toNumber),
    )
    .option('--validation-output <file>', 'where they go (default: NAME.validation.jsonl beside NAME.jsonl)')
    .addOption(count('--seed <n>', 'another seed keeps others back').default(0))
    .optionsGroup('Output:')
    .option('--report <file>', 'write the counts as JSON')
    .option('--force', 'replace outputs that exist')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpText('after', helpText())
    .action((flags: Flags) => runCommand(program, flags, (terminal) => preprocessCommand(flags, terminal)))
}

function count(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string) => {
    const value = toNumber(text)
    if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('A whole number was expected.')
    return value
  })
}

function toNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('A number was expected.')
  return value
}

function helpText(): string {
  const shapes = new Map<string, string[]>()
  for (const { name, shape } of formats) shapes.set(name, [...(shapes.get(name) ?? []), shape])
  const width = Math.max(...[...shapes.keys()].map((name) => name.length))
  const rows = [...shapes].map(([name, list]) => `  ${name.padEnd(width)}  ${list.join(' or ')}`)
  return `
Formats, told from the content: JSONL, a JSON array or Parquet, gzip too, of
${rows.join('\n')}

Turns: the row of a conversation is its first instruction with the reply to it; multi_turn marks it where other turns
stand beside them, and --single-turn drops it then. In OASST1 the pair at the root of a tree is whole whatever follows,
so --single-turn is seldom wanted there; the reply is the best ranked of those not deleted, rejected or spam.
train learns every turn when it is given the file with the conversations itself.

Examples:
  $ bt-native preprocess --input examples/seed.jsonl --output data/seed.jsonl
  $ bt-native preprocess --input oasst1.parquet --output data/seed.jsonl --lang en --max-rank 0 --validation 0.05
  $ bt-native preprocess --input lima.jsonl --output data/lima.jsonl --single-turn
  $ zcat dump.gz | bt-native preprocess --input - --output data/qa.jsonl --columns instruction=title,response=body`
}

/** Milliseconds before progress is worth a line: most files are done by then. */
const quietFor = 1000

async function preprocessCommand(flags: Flags, terminal: Terminal): Promise<void> {
  const { preprocess } = await import('../data/preprocess.js')
  const { input, filter_single_turn, json: _, ...options } = flags
  const interrupts = onInterrupt(terminal, () => 'stopping; nothing will be written')
  const started = performance.now()
  try {
    const report = await preprocess({
      ...options,
      inputs: input,
      singleTurn: options.singleTurn || filter_single_turn,
      onProgress: (progress) => {
        if (performance.now() - started > quietFor) terminal.progress(progress)
      },
      signal: interrupts.soft,
    })
    terminal.endProgress(false)
    for (const warning of report.warnings) terminal.warn(warning)
    terminal.event({ event: report.alreadyDone ? 'already-finished' : 'preprocessed', ...report })
    if (report.alreadyDone) reportDone(report, terminal)
    else if (!terminal.json) terminal.result(reportLines(report, terminal).join('\n'))
  } finally {
    interrupts.dispose()
  }
}

function reportDone({ outputs, train }: PreprocessReport, terminal: Terminal): void {
  terminal.info(`${outputs.train} is finished already: ${plural(train, 'row')}. --force starts over.`)
  terminal.info(nextLine(outputs))
}

function reportLines(report: PreprocessReport, terminal: Terminal): string[] {
  const head = (name: string, text: string) => `${terminal.bold(name.padEnd(11))} ${text}`
  const lines = report.inputs.map(({ path, format, records, kept }, index) => {
    const name = path === '-' ? 'stdin' : path
    return head(
      index === 0 ? 'read' : '',
      `${name}   ${format}, ${plural(records, 'record')} · ${plural(kept, 'row')} kept`,
    )
  })
  const { outputs, train, validation } = report
  lines.push(head('kept', `${plural(train, 'row')} in ${outputs.train}`))
  if (outputs.validation) lines.push(head('', `${plural(validation, 'row')} in ${outputs.validation}`))
  if (report.multiTurn > 0) lines.push(head('', `${plural(report.multiTurn, 'row')} from multi-turn conversations`))
  if (report.languageDetected > 0) {
    const unsure = `${formatCount(report.languageUnsure)} kept because their text does not tell`
    lines.push(head('language', `${plural(report.languageDetected, 'row')} detected, ${unsure}`))
  }
  for (const [name, lengths] of [
    ['instruction', report.instructionCharacters],
    ['response', report.responseCharacters],
  ] as const) {
    const { mean, median, p95, max } = lengths
    const parts = [`mean ${formatCount(mean)}`, `median ${formatCount(median)}`, `95 % under ${formatCount(p95 + 1)}`]
    lines.push(head(name, `${parts.join(', ')}, longest ${formatCount(max)} characters`))
  }
  lines.push(...droppedLines(report, head, terminal))
  if (outputs.report) lines.push(head('report', outputs.report))
  return [...lines, nextLine(outputs)]
}

function droppedLines(report: PreprocessReport, head: (name: string, text: string) => string, terminal: Terminal) {
  if (report.droppedTotal === 0) return [head('dropped', 'none')]
  const share = formatPercent(report.droppedTotal / report.read)
  const lines = [head('dropped', `${formatCount(report.droppedTotal)} of ${plural(report.read, 'row')} (${share})`)]
  const byCount = report.dropped.toSorted((a, b) => b.count - a.count)
  const reasonWidth = Math.max(...byCount.map(({ reason }) => reason.length))
  const countWidth = formatCount(byCount[0]!.count).length
  for (const drop of byCount) {
    const number = formatCount(drop.count).padStart(countWidth)
    lines.push(`  ${number}  ${drop.reason.padEnd(reasonWidth)}  ${terminal.dim(places(drop))}`)
  }
  for (const { place, why } of report.malformed.slice(0, 5)) lines.push(`  ${terminal.bad(place)}: ${why}`)
  if (report.malformed.length > 5) lines.push('  --report FILE lists more of them.')
  return lines
}

/** The first place, and that there are more. */
function places({ count: total, examples }: DropCount): string {
  return `${examples[0]}${total > 1 ? ', ...' : ''}`
}

function nextLine(outputs: PreprocessReport['outputs']): string {
  const validation = outputs.validation ? ` --validation-data ${outputs.validation}` : ''
  return `next: npx bt-native train --model smollm2-135m --data ${outputs.train}${validation} --output runs/first`
}
