// `bt-native plan`: the options of `train` in, what such a run would take out.
import { type Command, InvalidArgumentError, Option } from 'commander'
import { resolveOptions } from '../fields.js'
import type { SplitPlan, TrainingPlan } from '../train/forecast.js'
import { type TrainInput, trainFields, trainSchema } from '../train/options.js'
import { parseBytes } from '../units.js'
import { packageVersion } from '../version.js'
import { addFlags, flagOf, givenOptions } from './flags.js'
import { formatBytes, formatCount, formatDuration, formatMillions, formatPercent, plural } from './format.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'
import { readOptions } from './train.js'

export function addPlan(program: Command): void {
  const command = program
    .command('plan')
    .description(
      'Tell what `train` with the same options would take: memory, reckoned from headers and rows before libtorch or a ' +
        'weight is opened, time, and how many rows fit at a time. Fails when the run does not fit.',
    )
    .optionsGroup('Device:')
    .addOption(
      new Option(
        '--memory <size>',
        'of the device, as 8GB; else what this machine has, within control group and ulimit',
      ).argParser(bytesOf),
    )
  addFlags(command, trainFields)
  command
    .optionsGroup('Other:')
    .option('--config <file>', 'YAML or JSON with options of train; flags win (schema: docs/train.schema.json)')
    .option('--json', 'one JSON object on stdout')
    .addHelpOption(new Option('-h, --help', 'print this help').helpGroup('Other:'))
    .addHelpText('after', examples)
    .action((options) => runCommand(program, options, (terminal) => planCommand(options, terminal)))
}

const examples = `
Examples:
  $ bt-native plan --model smollm2-135m --data examples/seed.jsonl
  $ bt-native plan --model smollm2-135m --data examples/seed.jsonl --memory 2GB --max-tokens 1024 --targets all-linear`

function bytesOf(text: string): number {
  const bytes = parseBytes(text)
  if (bytes) return bytes
  throw new InvalidArgumentError('A size was expected, for instance 8GB.')
}

async function planCommand(parsed: Record<string, unknown>, terminal: Terminal): Promise<number> {
  const given = givenOptions<TrainInput>(parsed, trainFields)
  const config = typeof parsed.config === 'string' ? await readOptions(parsed.config) : undefined
  const options = resolveOptions(trainSchema, given, config, flagOf)
  const { planTraining } = await import('../train/forecast.js')
  const memory = parsed.memory as number | undefined
  const plan = await planTraining(options, { memory, onProgress: terminal.progress })
  terminal.endProgress(false)
  terminal.event({ event: 'plan', ...plan })
  if (!terminal.json) await print(plan, options, terminal)
  return plan.fits ? exitCodes.done : exitCodes.failed
}

const limitWords: Record<TrainingPlan['limit']['from'], string> = {
  machine: 'of this machine',
  'control group': "of this process's control group",
  ulimit: 'by ulimit -v',
  gpu: 'of the GPU',
  given: 'as --memory says',
}

async function print(plan: TrainingPlan, options: { data: string }, terminal: Terminal): Promise<void> {
  const { renderTable } = await import('../report/table.js')
  const head = (name: string, text: string) => terminal.result(`${terminal.bold(name.padEnd(9))} ${text}`)
  const paint = { paintTitle: (text: string) => terminal.bold(text) }
  const { model, rows, memory, limit } = plan
  const threads = plan.device === 'cpu' ? `, ${plural(plan.threads, 'thread')}` : ''
  terminal.result(`bt-native ${packageVersion()} · ${plan.device}${threads}, ${plan.precision}\n`)
  head('model', `${model.name}   ${model.layers} layers, ${formatMillions(model.parameters)} weights`)
  head('data', `${options.data}   ${formatCount(rows.train)} train · ${formatCount(rows.validation)} validation`)
  const size = `${formatCount(plan.rowsPerStep)} rows, about ${formatCount(plan.tokensPerStep)} tokens a step`
  head('steps', `${plural(plan.steps, 'step')} of ${size}`)
  head('time', timeWords(plan))
  const free = plan.available === undefined ? '' : `, ${formatBytes(plan.available)} of it free now`
  head('limit', `${formatBytes(limit.bytes)} ${limitWords[limit.from]}${free}\n`)

  const columns = [{ title: 'memory' }, { title: '', align: 'right' as const }, { title: 'what' }]
  const parts = memoryRows(plan).map(([name, bytes, what]) => [name, formatBytes(bytes), what])
  const share = `${formatPercent(memory.total / limit.bytes)} of ${formatBytes(limit.bytes)}`
  terminal.result(renderTable(columns, [...parts, ['total', formatBytes(memory.total), share]], paint))
  terminal.result(`\n${renderTable(splitColumns, splitRows(plan.splits), paint)}\n`)
  terminal.result(adviceOf(plan, terminal))
  const { sequences, tokens, cacheBytes } = plan.generation
  const cache = `keys and values of ${sequences} rows of ${tokens} tokens take ${formatBytes(cacheBytes)}`
  terminal.result(`Generating with the adapter, as is: ${cache} beside the weights.`)
}

function memoryRows({ memory, device }: TrainingPlan): [string, number, string][] {
  const measured = device === 'cpu' ? 'measured, not reckoned' : 'a guess: no GPU was measured'
  return [
    ['runtime', memory.runtime, `Node, libtorch and its libraries (${measured})`],
    ['text', memory.text, 'tokenizer, to read rows and to write for held-back ones (measured)'],
    ['weights', memory.weights, 'of the frozen model'],
    ['adapter', memory.adapter, 'LoRA weights and gradients'],
    ['optimizer', memory.optimizer, "AdamW's moments"],
    ['activations', memory.activations, 'of all layers, kept for backward'],
    ['logits', memory.logits, 'of scored rows, a chunk at a time'],
    ['working', memory.working, 'of one layer, forward and backward'],
    ['writing', memory.writing, 'keys and values, while held-back rows are written for'],
  ]
}

const splitColumns = [
  { title: 'batch-size', align: 'right' as const },
  { title: 'grad-accum-steps', align: 'right' as const },
  { title: 'tokens at once', align: 'right' as const },
  { title: 'memory', align: 'right' as const },
  { title: 'with --recompute', align: 'right' as const },
]

/** A row for each number of rows at a time; what does not fit says so. */
function splitRows(splits: SplitPlan[]): string[][] {
  const cell = ({ memory, fits }: SplitPlan) => `${formatBytes(memory)}${fits ? '' : ' (too much)'}`
  return splits
    .filter(({ recompute }) => !recompute)
    .map((plain) => {
      const again = splits.find((one) => one.recompute && one.batchSize === plain.batchSize)!
      const accumulated = plain.gradAccumSteps === undefined ? '-' : formatCount(plain.gradAccumSteps)
      return [formatCount(plain.batchSize), accumulated, formatCount(plain.tokens), cell(plain), cell(again)]
    })
}

function timeWords({ time, timeProblem, device }: TrainingPlan): string {
  if (!time) return `not known: no run of this model was measured here, and libtorch does not open (${timeProblem})`
  const much = `about ${formatDuration(time.secondsPerStep)} a step, ${formatDuration(time.seconds)} in all`
  if (time.basis === 'run') {
    const pace = `${formatCount(time.tokensPerSecond!)} tokens/s over ${plural(time.steps!, 'step')}`
    return `${much}: the last run of this model here made ${pace}`
  }
  const speed = `${(time.operationsPerSecond / 1e12).toFixed(2)} TFLOP/s`
  const place = device === 'cpu' ? 'this processor' : 'this GPU'
  return `${much}, give or take a factor of two: a product on ${place} was timed at ${speed}, and a step taken to be as fast`
}

function adviceOf({ fits, largest, limit }: TrainingPlan, terminal: Terminal): string {
  const size = formatBytes(limit.bytes)
  if (!largest) {
    return `${terminal.bad('Nothing fits')} into ${size}: lower --max-tokens, or take a smaller model or a larger device.`
  }
  const accumulated = largest.gradAccumSteps === undefined ? '' : ` --grad-accum-steps ${largest.gradAccumSteps}`
  const flags = `--batch-size ${largest.batchSize}${accumulated}${largest.recompute ? ' --recompute' : ''}`
  const verdict = fits ? terminal.ok(`Fits into ${size}.`) : terminal.bad(`Does not fit into ${size}.`)
  return `${verdict} Most rows at a time for the same steps: ${flags} (${formatBytes(largest.memory)}).`
}
