// The Python peers: installed on demand into the cache, and spoken to line by line.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { cacheFolder, packageRoot } from '../dist/paths.js'

const requirements = join(packageRoot, 'bench/peers/requirements.txt')

/** A Python with the peers installed: BT_BENCH_PYTHON, or a virtual environment in the cache. Minutes the first time. */
export function peerPython() {
  if (process.env.BT_BENCH_PYTHON) return process.env.BT_BENCH_PYTHON
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12)
  const folder = join(cacheFolder(), `peers-${wanted}`)
  const python = join(folder, 'bin/python')
  if (existsSync(join(folder, 'complete'))) return python
  process.stderr.write(`installing the Python peers into ${folder} (about 4 GB, minutes)\n`)
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

/** A peer script under way: ask(command) answers with one JSON object. */
export function startPeer(script) {
  const child = spawn(peerPython(), [join(packageRoot, 'bench/peers', script)], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async ask(command) {
      child.stdin.write(`${JSON.stringify(command)}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error(`${script} ended early`)
      return JSON.parse(value)
    },
    stop: () => child.stdin.end(),
  }
}
