// `bt-native report`: an output folder of training in, its report.html and a curve out.
import type { Command } from 'commander'
import { runCommand, type Terminal } from './terminal.js'

export function addReport(program: Command): void {
  program
    .command('report')
    .description(
      'Write report.html into the output folder of bt-native train, from the files there alone: for a run that goes on, ' +
        'was killed or is finished. Shows its loss as a curve.',
    )
    .argument('<run>', 'output folder of bt-native train')
    .option('--json', 'one JSON object on stdout: the path and all that the page shows')
    .addHelpText('after', examples)
    .action((run: string, options) => runCommand(program, options, (terminal) => reportCommand(run, terminal)))
}

const examples = `
Examples:
  $ bt-native report runs/first
  $ bt-native report runs/first --json`

async function reportCommand(run: string, terminal: Terminal): Promise<void> {
  const { trainReport } = await import('../train/report.js')
  const { lossCurve } = await import('../report/loss-curve.js')
  const { path, report } = await trainReport(run)
  terminal.event({ event: 'report', path, ...report })
  for (const line of lossCurve(report)) terminal.info(line)
  terminal.info(`Report: ${path}`)
}
