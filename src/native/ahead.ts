// Opens libtorch on another thread while JavaScript reads options, model and data. What is wrong with it, if anything
// is, loadCore() says once it is needed.
import { join } from 'node:path'
import { findLibtorch } from './find.js'
import { driverPresent, type LoadOptions, loadedCore, loadLoader } from './load.js'
import { coreMinors } from './locate.js'

let opening: Promise<void> | undefined

/** Begins to open the libtorch that loadCore(options) will want. Returns at once and never throws. */
export function openAhead(options: LoadOptions = {}): void {
  if (opening || loadedCore()) return
  const paths = pathsToOpen(options)
  if (paths) opening = loadLoader().loader.openLibrariesAhead(paths).catch(leaveToLoadCore)
}

/** Settles when nothing is being opened any more. */
export async function openedAhead(): Promise<void> {
  await opening
}

function pathsToOpen(options: LoadOptions): string[] | undefined {
  try {
    const minors = coreMinors()
    const libtorch = findLibtorch({ ...options, minors }).find(({ taken }) => taken)
    if (!libtorch?.lib) return undefined
    const wantsCuda = libtorch.cuda && (options.device === 'cuda' || driverPresent())
    const names = ['libc10.so', 'libtorch_cpu.so', ...(wantsCuda ? ['libtorch_cuda.so'] : [])]
    return names.map((name) => join(libtorch.lib!, name))
  } catch {
    return leaveToLoadCore()
  }
}

/** It looks and opens again, and words what it meets for the user. */
function leaveToLoadCore(): undefined {
  return undefined
}
