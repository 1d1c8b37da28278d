// `bt-native segment`: flags in, a corpus cut into segments out, and a table of what was kept and left out.
import { type Command, Option } from 'commander'
import { resolveOptions } from '../fields.js'
import { plainName } from '../paths.js'
import { type SegmentInput, segmentFields, segmentSchema } from '../segment/options.js'
import type { SegmentStart } from '../segment/run.js'
import type { Segment, SegmentSummary } from '../segment/types.js'
import { packageVersion } from '../version.js'
import { addFlags, flagOf, givenOptions } from './flags.js'
import { formatBytes, formatCount, formatDuration, formatPercent, plural } from './format.js'
import { onInterrupt, resumeLine } from './interrupt.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'

export function addSegment(program: Command): void {
  const command = program
    .command('segment')
    .description(
      'Cut a corpus into self-contained texts to write instructions for: the text under a heading of HTML pages, web ' +
        'archives, Markdown, plain text and JSONL, without boilerplate, repetitions and what stands in an evaluation ' +
        'set. The same command again goes on where it was.',
    )
  addFlags(command, segmentFields)
  command
    .optionsGroup('Other:')
    .addOption(new Option('--show <n>', 'print so many segments at the end').argParser(Number))
    .option('--json', 'one JSON object an event on stdout')
    .addHelpOption(new Option('-h, --help', 'print this help').helpGroup('Other:'))
    .addHelpText('after', examples)
    .action((options) => runCommand(program, options, (terminal) => segmentCommand(options, terminal)))
}

const examples = `
Read are .html .htm .xhtml .md .markdown .txt .warc .wet .jsonl .json .parquet, each with .gz as well but Parquet;
other names by how they begin. Documents in JSONL and Parquet stand in html, markdown, text, content or --column.

Examples:
  $ bt-native segment --input pages/ notes/*.md --output segments.jsonl --lang en
  $ bt-native segment --input 'crawl/**/*.warc.gz' --output segments --partitions 64 --against eval.jsonl --mask-pii all`

async function segmentCommand(parsed: Record<string, unknown>, terminal: Terminal): Promise<number> {
  const given = resolveOptions(segmentSchema, givenOptions<SegmentInput>(parsed, segmentFields), undefined, flagOf)
  const options = { ...given, output: given.output ?? defaultOutput(given.input[0]!, given.partitions) }
  const { prepareCorpus } = await import('../segment/run.js')
  const interrupts = onInterrupt(terminal, () => 'stopping; what was read so far is kept')
  try {
    const prepared = await prepareCorpus(options, {
      signal: interrupts.soft,
      onProgress: terminal.progress,
      onStart: (start) => reportStart(start, terminal),
    })
    try {
      terminal.endProgress()
      const shown = await firstSegments(prepared.segments(), Number(parsed.show ?? 0))
      return reportEnd(prepared.summary, shown, terminal)
    } finally {
      await prepared.close()
    }
  } finally {
    interrupts.dispose()
  }
}

function defaultOutput(input: string, partitions: number | undefined): string {
  const name = plainName(input.replace(/\/+$/, ''))
  return partitions === undefined ? `${name}.segments.jsonl` : `${name}.segments`
}

async function firstSegments(segments: AsyncIterable<Segment>, count: number): Promise<Segment[]> {
  const shown: Segment[] = []
  if (count > 0) {
    for await (const segment of segments) {
      shown.push(segment)
      if (shown.length >= count) break
    }
  }
  return shown
}

function reportStart(start: SegmentStart, terminal: Terminal): void {
  terminal.event({ event: 'started', ...start })
  terminal.info(`bt-native ${packageVersion()}\n`)
  const parts = [plural(start.files, 'file'), ...(start.bytes === undefined ? [] : [formatBytes(start.bytes)])]
  if (start.passedOver > 0) parts.push(`${plural(start.passedOver, 'file')} of other kinds passed over`)
  terminal.info(`${terminal.bold('corpus'.padEnd(9))} ${parts.join(' · ')}`)
  if (start.overlapRuns !== undefined) {
    terminal.info(`${terminal.bold('against'.padEnd(9))} ${formatCount(start.overlapRuns)} runs of words`)
  }
  if (start.documentsDone > 0) terminal.info(`going on after ${plural(start.documentsDone, 'document')}`)
}

function reportEnd(summary: SegmentSummary, shown: readonly Segment[], terminal: Terminal): number {
  const event = summary.interrupted ? 'interrupted' : summary.alreadyDone ? 'already-finished' : 'finished'
  terminal.event({ event, ...summary })
  if (summary.interrupted) {
    terminal.info(`kept what ${plural(summary.documents, 'document')} gave\nresume: ${resumeLine(true)}`)
    return exitCodes.interrupted
  }
  const where = placeOf(summary)
  if (summary.alreadyDone) {
    terminal.info(`${where} is finished already: ${plural(summary.kept, 'segment')}. --force starts over.`)
    terminal.info(nextLine(summary))
    return exitCodes.done
  }
  if (!terminal.json) {
    for (const segment of shown) terminal.result(segmentText(segment, terminal))
    terminal.result([...summaryLines(summary, terminal), ...droppedLines(summary, terminal)].join('\n'))
  }
  const rate = `${formatCount(summary.documents / summary.seconds, 1)} documents/s`
  terminal.info(`${terminal.ok('done')} in ${formatDuration(summary.seconds)} · ${rate}`)
  terminal.info(nextLine(summary))
  return exitCodes.done
}

function segmentText({ heading, text, place, span }: Segment, terminal: Terminal): string {
  return `${terminal.bold(heading ?? '(no heading)')}\n${text}\n${terminal.dim(`${place}, characters ${span.join(' to ')}`)}\n`
}

function placeOf({ outputs }: SegmentSummary): string {
  return outputs.length === 1
    ? outputs[0]!
    : `${outputs[0]!.replace(/\/[^/]*$/, '')} (${plural(outputs.length, 'file')})`
}

function summaryLines(summary: SegmentSummary, terminal: Terminal): string[] {
  const head = (name: string, text: string) => `${terminal.bold(name.padEnd(9))} ${text}`
  const { mean, median, p95, max } = summary.characters
  const languages = summary.languages
    .slice(0, 6)
    .map(({ language, count }) => `${language ?? 'not told'} ${formatCount(count)}`)
  const masked = Object.entries(summary.masked).map(([kind, count]) => `${kind} ${formatCount(count)}`)
  return [
    head('read', `${plural(summary.documents, 'document')} in ${plural(summary.files, 'file')}`),
    head('kept', `${plural(summary.kept, 'segment')} in ${placeOf(summary)}`),
    head(
      'length',
      `mean ${formatCount(mean)}, median ${formatCount(median)}, 95 % under ${formatCount(p95 + 1)}, longest ${formatCount(max)} characters`,
    ),
    head('language', languages.join(', ') + (summary.languages.length > 6 ? ', ...' : '')),
    ...(masked.length > 0 ? [head('masked', masked.join(', '))] : []),
  ]
}

function droppedLines(
  { dropped, droppedTotal, droppedOutput, kept, malformed }: SegmentSummary,
  terminal: Terminal,
): string[] {
  const head = (name: string, text: string) => `${terminal.bold(name.padEnd(9))} ${text}`
  if (droppedTotal === 0) return [head('dropped', 'none')]
  const share = formatPercent(droppedTotal / (droppedTotal + kept))
  const lines = [
    head('dropped', `${formatCount(droppedTotal)} (${share})${droppedOutput ? `, listed in ${droppedOutput}` : ''}`),
  ]
  const reasonWidth = Math.max(...dropped.map(({ reason }) => reason.length))
  const countWidth = formatCount(dropped[0]!.count).length
  for (const { reason, count, examples: places } of dropped) {
    const first = terminal.dim(`${places[0]}${count > 1 ? ', ...' : ''}`)
    lines.push(`  ${formatCount(count).padStart(countWidth)}  ${reason.padEnd(reasonWidth)}  ${first}`)
  }
  for (const { place, why } of malformed.slice(0, 5)) lines.push(`  ${terminal.bold(place)}: ${why}`)
  if (malformed.length > 5) lines.push('  --dropped FILE lists them all.')
  return lines
}

function nextLine({ outputs }: SegmentSummary): string {
  const [first] = outputs
  const output = outputs.length > 1 ? ` --output ${first!.replace(/\.parquet$/, '.jsonl')}` : ' --output pairs.jsonl'
  return `next: npx bt-native generate --adapter runs/first --input ${first}${output}`
}
