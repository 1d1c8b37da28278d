// `bt-native run`: a recipe in, its stages as they run, the comparison and the report out.
import { relative } from 'node:path'
import { type Command, Option } from 'commander'
import type { PlannedStage } from '../pipeline/execute.js'
import type { RunEvent, RunInput, RunPlan, RunSummary } from '../pipeline/run.js'
import { packageVersion } from '../version.js'
import { formatCount, formatDuration, plural } from './format.js'
import { resumeLine } from './interrupt.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'
import { drained, runWork } from './work.js'

export function addRun(program: Command): void {
  program
    .command('run')
    .description(
      'Run the whole loop of a recipe: seed, backward model, an instruction for each text, forward model, rating, better ' +
        'models, comparison, data set. A stage runs when what it depends on has changed. The same command again goes on ' +
        'where it was.',
    )
    .argument('<recipe>', 'YAML file, such as those of examples/recipes/')
    .optionsGroup('Run:')
    .option('--output <folder>', 'where everything goes; runs/NAME if not given')
    .option('--dry-run', 'tell which stages would run, and about what they would cost')
    .option('--until <stage>', 'stop after this stage')
    .option('--again <stages...>', 'run these stages again, and those that depend on what they make')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpOption(new Option('-h, --help', 'print this help'))
    .addHelpText('after', examples)
    .action((recipe: string, options: Flags) =>
      runCommand(program, options, (terminal) => loopCommand({ ...options, recipe }, terminal)),
    )
}

const examples = `
Examples:
  $ bt-native run examples/recipes/demo.yaml --output runs/demo
  $ bt-native run examples/recipes/demo.yaml --output runs/demo --dry-run`

interface Flags extends Omit<RunInput, 'recipe'> {
  dryRun?: boolean
  json?: boolean
}

async function loopCommand(flags: Flags & { recipe: string }, terminal: Terminal): Promise<number> {
  const { dryRun, json: _json, ...input } = flags
  const { run } = await import('../pipeline/run.js')
  if (dryRun) return dryRunCommand(input, terminal)
  const words = { stopping: 'finishing what is under way, saving', stopped: 'stopped; what was finished is saved' }
  return runWork(terminal, words, async (control) => {
    const view = new View(terminal)
    const summary = await drained(run(input, control), (event) => {
      control.begun = true
      view.show(event)
    })
    return reportEnd(summary, terminal)
  })
}

/** What is told while stages run: a line when one begins and ends, the live line between. */
class View {
  private stages: RunPlan['stages'] = []

  constructor(private readonly terminal: Terminal) {}

  show(event: RunEvent): void {
    const { terminal } = this
    if (event.type === 'progress') {
      terminal.progress({ ...event.progress, label: `${event.name}  ${event.progress.label}` })
      return
    }
    const { type, ...rest } = event
    terminal.event({ event: type, ...rest })
    if (event.type === 'plan') this.plan(event)
    else if (event.type === 'stage-started') this.started(event)
    else if (event.type === 'warning') terminal.warn(`${event.name}: ${event.message}`)
    else if (event.type === 'stage-finished') this.ended(event)
    else terminal.endProgress()
  }

  private started({ name, title, why, resumed }: RunEvent & { type: 'stage-started' }): void {
    const { terminal } = this
    const reasons = [...why, ...(resumed ? ['goes on where it was'] : [])]
    const reason = reasons.length > 0 ? terminal.dim(`  (${reasons.join('; ')})`) : ''
    terminal.info(`${this.mark(name)} ${terminal.bold(name.padEnd(12))} ${title}${reason}${this.left(name)}`)
  }

  private ended({ seconds, rowsOut, note }: RunEvent & { type: 'stage-finished' }): void {
    const { terminal } = this
    terminal.endProgress(false)
    const parts = [formatDuration(seconds), rowsOut === undefined ? '' : plural(rowsOut, 'row'), note ?? '']
    terminal.info(`      ${terminal.ok('done')}         ${parts.filter((part) => part !== '').join(' · ')}`)
  }

  /** "3/14" */
  private mark(name: string): string {
    const all = this.stages.length
    const at = this.stages.findIndex((stage) => stage.name === name) + 1
    return `${at}/${all}`.padStart(5)
  }

  /** What the stages from this one on will take, where that is known. */
  private left(name: string): string {
    const from = this.stages.findIndex((stage) => stage.name === name)
    const rest = this.stages.slice(from).filter(({ status }) => status !== 'done')
    if (rest.some(({ expectedSeconds }) => expectedSeconds === undefined)) return ''
    const seconds = rest.reduce((sum, { expectedSeconds }) => sum + expectedSeconds!, 0)
    if (seconds < 1) return ''
    return this.terminal.dim(`  about ${formatDuration(seconds)} left`)
  }

  private plan({ name, output, stages }: RunPlan): void {
    this.stages = stages
    const done = stages.filter(({ status }) => status === 'done').length
    this.terminal.info(`bt-native ${packageVersion()} · ${name} · ${relative(process.cwd(), output) || '.'}`)
    const left = stages.length - done
    this.terminal.info(`${plural(stages.length, 'stage')}: ${done} done, ${left} to run\n`)
  }
}

async function dryRunCommand(input: RunInput, terminal: Terminal): Promise<number> {
  const { planRun } = await import('../pipeline/run.js')
  const { renderTable } = await import('../report/table.js')
  const plan = await planRun(input)
  terminal.event({ event: 'plan', ...plan })
  if (terminal.json) return exitCodes.done
  const right = 'right' as const
  const columns = [
    { title: 'stage' },
    { title: 'would' },
    { title: 'rows', align: right },
    { title: 'tokens', align: right },
    { title: 'time', align: right },
    { title: 'what' },
  ]
  const rows = plan.stages.map((stage) => {
    const done = stage.status === 'done'
    const time = done ? '' : stage.expectedSeconds === undefined ? '?' : `~${formatDuration(stage.expectedSeconds)}`
    const count = stage.rowsOut ?? stage.expectedRows
    const tokens = done || stage.expectedTokens === 0 ? '' : `~${formatCount(stage.expectedTokens)}`
    const size = `${done ? '' : '~'}${formatCount(count)}`
    return [stage.name, verbs[stage.status], size, tokens, time, [stage.title, ...stage.why].join('; ')]
  })
  terminal.result(renderTable(columns, rows, { paintTitle: (text: string) => terminal.bold(text) }))
  const total =
    plan.seconds === undefined
      ? 'not known before a model was trained here once'
      : `about ${formatDuration(plan.seconds)}`
  terminal.result(`\ntime in all: ${total}. Nothing was run or written.`)
  return exitCodes.done
}

const verbs: Record<PlannedStage['status'], string> = {
  done: 'be skipped',
  new: 'run',
  changed: 'run again',
  unfinished: 'go on',
  waits: 'run',
}

async function reportEnd(summary: RunSummary, terminal: Terminal): Promise<number> {
  terminal.endProgress()
  if (terminal.json) return summary.interrupted ? exitCodes.interrupted : exitCodes.done
  const folder = relative(process.cwd(), summary.output) || '.'
  if (summary.alreadyDone) {
    terminal.info(`${folder} is finished: nothing has changed. --again STAGE runs a stage once more.`)
    return exitCodes.done
  }
  if (summary.interrupted) {
    terminal.info(`saved in ${folder}\nresume: ${resumeLine(true)}`)
    return exitCodes.interrupted
  }
  const { renderRun } = await import('../report/run-text.js')
  terminal.info('')
  terminal.result(renderRun(summary.shown, { paintTitle: (text: string) => terminal.bold(text) }))
  terminal.info(
    `\n${terminal.ok('done')} in ${formatDuration(summary.seconds)}. Report: ${relative(process.cwd(), summary.report)}`,
  )
  terminal.info(`next: npx bt-native trace ID --run ${folder}`)
  return exitCodes.done
}
