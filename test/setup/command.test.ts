// The command in a process of its own: killed in the middle, on a full disk, with --json. Runs dist/.
import { execFile, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/paths.js'
import { isRunning } from './processes.js'
import { makePlace, type Place, writeTorch29, writeWheel } from './wheels.js'

const command = join(packageRoot, 'bin', 'bt-native.js')
const exec = promisify(execFile)
let place: Place
beforeEach(() => {
  place = makePlace()
})
afterEach(() => place.remove())

const setup = (args: string[], env = place.env) => exec(process.execPath, [command, 'setup', ...args], { env })

describe('bt-native setup', () => {
  it('tells with --json where libtorch lies and whether it was there', async () => {
    writeTorch29(join(place.root, 'cache', 'downloads', 'libtorch-2.9.1-cpu'))
    const events = async () => {
      const { stdout } = await setup(['--torch', '2.9.1', '--no-build', '--json'])
      return stdout.split('\n').flatMap((line) => (line ? (JSON.parse(line) as object) : []))
    }
    const folder = join(place.root, 'cache', 'libtorch-2.9.1-cpu')
    expect(await events()).toContainEqual(
      expect.objectContaining({ event: 'provided', version: '2.9.1', folder, created: true }),
    )
    expect(await events()).toContainEqual(expect.objectContaining({ created: false }))
  })

  it('says which libtorch is used from now on, and why when it is another one', async () => {
    writeTorch29(join(place.root, 'cache', 'downloads', 'libtorch-2.9.1-cpu'))
    const addon = join(place.root, 'bt_native.node')
    for (const path of [addon, join(place.root, 'libbt_core-2.9.so')]) writeFileSync(path, '')
    const { BT_NATIVE_LIBTORCH: _, ...rest } = place.env
    const env = { ...rest, BT_NATIVE_ADDON: addon }
    const folder = join(place.root, 'cache', 'libtorch-2.9.1-cpu')
    const { stdout } = await setup(['--torch', '2.9.1', '--no-build'], env)
    expect(stdout).toContain(`used from now on: libtorch 2.9.1+cu128 in ${folder}`)
    const other = { ...env, BT_NATIVE_LIBTORCH: place.root }
    const { stderr } = await setup(['--torch', '2.9.1', '--no-build'], other)
    expect(stderr).toMatch(/will not use .*BT_NATIVE_LIBTORCH names another/)
  })

  it('goes on after a kill without fetching complete wheels again', async () => {
    writeTorch29(place.index)
    const bin = join(place.root, 'bin')
    const log = join(place.root, 'fetched')
    const stall = join(place.root, 'stall')
    // In place of pip: notes what is fetched, copies it from the index, and hangs on NVIDIA's wheels while "stall" is there.
    mkdirSync(bin)
    writeFileSync(
      join(bin, 'python3'),
      `#!/bin/sh
[ "$3" = --version ] && echo "pip 23.2.1 from nowhere" && exit
for last; do case "$last" in --dest=*) dest=\${last#--dest=} ;; esac; done
echo "$last" >> ${log}
case "$last" in nvidia*) while [ -e ${stall} ]; do sleep 0.1; done ;; esac
cp ${place.index}/$(echo \${last%%==*} | tr - _)-* "$dest"
`,
    )
    chmodSync(join(bin, 'python3'), 0o755)
    writeFileSync(stall, '')
    const env = { ...place.env, PATH: `${bin}:${place.env.PATH}` }
    const args = ['--torch', '2.9.1', '--no-build']
    const fetched = () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [])

    const child = spawn(process.execPath, [command, 'setup', ...args], { env, stdio: 'ignore' })
    while (!fetched().some((name) => name.startsWith('nvidia'))) await sleep(50)
    child.kill('SIGKILL')
    await new Promise((resolve) => child.on('exit', resolve))
    spawnSync('rm', [stall])
    expect(readdirSync(join(place.root, 'cache'))).not.toContain('libtorch-2.9.1-cpu')

    await setup(args, env)
    expect(fetched().filter((name) => name.startsWith('torch'))).toEqual(['torch==2.9.1'])
    const names = readdirSync(join(place.root, 'cache')).sort()
    expect(names).toEqual(['downloads', 'libtorch-2.9.1-cpu', 'libtorch-chosen'])
  }, 30_000)

  it('stops at Ctrl-C with all that it started, says so, and leaves nothing half done', async () => {
    const bin = join(place.root, 'bin')
    const started = join(place.root, 'started')
    mkdirSync(bin)
    const pip = `[ "$3" = --version ] && echo "pip 23.2.1 from nowhere" && exit
sleep 100 & echo $$ $! > ${started}.new; mv ${started}.new ${started}; wait`
    writeFileSync(join(bin, 'python3'), `#!/bin/sh\n${pip}\n`)
    chmodSync(join(bin, 'python3'), 0o755)
    const env = { ...place.env, PATH: `${bin}:${place.env.PATH}` }
    const child = spawn(process.execPath, [command, 'setup', '--torch', '2.9.1'], { env, stdio: 'pipe' })
    let said = ''
    child.stderr.on('data', (text) => {
      said += text
    })
    while (!existsSync(started)) await sleep(50)
    child.kill('SIGINT')
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect(said).toContain('BT_INTERRUPTED')
    expect(code).toBe(130)
    expect(readdirSync(join(place.root, 'cache'))).toEqual(['downloads'])
    const pids = readFileSync(started, 'utf8').trim().split(' ').map(Number)
    expect(pids.filter(isRunning)).toEqual([])
  }, 30_000)

  const canMount = spawnSync('unshare', ['-rm', 'true']).status === 0
  it.skipIf(!canMount)('names a full disk, before the download and while unpacking', async () => {
    const cache = join(place.root, 'cache')
    mkdirSync(cache)
    const onSmallDisk = (args: string[]) => {
      const script = `mount -t tmpfs -o size=1m none "$0" && "$@"; code=$?; ls -A "$0" | grep -v downloads; exit $code`
      const all = ['-rm', 'sh', '-c', script, cache, process.execPath, command, 'setup', ...args]
      return spawnSync('unshare', all, { env: place.env, encoding: 'utf8' })
    }
    writeTorch29(place.index)
    const early = onSmallDisk(['--torch', '2.9.1'])
    expect(early.status).toBe(1)
    expect(early.stderr).toMatch(/BT_DISK_FULL.*about 1\.2 GB/)

    const wheel = writeWheel(place.root, {
      name: 'torch',
      version: '2.9.1',
      tag: 'cp312-cp312-linux_x86_64',
      files: { 'torch/lib/libtorch_cpu.so': randomBytes(3_000_000), 'torch/lib/libc10.so': 'c10' },
    })
    const late = onSmallDisk(['--from', wheel])
    expect(late.status).toBe(1)
    expect(late.stderr).toMatch(/BT_DISK_FULL/)
    expect(late.stdout.trim()).toBe('') // nothing was left on the disk
  })

  it('takes --model alone', async () => {
    await expect(setup(['--model', 'smollm2-135m', '--torch', '2.9.1'])).rejects.toMatchObject({ code: 2 })
  })
})
