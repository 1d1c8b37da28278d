// `bt-native doctor`: what was found, what is wrong, and what to do.
import type { Command } from 'commander'
import { type Diagnosis, diagnose, type Finding } from '../setup/doctor.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description(
      'Tell what was found on this machine, what is wrong and how to mend it. Fails when training could not run.',
    )
    .option('--json', 'one JSON object on stdout')
    .addHelpText(
      'after',
      `
Examples:
  $ bt-native doctor
  $ bt-native doctor --json`,
    )
    .action((options: { json?: boolean }) =>
      runCommand(program, options, async (terminal) => {
        const diagnosis = await diagnose()
        if (terminal.json) terminal.event({ event: 'diagnosis', ...diagnosis })
        else print(diagnosis, terminal)
        return diagnosis.ready ? exitCodes.done : exitCodes.failed
      }),
    )
}

function print({ ready, device, findings, remedies }: Diagnosis, terminal: Terminal): void {
  for (const finding of findings) {
    terminal.result(` ${mark(finding, terminal)} ${finding.message}`)
    for (const detail of finding.details ?? []) terminal.result(terminal.dim(`      ${detail}`))
  }
  if (remedies.length > 0) {
    terminal.result('')
    terminal.result('What to do:')
    for (const [index, remedy] of remedies.entries()) terminal.result(`  ${index + 1}. ${remedy}`)
  }
  terminal.result('')
  const place = device === 'cuda' ? 'the GPU' : 'the CPU'
  terminal.result(ready ? terminal.ok(`Ready to train on ${place}.`) : terminal.bad('Training cannot run yet.'))
}

function mark({ state }: Finding, terminal: Terminal): string {
  if (state === 'ok') return terminal.ok('ok  ')
  return state === 'warn' ? terminal.bold('warn') : terminal.bad('fail')
}
