// The Python peers: installed on demand into the cache, and started as children.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, packageRoot } from '../dist/paths.js'
import { startChild } from './child.mjs'

/**
 * A Python with the packages of a list in bench/peers installed, in a virtual environment in the cache: the peers by
 * default, for which BT_BENCH_PYTHON is taken where it is set. Minutes the first time.
 */
export function peerPython(list = 'requirements.txt') {
  if (process.env.BT_BENCH_PYTHON && list === 'requirements.txt') return process.env.BT_BENCH_PYTHON
  const requirements = join(packageRoot, 'bench/peers', list)
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12)
  const folder = join(cacheFolder(), `peers-${wanted}`)
  const python = join(folder, 'bin/python')
  if (existsSync(join(folder, 'complete'))) return python
  process.stderr.write(`installing what bench/peers/${list} lists into ${folder} (minutes)\n`)
  mkdirSync(folder, { recursive: true })
  for (const [command, ...args] of [
    ['python3', '-m', 'venv', folder],
    [python, '-m', 'pip', 'install', '--quiet', '-r', requirements],
  ]) {
    const { status } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed`)
  }
  writeFileSync(join(folder, 'complete'), '')
  return python
}

/** glibc's malloc as it comes, and kept from giving memory back: fresh pages are a large cost of big batches. */
export const mallocs = {
  default: {},
  tuned: {
    MALLOC_MMAP_MAX_: '0',
    MALLOC_TRIM_THRESHOLD_: `${2 ** 34}`,
    MALLOC_TOP_PAD_: `${2 ** 28}`,
  },
}

/** Nothing is fetched, and no progress bars among the lines of stderr. */
const quiet = {
  HF_HUB_OFFLINE: '1',
  HF_HUB_DISABLE_PROGRESS_BARS: '1',
  HF_DATASETS_DISABLE_PROGRESS_BARS: '1',
  TRANSFORMERS_VERBOSITY: 'error',
  TOKENIZERS_PARALLELISM: 'false',
}

/** A peer script as a child. */
export function startPeer(script, { malloc = 'default', threads, env = {} }) {
  return startChild({
    label: script,
    command: peerPython(),
    args: [join(packageRoot, 'bench/peers', script)],
    env: { ...quiet, ...mallocs[malloc], OMP_NUM_THREADS: `${threads}`, ...env },
  })
}
