// `bt-native evaluate`: prediction files in, tables on the terminal, JSON and Markdown to files.
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { BtError, hasCode } from '../errors.js'
import type { PaceControl } from '../metrics/paced.js'
import type { EvaluationColumns, EvaluationInput } from '../metrics/predictions.js'
import type { Evaluation, SystemsEvaluation } from '../metrics/types.js'
import type { Task } from '../text/types.js'
import { formatCount, plural } from './format.js'
import { type Interrupts, isInterruption, onInterrupt } from './interrupt.js'
import { type SystemFiles, systemsOf } from './systems.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'

interface Flags {
  predictions: string[]
  together?: boolean
  baseline?: string
  references?: string
  columns?: EvaluationColumns
  task?: Task
  adapter?: string
  ask?: string[]
  samples: number
  bootstrap: number
  seed: number
  output?: string
  markdown?: string
  force?: boolean
  json?: boolean
}

export function addEvaluate(program: Command): void {
  program
    .command('evaluate')
    .description(
      'Score written instructions against the true ones and by themselves, with 95 % intervals and with what outputs of ' +
        'other rows, a constant question and the first words of the text would score. Of several files each is a system: ' +
        'they are compared on the rows that all have, by the paired bootstrap.',
    )
    .optionsGroup('Data:')
    .requiredOption(
      '--predictions <files...>',
      'what bt-native generate wrote: JSONL, JSON or Parquet, gzip too; each file is a system, which name=file names',
    )
    .option('--together', 'read all prediction files as the rows of one system')
    .option('--baseline <name>', 'the system that the others are held against (default: the first)')
    .option('--references <file>', 'true texts, where the predictions carry none: joined by id, by text or by order')
    .addOption(
      new Option(
        '--columns <map>',
        `which column holds what, of ${roles.join(', ')}: prediction=a,reference=b`,
      ).argParser(parseRoles),
    )
    .addOption(
      new Option('--task <task>', 'what was written: instructions (backward) or responses (forward)').choices([
        'backward',
        'forward',
      ]),
    )
    .optionsGroup('Leaks:')
    .option(
      '--adapter <folder>',
      'adapter that wrote them: the words of its prompt count as leaks; it names the task too',
    )
    .option('--ask <text...>', "words of the prompt that count as leaks (default: the default prompts')")
    .optionsGroup('Intervals:')
    .addOption(count('--bootstrap <n>', 'resamples for the intervals; 0 for none').default(1000))
    .addOption(count('--seed <n>', 'for resamples, shuffled control and samples').default(0))
    .optionsGroup('Output:')
    .addOption(count('--samples <n>', 'rows to show beside the true ones').default(10))
    .option('--markdown <file>', 'write the report as Markdown')
    .option('--output <file>', 'write everything as JSON')
    .option('--force', 'replace files that exist')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpText('after', examples)
    .action((flags: Flags) => runCommand(program, flags, (terminal) => evaluateCommand(flags, terminal)))
}

const examples = `
Examples:
  $ bt-native evaluate --predictions pairs.jsonl
  $ bt-native evaluate --predictions pairs.jsonl --references examples/seed.jsonl --markdown report.md --output report.json
  $ bt-native evaluate --predictions before=old.jsonl after=new.jsonl
  $ bt-native evaluate --predictions pairs.shard-*.jsonl --together`

const roles = ['prediction', 'reference', 'response', 'id', 'source'] as const

function parseRoles(text: string): EvaluationColumns {
  const columns: EvaluationColumns = {}
  for (const part of text.split(',')) {
    const [role, name, ...rest] = part.split('=').map((word) => word.trim())
    const known = roles.find((one) => one === role)
    if (!known || !name || rest.length > 0) {
      throw new InvalidArgumentError(`"${part.trim()}" does not say which column holds what, of ${roles.join(', ')}.`)
    }
    columns[known] = name
  }
  return columns
}

function count(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0) {
      throw new InvalidArgumentError('A whole number was expected.')
    }
    return value
  })
}

async function evaluateCommand(flags: Flags, terminal: Terminal): Promise<void> {
  const outputs = [flags.output, flags.markdown].filter((path) => path !== undefined)
  for (const path of outputs) {
    if (!flags.force) await refuseExisting(path)
    await mkdir(dirname(path), { recursive: true })
  }
  const interrupts = onInterrupt(terminal, () => 'stopping; nothing will be written')
  interrupts.hard.addEventListener('abort', () => process.exit(exitCodes.interrupted))
  try {
    const systems = systemsOf(flags.predictions, flags.together === true)
    if (systems.length > 1) await compareFiles(systems, flags, terminal, interrupts.soft)
    else await evaluateOne(systems[0]!, flags, terminal, interrupts.soft)
  } catch (error) {
    throw interruption(error, interrupts)
  } finally {
    interrupts.dispose()
  }
}

/** @throws the signal's reason */
async function evaluateOne({ files }: SystemFiles, flags: Flags, terminal: Terminal, signal: AbortSignal) {
  if (flags.baseline !== undefined) {
    throw new BtError('BT_USAGE', '--baseline: there is one system alone', {
      remedy: 'Give a second file to --predictions, without --together.',
    })
  }
  const { readEvaluation } = await import('../metrics/predictions.js')
  const { evaluateAsync } = await import('../metrics/evaluate.js')
  const prompt = await promptOf(flags)
  const input = await readEvaluation({ ...flags, predictions: files, task: prompt.task, signal })
  reportInput(input, terminal)
  const settings = { bootstrap: flags.bootstrap, seed: flags.seed, asks: prompt.asks }
  const control = paceOf(terminal, signal)
  const evaluation = await evaluateAsync(input.rows, settings, control).finally(() => terminal.endProgress(false))
  await report(evaluation, input, { ...flags, predictions: files }, terminal)
}

/** @throws the signal's reason */
async function compareFiles(files: SystemFiles[], flags: Flags, terminal: Terminal, signal: AbortSignal) {
  const { readEvaluation } = await import('../metrics/predictions.js')
  const { evaluateSystems } = await import('../metrics/systems.js')
  const prompt = await promptOf(flags)
  const inputs: (EvaluationInput & SystemFiles)[] = []
  for (const system of files) {
    const input = await readEvaluation({ ...flags, predictions: system.files, task: prompt.task, signal })
    reportInput(input, terminal)
    inputs.push({ ...system, ...input })
  }
  const { bootstrap, seed, baseline } = flags
  const settings = { bootstrap, seed, baseline, asks: prompt.asks }
  const control = paceOf(terminal, signal)
  const evaluation = await evaluateSystems(inputs, settings, control).finally(() => terminal.endProgress(false))
  await reportSystems(evaluation, inputs, flags, terminal)
}

/** Progress of what takes longer than a moment. */
function paceOf(terminal: Terminal, signal: AbortSignal): PaceControl {
  const started = performance.now()
  return {
    signal,
    onProgress: (progress) => {
      if (performance.now() - started > quietFor) terminal.progress(progress)
    },
  }
}

/** Ctrl-C as an error of its own, anything else as it is. */
function interruption(error: unknown, interrupts: Interrupts): unknown {
  if (!isInterruption(error, interrupts)) return error
  return new BtError('BT_INTERRUPTED', 'the evaluation was interrupted: nothing was written', { cause: error })
}

/** Milliseconds before progress is worth a line. */
const quietFor = 2000

async function refuseExisting(path: string): Promise<void> {
  try {
    await stat(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return
    throw error
  }
  throw new BtError('BT_OUTPUT_EXISTS', `${path} exists`, { remedy: 'Name another file, or replace it with --force.' })
}

/** What was asked of the model: from the adapter where one is named. */
async function promptOf(flags: Flags): Promise<{ task: Task; asks: string[] }> {
  const { defaultAsk } = await import('../text/template.js')
  const given = flags.ask ?? []
  if (flags.adapter === undefined) {
    return { task: flags.task ?? 'backward', asks: given.length > 0 ? given : Object.values(defaultAsk) }
  }
  const { readRecord, recordFile } = await import('../train/record.js')
  const template = (await readRecord(flags.adapter))?.template
  if (!template) {
    throw new BtError('BT_ADAPTER_NOT_FOUND', `${flags.adapter}: no ${recordFile}, which says what the prompt was`, {
      remedy: "Give the --output folder of `bt-native train`, or the prompt's words with --ask.",
    })
  }
  if (flags.task !== undefined && flags.task !== template.task) {
    throw new BtError('BT_USAGE', `--task ${flags.task}: ${flags.adapter} was trained for the ${template.task} task`)
  }
  return { task: template.task, asks: [template.ask, ...given] }
}

function reportInput({ rows, joined, dropped }: EvaluationInput, terminal: Terminal): void {
  for (const { reason, count, examples } of dropped) {
    terminal.warn(`${plural(count, 'row')} left out: ${reason} (${examples.join(', ')})`)
  }
  if (joined === 'own') return
  const how = { id: 'id', text: 'the text that was given', order: 'order' }[joined]
  terminal.info(`${formatCount(rows.length)} true texts joined by ${how}`)
}

async function report(
  evaluation: Evaluation,
  { rows, joined, dropped }: EvaluationInput,
  flags: Flags,
  terminal: Terminal,
): Promise<void> {
  const { chooseSamples, renderSamples } = await import('../report/samples.js')
  const { markdownEvaluation, renderEvaluation } = await import('../report/evaluation.js')
  const samples = chooseSamples(rows, flags.samples, flags.seed)
  const files = flags.references === undefined ? flags.predictions : [...flags.predictions, flags.references]
  const document = { ...evaluation, files, joined, dropped, samples }
  await writeDocuments(flags, document, () => markdownEvaluation(evaluation, samples, files))
  terminal.event({ event: 'evaluation', ...document })
  if (terminal.json) return
  const options = { paintTitle: (text: string) => terminal.bold(text) }
  terminal.result(renderEvaluation(evaluation, options))
  if (samples.length > 0) terminal.result(`\n${renderSamples(samples, options)}`)
  sayWritten(flags, terminal)
}

async function reportSystems(
  evaluation: SystemsEvaluation,
  inputs: (EvaluationInput & SystemFiles)[],
  flags: Flags,
  terminal: Terminal,
): Promise<void> {
  const { markdownSystems, renderSystems } = await import('../report/systems.js')
  const files = Object.fromEntries(inputs.map(({ name, files }) => [name, files]))
  const dropped = inputs.flatMap(({ name, dropped }) => dropped.map((one) => ({ system: name, ...one })))
  const references = flags.references === undefined ? {} : { references: flags.references }
  const document = { ...evaluation, files, ...references, dropped }
  await writeDocuments(flags, document, () => markdownSystems(evaluation, files))
  terminal.event({ event: 'evaluation', ...document })
  if (terminal.json) return
  terminal.result(renderSystems(evaluation, { paintTitle: (text) => terminal.bold(text) }))
  sayWritten(flags, terminal)
}

async function writeDocuments(flags: Flags, document: object, markdown: () => string): Promise<void> {
  const { writeFileAtomic } = await import('../files.js')
  if (flags.output) await writeFileAtomic(flags.output, `${JSON.stringify(document, null, 2)}\n`)
  if (flags.markdown) await writeFileAtomic(flags.markdown, markdown())
}

function sayWritten({ output, markdown }: Flags, terminal: Terminal): void {
  const written = [output, markdown].filter((path) => path !== undefined)
  if (written.length > 0) terminal.info(`\nwritten: ${written.join(', ')}`)
}
