// The words for everything that can keep the native files or libtorch from being opened: what was tried in order, the
// system's own words, and what to do, best first, one remedy a line.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BtError, messageOf } from '../errors.js'
import { defaultTorch, packageRoot } from '../paths.js'
import { explainLinker, ranked } from './explain.js'
import { type LibtorchCandidate, minorOf } from './find.js'
import { nativePlaces } from './locate.js'
import { describeMachine, type Machine, machineObstacle, thisMachine } from './machine.js'

const doctor = 'npx bt-native doctor   tells what was found.'
const provide = 'npx bt-native setup   provides a libtorch that fits.'

/** How to get native files: by the build script of a checkout, or by a fresh copy of the package, or from its sources. */
function buildRemedies(): string[] {
  if (existsSync(join(packageRoot, 'src'))) return ['npm run build:native   builds them.']
  return [
    'npm install bt-native   brings them again.',
    'npx bt-native setup --force   builds them from source (g++ and CMake are needed).',
  ]
}

export interface NoLoader {
  env?: NodeJS.ProcessEnv
  /** The file that was there and did not open, and why. */
  opened?: string
  error?: unknown
  machine?: Machine
}

/** BT_ADDON_NOT_FOUND: bt_native.node is nowhere, or does not open. */
export function noLoader({ env = process.env, opened, error, machine = thisMachine() }: NoLoader): BtError {
  const said = error === undefined ? undefined : messageOf(error)
  const obstacle = machineObstacle(machine)
  const tried = nativePlaces(env).map(({ kind, loader }) => {
    if (loader === opened) return `  ${kind}: ${loader}: could not be opened: ${said}`
    return `  ${kind}: ${loader}: ${existsSync(loader) ? 'not tried' : 'does not exist'}`
  })
  const what = `bt_native.node ${opened ? 'does not open' : 'was not found'} (${describeMachine(machine)})`
  const why = obstacle ? `${what}: ${obstacle.problem}` : what
  const named = env.BT_NATIVE_ADDON ? 'Point BT_NATIVE_ADDON at bt_native.node, or unset it.' : undefined
  const remedy = obstacle?.remedy ?? ranked(said && explainLinker(said), named, ...(named ? [] : buildRemedies()))
  return new BtError('BT_ADDON_NOT_FOUND', `${why}; looked in order:\n${tried.join('\n')}`, { remedy, cause: error })
}

/** BT_ADDON_NOT_FOUND: there is a loader, and no core anywhere. */
export function noCore(): BtError {
  const folders = nativePlaces().map(({ kind, loader }) => `  ${kind}: ${dirname(loader)}`)
  return new BtError('BT_ADDON_NOT_FOUND', `no libbt_core-VERSION.so was found; looked in:\n${folders.join('\n')}`, {
    remedy: ranked(...buildRemedies()),
  })
}

/** BT_LIBTORCH_NOT_FOUND, or BT_TORCH_VERSION where there is one without a core. */
export function noLibtorch(
  candidates: LibtorchCandidate[],
  minors: string[],
  device: 'auto' | 'cpu' | 'cuda' = 'auto',
): BtError {
  const unset = ['BT_NATIVE_LIBTORCH', 'VIRTUAL_ENV', 'CONDA_PREFIX', 'LIBTORCH'].filter((name) => !process.env[name])
  const rest = unset.length > 0 ? `\n  not set: ${unset.join(', ')}` : ''
  const looked = `looked in order:\n${listed(candidates)}${rest}`
  const other = candidates.find((it) => it.version && !minors.includes(minorOf(it.version)))
  if (other?.version) {
    const which = `no usable libtorch of a version that the core is built for (${minors.join(', ')})`
    return new BtError('BT_TORCH_VERSION', `${which}; ${looked}`, { remedy: versionRemedy(other.version, minors) })
  }
  const cuda = device === 'cuda' ? 'npx bt-native setup --device cuda   provides one with CUDA.' : provide
  return new BtError('BT_LIBTORCH_NOT_FOUND', `libtorch was not found; ${looked}`, { remedy: ranked(cuda, doctor) })
}

/** BT_TORCH_VERSION: the libtorch that is open by now says that it is another one. */
export function otherTorch(libtorch: LibtorchCandidate, torch: string, minors: string[]): BtError {
  const message = `${libtorch.path}: is torch ${torch}; there is a core for ${minors.join(', ')}`
  return new BtError('BT_TORCH_VERSION', message, { remedy: versionRemedy(torch, minors) })
}

/** A libtorch that fits a core is a download; a core for this libtorch is a compilation. */
function versionRemedy(version: string, minors: string[]): string {
  const release = version.split('+')[0]!
  const fits = minors.includes(minorOf(defaultTorch)) ? 'npx bt-native setup   provides torch' : undefined
  return ranked(
    fits && `${fits} ${defaultTorch}, for which there is a core.`,
    `npx bt-native setup --torch ${release}   builds a core for torch ${release} (g++ and CMake are needed).`,
    doctor,
  )
}

/** BT_LIBRARY: libtorch was found and does not open. */
export function libtorchDoesNotOpen(
  error: unknown,
  libtorch: LibtorchCandidate,
  candidates: LibtorchCandidate[],
): BtError {
  const said = messageOf(error)
  const others = candidates.filter((it) => it !== libtorch)
  const usable = others.find((it) => it.lib && /^usable/.test(it.reason))
  const also = others.length > 0 ? `\nlooked in order:\n${listed(candidates)}` : ''
  return new BtError('BT_LIBRARY', `${said}${also}`, {
    remedy: ranked(
      explainLinker(said),
      `The libraries of ${libtorch.path} do not open: npx bt-native setup --verify   provides them again.`,
      usable && `BT_NATIVE_LIBTORCH=${usable.path}   takes another one that is here.`,
      doctor,
    ),
    cause: error,
  })
}

/** BT_LIBRARY: the core does not open on this libtorch. */
export function coreDoesNotOpen(error: unknown, libtorch: LibtorchCandidate): BtError {
  const said = messageOf(error)
  const message = `${said} (with libtorch ${libtorch.version ?? ''} of ${libtorch.path})`
  return new BtError('BT_LIBRARY', message, {
    remedy: ranked(explainLinker(said), ...buildRemedies(), doctor),
    cause: error,
  })
}

function listed(candidates: LibtorchCandidate[]): string {
  return candidates.map((it) => `  ${it.source}: ${it.path}: ${it.reason}`).join('\n')
}
