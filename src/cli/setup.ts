// `bt-native setup`: provides libtorch and builds the addon for it, or provides a demo model.
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { BtError } from '../errors.js'
import { defaultTorch } from '../paths.js'
import { type Built, foundLibtorch, libtorchNow, provideAddon } from '../setup/build.js'
import { type BuiltCuda, provideKernels } from '../setup/build-cuda.js'
import { type Provided, provideLibtorch } from '../setup/libtorch.js'
import { providedModels, provideModel } from '../setup/model.js'
import { onInterrupt } from './interrupt.js'
import { exitCodes, runCommand, type Terminal } from './terminal.js'

interface SetupOptions {
  device?: 'cpu' | 'cuda'
  torch?: string
  from?: string
  model?: string
  verify?: boolean
  /** false with --no-build. */
  build: boolean
  buildOnly?: boolean
  force?: boolean
  json?: boolean
}

export function addSetup(program: Command): void {
  program
    .command('setup')
    .description(
      'Provide libtorch in the cache through pip, and build the addon for it where there is none; or provide a demo model. What is there already is checked and kept.',
    )
    .optionsGroup('What:')
    .addOption(new Option('--device <device>', 'build of libtorch (default: cpu)').choices(['cpu', 'cuda']))
    .option('--torch <version>', `version of torch (default: ${defaultTorch}, or what --from holds)`)
    .option('--from <path>', 'use a libtorch folder, a Python environment or a torch wheel instead of downloading')
    .option('--model <name>', `provide a demo model, and nothing else: ${Object.keys(providedModels).join(', ')}`)
    .option('--no-build', 'leave the addon alone')
    .option('--build-only', 'build the addon for the libtorch that is found, and provide none')
    .optionsGroup('How:')
    .option('--verify', 'hash every file that is there already, and provide it afresh if one has changed')
    .option('--force', 'build the addon even if no source has changed')
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
  checkUsage(options)
  const interrupts = onInterrupt(terminal, () => 'stopping; wheels that are complete are kept')
  interrupts.hard.addEventListener('abort', () => process.exit(exitCodes.interrupted))
  try {
    await provide(options, terminal, interrupts.soft)
  } catch (error) {
    if (!interrupts.soft.aborted) throw error // otherwise whatever was under way has failed for that reason
    throw new BtError('BT_INTERRUPTED', 'the set-up was interrupted', {
      remedy: 'Run the same command again: wheels that are complete are kept.',
      cause: error,
    })
  } finally {
    interrupts.dispose()
  }
}

async function provide(options: SetupOptions, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const common = {
    verify: options.verify,
    signal,
    onProgress: terminal.progress,
    onWait: (holder: string) => terminal.info(`waiting for another set-up (${holder}) to finish`),
  }
  if (options.model) return report(options.model, await provideModel(options.model, common), terminal)
  let libtorch: { folder: string; version: string } = options.buildOnly ? foundLibtorch() : { folder: '', version: '' }
  if (!options.buildOnly) {
    const { torch: version, device, from } = options
    const provided = await provideLibtorch({ ...common, version, device, from })
    report('libtorch', provided, terminal)
    libtorch = provided
  }
  if (options.build) {
    const { folder, version } = libtorch
    const built = await provideAddon({ ...common, libtorch: folder, version, force: options.force })
    reportAddon(built, libtorch, terminal)
    const kernels = await provideKernels({ ...common, libtorch: folder, version, force: options.force })
    if (kernels) reportKernels(kernels, terminal)
  }
  if (!options.buildOnly) reportUsed(libtorch.folder, terminal)
}

function checkUsage(options: SetupOptions): void {
  const libtorch = options.from || options.torch || options.device
  if (options.model && (libtorch || options.buildOnly)) {
    throw new BtError('BT_USAGE', '--model stands alone: the other options concern libtorch and the addon')
  }
  if (options.buildOnly && (libtorch || !options.build)) {
    throw new BtError('BT_USAGE', '--build-only takes the libtorch that is found: it goes with --force alone')
  }
}

function report(what: string, provided: Provided, terminal: Terminal): void {
  terminal.endProgress(false)
  const { folder, version, created, source } = provided
  terminal.event({ event: 'provided', what, ...provided })
  if (terminal.json) return
  terminal.result(`${terminal.ok('ok')} ${what} ${version}${created ? '' : ' was there already'}: ${folder}`)
  terminal.result(terminal.dim(`   from ${source}`))
}

function reportAddon(built: Built, libtorch: { version: string }, terminal: Terminal): void {
  terminal.endProgress(false)
  terminal.event({ event: 'built', torch: libtorch.version, ...built })
  if (terminal.json) return
  const state = built.built ? 'built' : 'there already'
  terminal.result(`${terminal.ok('ok')} addon for torch ${libtorch.version} ${state}: ${built.core}`)
  if (built.reason) terminal.result(terminal.dim(`   from source: ${built.reason}`))
}

function reportKernels({ library, built }: BuiltCuda, terminal: Terminal): void {
  terminal.endProgress(false)
  terminal.event({ event: 'built-kernels', library, built })
  if (terminal.json) return
  terminal.result(`${terminal.ok('ok')} kernels for GPUs ${built ? 'built' : 'there already'}: ${library}`)
}

/** Says which libtorch commands open from now on: the one that was provided, unless something stands before it. */
function reportUsed(provided: string, terminal: Terminal): void {
  const candidates = libtorchNow()
  const used = candidates.find(({ taken }) => taken)
  terminal.event({ event: 'used', folder: used?.path, version: used?.version, source: used?.source })
  if (used?.path === resolve(provided)) {
    if (!terminal.json) terminal.result(terminal.dim(`   used from now on: libtorch ${used.version} in ${used.path}`))
    return
  }
  const reason = candidates.find(({ path }) => path === resolve(provided))?.reason
  const instead = used ? `they use ${used.path} (${used.source})` : 'they find no other'
  terminal.warn(`commands will not use ${provided} (${reason}): ${instead}`)
}
