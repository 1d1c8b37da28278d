// `bt-native setup`: provides libtorch, or a demo model, in the cache.
import { type Command, Option } from 'commander'
import { BtError } from '../errors.js'
import { defaultTorch } from '../paths.js'
import { type Provided, provideLibtorch } from '../setup/libtorch.js'
import { demoModels, provideModel } from '../setup/model.js'
import { runCommand, type Terminal } from './terminal.js'

interface SetupOptions {
  device: 'cpu' | 'cuda'
  torch?: string
  from?: string
  model?: string
  verify?: boolean
  json?: boolean
}

export function addSetup(program: Command): void {
  program
    .command('setup')
    .description(
      'Provide libtorch in the cache through pip, or a demo model with --model. What is there already is checked and kept.',
    )
    .optionsGroup('What:')
    .addOption(new Option('--device <device>', 'build of libtorch').choices(['cpu', 'cuda']).default('cpu'))
    .option('--torch <version>', `version of torch (default: ${defaultTorch}, or what --from holds)`)
    .option('--from <path>', 'use a libtorch folder, a Python environment or a torch wheel instead of downloading')
    .option('--model <name>', `provide a demo model instead: ${Object.keys(demoModels).join(', ')}`)
    .optionsGroup('How:')
    .option('--verify', 'hash every file that is there already, and provide it afresh if one has changed')
    .option('--json', 'one JSON object an event on stdout')
    .addHelpText(
      'after',
      `
Examples:
  $ bt-native setup
  $ bt-native setup --model smollm2-135m
  $ bt-native setup --from .venv`,
    )
    .action((options: SetupOptions) => runCommand(program, options, (terminal) => setup(options, terminal)))
}

async function setup(options: SetupOptions, terminal: Terminal): Promise<void> {
  if (options.model && (options.from || options.torch || options.device === 'cuda')) {
    throw new BtError('BT_USAGE', '--model stands alone: --torch, --from and --device concern libtorch')
  }
  const common = {
    verify: options.verify,
    onProgress: terminal.progress,
    onWait: (holder: string) => terminal.info(`waiting for another set-up (${holder}) to finish`),
  }
  const provided = options.model
    ? await provideModel(options.model, common)
    : await provideLibtorch({ ...common, version: options.torch, device: options.device, from: options.from })
  terminal.endProgress(false)
  report(options.model ?? 'libtorch', provided, terminal)
}

function report(what: string, provided: Provided, terminal: Terminal): void {
  const { folder, version, created, source } = provided
  terminal.event({ event: 'provided', what, ...provided })
  if (terminal.json) return
  terminal.result(`${terminal.ok('ok')} ${what} ${version}${created ? '' : ' was there already'}: ${folder}`)
  terminal.result(terminal.dim(`   from ${source}`))
}
