// `bt-native train`: flags and config file in, events as lines out.
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { resolveOptions } from '../fields.js'
import type { EarlyStopEvent, StepEvent, TrainEvent, TrainSummary } from '../train/events.js'
import { type TrainInput, trainFields, trainSchema } from '../train/options.js'
import { packageVersion } from '../version.js'
import { addFlags, flagOf, givenOptions } from './flags.js'
import { formatBytes, formatCount, formatDuration, formatMillions, formatPercent, plural } from './format.js'
import { isInterruption, onInterrupt, resumeLine } from './interrupt.js'
import { bar, exitCodes, runCommand, type Terminal } from './terminal.js'

export function addTrain(program: Command): void {
  const command = program
    .command('train')
    .description(
      'Train a LoRA adapter that writes the instruction which a response answers (or, with --task forward, the response). ' +
        'The same command again goes on with an unfinished run.',
    )
  addFlags(command, trainFields)
  command
    .optionsGroup('Other:')
    .option('--config <file>', 'YAML or JSON with any of these options; flags win (schema: docs/train.schema.json)')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpOption(new Option('-h, --help', 'print this help').helpGroup('Other:'))
    .addHelpText('after', examples)
    .action((options) => runCommand(program, options, (terminal) => trainCommand(options, terminal)))
}

const examples = `
Examples:
  $ bt-native train --model smollm2-135m --data examples/seed.jsonl --output runs/first
  $ bt-native train --model smollm2-135m --data examples/seed.jsonl --output runs/wide --targets all-linear --epochs 2`

/** Warnings of steps that stand out, after which they are in the report alone. */
const mostSpikes = 10

async function trainCommand(parsed: Record<string, unknown>, terminal: Terminal): Promise<number> {
  const given = givenOptions<TrainInput>(parsed, trainFields)
  const config = typeof parsed.config === 'string' ? await readOptions(parsed.config) : undefined
  const options = resolveOptions(trainSchema, given, config, flagOf)
  const { train } = await import('../train/run.js')

  let step = 0
  let spikes = 0
  let begun = false
  const notice = () => (step > 0 ? `finishing step ${step + 1}, saving` : 'stopping after the work under way')
  const interrupts = onInterrupt(terminal, notice)
  let interrupted = false
  try {
    const control = { signal: interrupts.soft, abort: interrupts.hard, onProgress: terminal.progress }
    for await (const event of train(options, control)) {
      if (event.type === 'step') step = event.step
      if (event.type === 'plan') begun = true
      if (event.type === 'interrupted') interrupted = true
      if (event.type === 'warning' && event.step !== undefined && !terminal.json && ++spikes > mostSpikes) continue
      report(event, terminal)
      if (event.type === 'samples') await showSample(event, terminal)
      if (event.type === 'finished' && terminal.interactive) await showCurve(event.output, terminal)
    }
  } catch (error) {
    if (!isInterruption(error, interrupts)) throw error
    interrupted = true
    terminal.endProgress()
    terminal.info(
      step > 0 ? 'stopped at once: steps since the last checkpoint are lost' : 'stopped before the first step',
    )
  } finally {
    interrupts.dispose()
  }
  if (interrupted) terminal.info(`resume: ${resumeLine(begun)}`)
  return interrupted ? exitCodes.interrupted : exitCodes.done
}

/** The first of the samples: the page has them all. */
async function showSample({ samples }: TrainEvent & { type: 'samples' }, terminal: Terminal): Promise<void> {
  const { oneLine, terminalWidth } = await import('../report/table.js')
  terminal.endProgress(false)
  const width = terminalWidth() - 10
  for (const { prediction, reference } of samples.slice(0, 1)) {
    terminal.info(terminal.dim(`  wrote   ${oneLine(prediction, width)}`))
    terminal.info(terminal.dim(`  true    ${oneLine(reference, width)}`))
  }
}

/** The loss as a curve: for a person who looks. */
async function showCurve(output: string, terminal: Terminal): Promise<void> {
  const { readReport } = await import('../train/report.js')
  const { lossCurve } = await import('../report/loss-curve.js')
  const { terminalWidth } = await import('../report/table.js')
  const lines = lossCurve(await readReport(output), { width: Math.min(100, terminalWidth()) })
  for (const line of lines.length > 0 ? ['', ...lines] : []) terminal.info(line)
}

/** The YAML library is read in for this alone. */
export async function readOptions(path: string) {
  const { readConfig } = await import('../train/config.js')
  return readConfig(path)
}

function report(event: TrainEvent, terminal: Terminal): void {
  if (event.type === 'warning') {
    const { type: _, message, ...values } = event
    terminal.warn(message, values)
    return
  }
  const { type, ...values } = event
  terminal.event({ event: type, ...values })
  if (terminal.json) return
  if (event.type === 'step') {
    terminal.live('step', event.step / event.steps, (width) => stepLine(event, width))
    return
  }
  const lines = linesOf(event, terminal)
  if (lines.length === 0) return
  // The line of the steps stays; bars of reading and validation have had their say.
  terminal.endProgress(event.type === 'adapter' || event.type === 'interrupted' || event.type === 'finished')
  for (const line of lines) terminal.info(line)
}

/** A head in bold, ten columns wide, before what it heads. */
function head(terminal: Terminal, name: string, text: string): string {
  return `${terminal.bold(name.padEnd(9))} ${text}`
}

function linesOf(event: Exclude<TrainEvent, StepEvent | { type: 'warning' }>, terminal: Terminal): string[] {
  switch (event.type) {
    case 'machine': {
      const threads = event.device === 'cpu' ? `, ${plural(event.threads, 'thread')}` : ''
      return [`bt-native ${packageVersion()} · ${event.detail} · ${event.device}${threads}, ${event.precision}`, '']
    }
    case 'model': {
      const size = `${event.layers} layers, ${formatMillions(event.parameters)} weights, ${event.dtype}`
      return [head(terminal, 'model', `${event.name}   ${size}, loaded in ${event.seconds.toFixed(1)} s`)]
    }
    case 'data':
      return dataLines(event, terminal)
    case 'template':
      return [head(terminal, 'template', `${event.task}/${event.form} ${event.hash}   "${event.ask}"`)]
    case 'lora': {
      const share = formatPercent(event.share)
      const trainable = `${formatMillions(event.trainable)} trainable (${share})`
      return [head(terminal, 'lora', `r ${event.r}, alpha ${event.alpha}, ${event.targets.join(' ')}   ${trainable}`)]
    }
    case 'plan': {
      const rows = `${plural(event.steps, 'step')} of ${formatCount(event.rowsPerStep)} rows`
      const tokens = `about ${formatCount(event.tokensPerStep)} tokens a step`
      const memory = event.memory === undefined ? '' : ` · about ${formatBytes(event.memory)}`
      return [head(terminal, 'plan', `${rows}, ${tokens} · ${plural(event.epochs, 'epoch')}${memory}`), '']
    }
    case 'resumed':
      return [`going on after step ${event.step}/${event.steps}, from ${event.checkpoint}`]
    case 'validation': {
      const against = event.step === 0 ? ' before training' : ` (base ${event.baseLoss.toFixed(3)})`
      const place = event.step === 0 ? 'base' : `epoch ${formatCount(event.epoch, 2)}`
      const rouge = event.rougeL === undefined ? '' : `, ROUGE-L ${event.rougeL.toFixed(1)}`
      return [`  ${place}  validation ${event.loss.toFixed(3)}${against}${rouge}${event.best ? '   best so far' : ''}`]
    }
    case 'adapter':
      return [terminal.dim(`  saved the adapter of step ${event.step} in ${event.folder}`)]
    case 'checkpoint':
    case 'samples':
      return []
    case 'early-stop':
      return [`stopped early after step ${event.step}/${event.steps}: ${earlyStopWords(event)}`]
    case 'interrupted':
      return [`saved after step ${event.step}/${event.steps} in ${event.checkpoint}`]
    case 'finished':
      return finishedLines(event, terminal)
    case 'already-finished':
      return [
        `${event.output} is finished already: ${plural(event.steps, 'step')}, training loss ${event.trainLoss.toFixed(3)}.`,
        '--force starts over.',
        nextLine(event),
      ]
  }
}

/** Any better score makes an adapter the best, and only one that is better by more than --min-change goes on. */
function earlyStopWords({ patience, minChange, bestBy, bestStep, bestScore }: EarlyStopEvent): string {
  const unit = bestBy === 'loss' ? 'nats' : 'points of ROUGE-L'
  const much = minChange > 0 ? ` by more than ${minChange} ${unit}` : ''
  const nothing = `nothing better${much} in ${plural(patience, 'validation')}`
  if (bestStep === undefined || bestScore === undefined) return nothing
  const score = bestBy === 'loss' ? `loss ${bestScore.toFixed(3)}` : `ROUGE-L ${bestScore.toFixed(1)}`
  return `${nothing}; the best was after step ${bestStep} (${score})`
}

function dataLines(event: TrainEvent & { type: 'data' }, terminal: Terminal): string[] {
  const dropped = event.dropped.reduce((sum, { count }) => sum + count, 0)
  const reasons = event.dropped.map(({ reason, count }) => `${formatCount(count)} ${reason}`).join(', ')
  const targets = event.targets > event.train ? ` rows with ${formatCount(event.targets)} targets` : ''
  const parts = [`${formatCount(event.train)} train${targets}`, `${formatCount(event.validation)} validation`]
  if (dropped > 0) parts.push(`${formatCount(dropped)} dropped (${reasons})`)
  const scored = `${formatCount(event.tokens)} tokens, ${formatPercent(event.scoredTokens / event.tokens)} scored`
  const cut = event.cutRows > 0 ? ` · ${plural(event.cutRows, 'row')} cut to fit (targets kept)` : ''
  const lines = [head(terminal, 'data', `${event.file}   ${parts.join(' · ')}`), head(terminal, '', `${scored}${cut}`)]
  if (event.tooLong > 0) {
    const rows = `${plural(event.tooLong, 'target')} left out that alone do not fit (--max-tokens)`
    lines.push(head(terminal, '', `${rows}; first: ${event.tooLongExamples.join(' ')}`))
  }
  return lines
}

function stepLine(event: StepEvent, width: number): string {
  const fraction = event.step / event.steps
  const parts = [
    `  step ${event.step}/${event.steps}  ${String(Math.floor(fraction * 100)).padStart(3)} %`,
    `loss ${event.smoothedLoss.toFixed(3)}`,
    `|g| ${event.gradNorm.toFixed(2)}`,
    `lr ${event.learningRate.toExponential(1)}`,
    `${formatCount(event.tokensPerSecond)} tok/s`,
    `eta ${formatDuration(event.etaSeconds)}`,
  ]
  if (event.skipped) parts.splice(2, 1, `skipped, scale ${formatCount(event.scale)}`)
  const plain = parts.join('  ')
  const withBar = [parts[0], bar(fraction, 20), ...parts.slice(1)].join('  ')
  return (withBar.length <= width ? withBar : plain).slice(0, width)
}

function finishedLines(event: TrainSummary, terminal: Terminal): string[] {
  const losses = [`training loss ${event.trainLoss.toFixed(3)}`]
  if (event.validationLoss !== undefined) {
    losses.push(`validation ${event.validationLoss.toFixed(3)} (base ${event.baseLoss?.toFixed(3)})`)
  }
  const device = event.peakDeviceMemory > 0 ? `, ${formatBytes(event.peakDeviceMemory)} on the device` : ''
  const memory = `peak memory ${formatBytes(event.peakMemory)}${device}`
  const lines = ['', `${terminal.ok('done')} in ${formatDuration(event.seconds)}. Adapter: ${event.output} (PEFT)`]
  lines.push(`${losses.join(', ')} · ${formatCount(event.tokensPerSecond)} tok/s · ${memory}`)
  if (event.selectedStep !== event.steps) {
    lines.push(`The adapter is the one after step ${event.selectedStep}, which validated best.`)
  }
  if (event.spikes > 0) lines.push(`${plural(event.spikes, 'step')} stood out by loss or gradient norm: see the report`)
  if (event.skippedSteps > 0) lines.push(`${plural(event.skippedSteps, 'step')} skipped: the gradient was not finite`)
  return [...lines, `report: ${join(event.output, 'report.html')}`, nextLine(event)]
}

function nextLine({ output }: TrainSummary): string {
  return `next: npx bt-native generate --adapter ${output} --input texts.jsonl --output pairs.jsonl`
}
