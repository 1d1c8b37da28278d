// `bt-native curate`: flags in, the kept rows and all scored rows to files, histograms on stdout, progress on stderr.
import { type Command, Option } from 'commander'
import type { Calibration } from '../curate/calibration.js'
import { type CurateInput, curateFields, curateSchema } from '../curate/options.js'
import { plantedKinds } from '../curate/plant.js'
import type { CurateStart, CurateSummary } from '../curate/types.js'
import { resolveOptions } from '../fields.js'
import { histogramText, sparkline } from '../report/histogram.js'
import { renderTable } from '../report/table.js'
import { addFlags, flagOf, givenOptions } from './flags.js'
import { formatBytes, formatCount, formatDuration, formatPercent, plural } from './format.js'
import { resumeLine } from './interrupt.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'
import { drained, reportFact, reportMachine, runWork } from './work.js'

export function addCurate(program: Command): void {
  const command = program
    .command('curate')
    .description(
      'Score (instruction, response) pairs by a forward model, and keep the good ones. The same command again goes on ' +
        'where it was; other rules choose again at once, without scoring.',
    )
  addFlags(command, curateFields)
  command
    .optionsGroup('Other:')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpOption(new Option('-h, --help', 'print this help').helpGroup('Other:'))
    .addHelpText('after', examples)
    .action((options) => runCommand(program, options, (terminal) => curateCommand(options, terminal)))
}

const examples = `
Examples:
  $ bt-native curate --adapter runs/m0 --input pairs.jsonl --min quality=3.5
  $ bt-native curate --adapter runs/m0 --backward runs/first --input pairs.jsonl --output curated.jsonl \\
      --keep 'quality >= 3 and pmi > 0.2 and length < 3000' --budget 20000 --by backwardPmi`

async function curateCommand(parsed: Record<string, unknown>, terminal: Terminal): Promise<number> {
  const given = resolveOptions(curateSchema, givenOptions<CurateInput>(parsed, curateFields), undefined, flagOf)
  const { curate } = await import('../curate/run.js')
  const words = {
    stopping: 'stopping after the rows under way; scores so far are saved',
    stopped: 'stopped; scores so far are saved',
  }
  return runWork(terminal, words, async (control) => {
    const rows = curate(given, {
      ...control,
      onStart: (start) => {
        reportStart(start, control.begun, terminal)
        control.begun = true
      },
    })
    const summary = await drained(rows)
    terminal.endProgress()
    return reportEnd(summary, terminal)
  })
}

/** @param again models are loaded already: another stage begins */
function reportStart(start: CurateStart, again: boolean, terminal: Terminal): void {
  terminal.event({ event: 'started', ...start })
  if (again) return
  const head = (name: string, text: string) => reportFact(name, text, terminal)
  reportMachine(start, terminal)
  head('model', start.model)
  if (start.adapter) head('adapter', start.adapter)
  head('template', start.template)
  if (start.backward) head('backward', start.backward)
  if (start.rowsDone > 0) terminal.info(`going on after ${plural(start.rowsDone, 'row')}`)
}

function reportEnd(summary: CurateSummary, terminal: Terminal): number {
  const event = summary.interrupted ? 'interrupted' : summary.alreadyDone ? 'already-finished' : 'finished'
  terminal.event({ event, ...summary })
  for (const { reason, count, examples } of summary.dropped) {
    terminal.warn(`${plural(count, 'row')} of the input left out: ${reason} (${examples.join(', ')})`)
  }
  if (summary.interrupted) {
    terminal.info(`saved the scores of ${plural(summary.rows, 'row')}\nresume: ${resumeLine(true)}`)
    return exitCodes.interrupted
  }
  if (!terminal.json) showHistograms(summary, terminal)
  if (summary.alreadyDone) {
    terminal.info(`${summary.output} is finished already. Other rules choose again; --force scores again.`)
  }
  const { calibration } = summary
  if (calibration && !terminal.json) terminal.result(calibrationText(calibration, terminal))
  const written = summary.written + summary.plantedWritten
  if (written > 0) {
    const rate = `${formatCount(written / summary.seconds, 1)} rows/s`
    terminal.info(
      `${terminal.ok('scored')} ${plural(written, 'row')} in ${formatDuration(summary.seconds)} · ${rate} · ` +
        `peak memory ${formatBytes(summary.peakMemory)}`,
    )
  }
  if (summary.cut > 0) terminal.info(`${plural(summary.cut, 'response')} read up to --max-tokens`)
  const left = Object.entries(summary.rejected).map(([rule, count]) => `${rule} ${formatCount(count)}`)
  if (left.length > 0) terminal.info(`left out  ${left.join(', ')}`)
  terminal.info(
    `${terminal.ok('kept')} ${formatCount(summary.kept)} of ${plural(summary.rows, 'row')} (${formatPercent(summary.rows ? summary.kept / summary.rows : 0)}) ` +
      `in ${summary.output}; all with their scores in ${summary.scoredOutput}`,
  )
  return exitCodes.done
}

/** Every score in a line, and those that the rows were chosen by as bars. */
function showHistograms({ histograms, chosenBy }: CurateSummary, terminal: Terminal): void {
  if (histograms.length === 0) return
  const number = (value: number) => `${Number(value.toPrecision(3))}`
  const rows = histograms.map(({ score, edges, all, kept }) => [
    score,
    number(edges[0]!),
    number(edges.at(-1)!),
    sparkline(all),
    sparkline(kept, Math.max(...all)),
  ])
  const columns = ['score', 'from', 'to', 'all rows', 'kept'].map((title, at) => ({
    title,
    align: at === 1 || at === 2 ? ('right' as const) : ('left' as const),
    wrap: false,
  }))
  terminal.result(renderTable(columns, rows, { paintTitle: terminal.bold }))
  for (const one of histograms.filter(({ score }) => chosenBy.includes(score))) {
    terminal.result(`\n${histogramText(`${terminal.bold(one.score)} ${terminal.dim('kept of all')}`, one)}`)
  }
}

/** A line a score: how well it tells good from planted pairs, in all and by kind, and what its best threshold gives. */
function calibrationText({ good, planted, reference, scores }: Calibration, terminal: Terminal): string {
  const two = (value: number) => value.toFixed(2)
  const three = (value: number) => value.toFixed(3)
  const rows = scores.map(({ score, better, all, kinds }) => [
    score,
    `${three(all.auc)} ${two(all.interval[0])}-${two(all.interval[1])}`,
    ...plantedKinds.map((kind) => three(kinds[kind].auc)),
    `${better === 'high' ? '>=' : '<='} ${Number(all.threshold.toPrecision(3))}`,
    formatPercent(all.precision),
    formatPercent(all.recall),
  ])
  const titles = ['score', 'AUC, 95 %', ...plantedKinds, 'keep', 'precision', 'recall']
  const columns = titles.map((title, at) => ({ title, align: at === 0 ? ('left' as const) : ('right' as const) }))
  const bad = Object.values(planted).reduce((sum, count) => sum + count, 0)
  const head = `calibration on ${plural(good, 'pair')} of ${reference} and ${formatCount(bad)} planted ones`
  return `\n${terminal.bold(head)}\n${renderTable(columns, rows)}\n`
}
