// `npm run ci:install [-- --quick | WORDS]`: packs the package and installs it as users do, into clean folders, without a
// compiler on PATH and without install scripts; then uses what was installed. --quick does the first of it, with npm alone;
// WORDS name some of the checks. Says "N passed, N failed" last. Needs prebuilds/ (npm run prebuild), the libtorch that
// they are for, and the demo model.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { duration, green, red, root, say } from '../console.mjs'
import { tool } from './tools.mjs'

/** Most bytes of the tarball: cores for two torches and kernels for GPUs take about 5 MB. */
const mostBytes = 10e6

/** CommonJS packages in a bundle of ES modules ask for Node's own by `require`, which such a bundle lacks. */
const requireInModules =
  "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url)"

/** Everything is made in here; its name holds what breaks programs that quote badly. */
const work = mkdtempSync(join(tmpdir(), 'bt install é 模型 '))
const folders = { npm: join(work, 'with npm'), pnpm: join(work, 'with pnpm'), bundle: join(work, 'bundle') }
const installed = join(folders.npm, 'node_modules', 'bt-native')

/** What the programs may use: Node and a shell, and no compiler, CMake, Python or pip. */
function bareBin() {
  const bin = join(work, 'bin')
  mkdirSync(bin)
  for (const name of ['sh', 'env', 'uname', 'ls', 'cat']) symlinkSync(realpathSync(which(name)), join(bin, name))
  symlinkSync(process.execPath, join(bin, 'node'))
  return bin
}

function which(name) {
  const found = process.env.PATH.split(delimiter).find((folder) => existsSync(join(folder, name)))
  if (!found) throw new Error(`there is no ${name} on PATH`)
  return join(found, name)
}

let bin
const bareEnv = () => ({ ...process.env, PATH: bin, NODE_OPTIONS: '', npm_config_ignore_scripts: 'true' })

/** Runs a program in a folder; @returns what it wrote to stdout. @throws with all that it wrote, when it fails */
function run(command, args, { cwd = folders.npm, env = bareEnv(), ...options } = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    ...options,
  })
  if (status !== 0)
    throw new Error(`${basename(command)} ${args.join(' ')}: ${error?.message ?? `exit ${status}`}\n${stdout}${stderr}`)
  return stdout
}

const node = (args, options) => run(process.execPath, args, options)
const npmCli = () => realpathSync(which('npm'))
const program = (folder = installed) => join(folder, 'bin', 'bt-native.js')

function project(folder, name) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, private: true, type: 'module', version: '1.0.0' }))
}

/** Fails unless the packed loader and core were opened. */
function expectPrebuilt(diagnosis) {
  const { ready, findings, facts } = JSON.parse(diagnosis)
  if (!ready) throw new Error(`doctor: ${JSON.stringify(findings.filter(({ state }) => state === 'fail'))}`)
  if (facts.addon.kind !== 'prebuilt') throw new Error(`the addon is ${facts.addon.path} (${facts.addon.kind})`)
  if (!facts.probe.core.includes(join('prebuilds', 'linux-x64'))) throw new Error(`the core is ${facts.probe.core}`)
}

let tarball

const checks = {
  async 'npm pack'() {
    if (!existsSync(join(root, 'prebuilds', 'linux-x64'))) throw new Error('there is no prebuilds/: npm run prebuild')
    const [packed] = JSON.parse(
      run(process.execPath, [npmCli(), 'pack', '--json', '--ignore-scripts', '--pack-destination', work], {
        cwd: root,
        env: process.env,
      }),
    )
    tarball = join(work, packed.filename)
    const size = `${(packed.size / 1e6).toFixed(2)} MB packed, ${(packed.unpackedSize / 1e6).toFixed(2)} MB unpacked, ${packed.entryCount} files`
    if (packed.size > mostBytes) throw new Error(`${size}: more than ${mostBytes / 1e6} MB`)
    return size
  },

  async publint() {
    node([await tool('publint'), tarball, '--strict'], { cwd: work, env: process.env })
  },

  async 'are the types wrong? (ES modules)'() {
    node([await tool('attw'), tarball, '--profile', 'esm-only'], { cwd: work, env: process.env })
  },

  async 'npm install, no compiler on PATH, scripts off'() {
    project(folders.npm, 'with-npm')
    node([npmCli(), 'install', '--no-audit', '--no-fund', '--prefer-offline', tarball])
  },

  async 'doctor opens the packed files'() {
    expectPrebuilt(node([program(), 'doctor', '--json']))
  },

  async 'the demo training writes an adapter'() {
    const seed = readFileSync(join(installed, 'examples', 'seed.jsonl'), 'utf8')
    writeFileSync(join(work, 'data.jsonl'), seed.split('\n').slice(0, 12).join('\n')) // enough to see that it learns
    const sizes = '--batch-size 2 --grad-accum-steps 1 --max-tokens 128 --max-steps 2 --validation 0 --samples 0'.split(
      ' ',
    )
    const files = ['--data', join(work, 'data.jsonl'), '--output', join(work, 'adaptér 1')]
    node([program(), 'train', '--model', 'smollm2-135m', ...files, ...sizes])
    const written = readdirSync(join(work, 'adaptér 1'))
    if (!written.includes('adapter_model.safetensors')) throw new Error(`the run's folder holds ${written.join(', ')}`)
  },

  async 'setup keeps the packed core, and says why it would build one where none fits'() {
    const kept = node([program(), 'setup', '--build-only', '--json'])
    if (!kept.includes('"built":false') || !kept.includes('prebuilds')) throw new Error(kept)
    const packed = join(installed, 'prebuilds', 'linux-x64')
    const core = readdirSync(packed).find((name) => name.startsWith('libbt_core-'))
    const libtorch = JSON.parse(node([program(), 'doctor', '--json'])).facts.libtorch.find(({ taken }) => taken)
    renameSync(join(packed, core), join(packed, 'libbt_core-1.0.so'))
    const env = { ...bareEnv(), BT_NATIVE_LIBTORCH: libtorch.path }
    const { status, stderr } = spawnSync(process.execPath, [program(), 'setup', '--build-only'], {
      env,
      encoding: 'utf8',
    })
    renameSync(join(packed, 'libbt_core-1.0.so'), join(packed, core))
    const told = /BT_BUILD_TOOLS.*; the package holds cores for torch 1\.0, and none for \d/.test(stderr)
    if (status === 0 || !told) throw new Error(`exit ${status}: ${stderr}`)
  },

  async 'import, require and worker_threads'() {
    writeFileSync(join(folders.npm, 'use.mjs'), use)
    writeFileSync(
      join(folders.npm, 'use.cjs'),
      `require('bt-native').openRuntime({ device: 'cpu' }).then((it) => it.close())`,
    )
    const thread = `import { Worker } from 'node:worker_threads'
      const worker = new Worker(new URL('./use.mjs', import.meta.url))
      worker.on('error', (error) => { throw error })`
    writeFileSync(join(folders.npm, 'thread.mjs'), thread)
    for (const file of ['use.mjs', 'thread.mjs']) expectUsed(node([file]))
    node(['use.cjs'])
  },

  async 'another user, a package that may not be written, no HOME'() {
    const other = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {}
    const libtorch = readableLibtorch()
    run('chmod', ['-R', 'a+rX,a-w', installed], { env: process.env })
    chmodSync(work, 0o755)
    const { HOME: _, XDG_CACHE_HOME: __, ...env } = bareEnv()
    const bare = { ...env, BT_NATIVE_LIBTORCH: libtorch, TMPDIR: '/tmp' }
    try {
      expectPrebuilt(node([program(), 'doctor', '--json'], { cwd: '/', env: bare, ...other }))
      expectUsed(node([join(folders.npm, 'use.mjs')], { cwd: '/', env: bare, ...other }))
    } finally {
      run('chmod', ['-R', 'u+w', installed], { env: process.env })
    }
  },

  async 'bundled by esbuild, the addon outside by BT_NATIVE_ADDON'() {
    const { build } = await import(await tool('esbuild'))
    mkdirSync(folders.bundle)
    const external = ['@duckdb/node-api', 'tokenizers'] // native packages of their own, opened when first needed
    const outfile = join(folders.bundle, 'app.mjs')
    await build({
      entryPoints: [join(folders.npm, 'use.mjs')],
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile,
      external,
      banner: { js: requireInModules },
      logLevel: 'error',
    })
    const addon = join(installed, 'prebuilds', 'linux-x64', 'bt-native.glibc.node')
    expectUsed(node([outfile], { cwd: folders.bundle, env: { ...bareEnv(), BT_NATIVE_ADDON: addon } }))
  },

  async 'TypeScript under nodenext and bundler, skipLibCheck off'() {
    writeFileSync(join(folders.npm, 'use.ts'), useTyped)
    mkdirSync(join(folders.npm, 'node_modules', '@types'), { recursive: true })
    for (const name of ['@types/node', 'undici-types']) {
      cpSync(join(root, 'node_modules', name), join(folders.npm, 'node_modules', name), { recursive: true })
    }
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const common = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      'false',
      '--target',
      'es2023',
      '--lib',
      'es2023,esnext.disposable',
      '--types',
      'node',
      '--ignoreConfig',
    ]
    for (const [module, resolution] of [
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
    ]) {
      node([tsc, ...common, '--module', module, '--moduleResolution', resolution, 'use.ts'])
    }
  },

  async 'pnpm add, then doctor'() {
    project(folders.pnpm, 'with-pnpm')
    node([await tool('pnpm'), 'add', '--ignore-scripts', '--prefer-offline', tarball], { cwd: folders.pnpm })
    expectPrebuilt(
      node([program(join(folders.pnpm, 'node_modules', 'bt-native')), 'doctor', '--json'], { cwd: folders.pnpm }),
    )
  },

  async 'Bun opens it and computes'() {
    expectUsed(run(await tool('bun'), [join(folders.npm, 'use.mjs')]))
  },
}

const use = `import { openRuntime } from 'bt-native'
const runtime = await openRuntime({ device: 'cpu' })
const speed = await runtime.measureGemm('float32')
await runtime.close()
console.log(speed > 0 ? 'computed' : 'nothing came of it')
`

const useTyped = `import { type BtError, type TrainEvent, openRuntime, train } from 'bt-native'
export async function main(): Promise<TrainEvent | undefined> {
  await using runtime = await openRuntime({ device: 'cpu' })
  const speed: number = await runtime.measureGemm('float32')
  for await (const event of train({ model: 'm', data: 'd', output: 'o' })) if (event.type === 'finished' && speed > 0) return event
  return undefined
}
export const code = (error: BtError): string => error.code
`

function expectUsed(stdout) {
  if (stdout.trim() !== 'computed') throw new Error(`wrote: ${stdout}`)
}

/** The libtorch of the cache where any user may read it: by hard links, since the home of root is closed to others. */
function readableLibtorch() {
  const found = JSON.parse(node([program(), 'doctor', '--json'])).facts.libtorch.find(({ taken }) => taken)
  const torch = dirname(found.lib)
  const copy = join(work, 'libtorch')
  for (const [from, to] of [
    [found.lib, 'torch/lib'],
    [join(torch, 'version.py'), 'torch/version.py'],
    [join(dirname(torch), 'nvidia'), 'nvidia'],
  ]) {
    if (!existsSync(from)) continue
    mkdirSync(dirname(join(copy, to)), { recursive: true })
    const { status } = spawnSync('cp', ['-rlL', from, join(copy, to)], { stdio: 'ignore' })
    if (status !== 0) run('cp', ['-rL', from, join(copy, to)], { env: process.env }) // another file system
  }
  return copy
}

/** What --quick checks: that what is packed installs, opens and trains. */
const quick = ['npm pack', 'npm install', 'doctor opens', 'the demo training']

async function main() {
  const counts = { passed: 0, failed: 0 }
  const args = process.argv.slice(2)
  const wanted = args.includes('--quick') ? quick : args
  try {
    bin = bareBin()
    for (const [name, check] of Object.entries(checks)) {
      if (wanted.length > 0 && !wanted.some((word) => name.includes(word))) continue
      const start = performance.now()
      try {
        const note = await check()
        say(`${green('ok')} ${name}${note ? `: ${note}` : ''}, ${duration(performance.now() - start)}`)
        counts.passed++
      } catch (error) {
        say(`${red('failed')} ${name}\n${error.message.slice(0, 4000).replace(/^/gm, '  ')}`)
        counts.failed++
      }
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`)
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0
}

await main()
