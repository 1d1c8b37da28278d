// `npm run sanitize [-- --thread] [-- -p JOBS]`: the native code under AddressSanitizer and UndefinedBehaviorSanitizer, or
// under ThreadSanitizer. The former builds the core a second time, in build/sanitize, and runs it under Node.
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fail, openly, quietly, root, StepError, Steps, say } from './console.mjs'
import { compileTypeScript, packages } from './prepare.mjs'

/** Programs that the tests build from the sources with the sanitizers in them: no Node, no preloaded libraries. */
const programs = {
  address: ['dequant', 'quantize', 'kernels', 'generation-kernels', 'choose'],
  thread: ['worker', 'cuda'],
}

/**
 * Tests of the core that run in the process that vitest starts. Left out are those that measure memory or time, start
 * processes of their own or build programs, which are instrumented already.
 */
const core = ['weights', 'sampler', 'generation-engine', 'recompute', 'tensor-export', 'diagnose', 'aten', 'engines']

/** Fuzz targets whose bytes the core reads. */
const targets = ['table']

/** Tests of resident memory fail: what was freed is kept for a while, so that a use of it is seen. */
const measured = /leaves? its memory/

const folder = join(root, 'build', 'sanitize')
const vitest = (names, { env = process.env, only = '' } = {}) => {
  const files = names.map((name) => `test/native/${name}.test.ts`)
  const program = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const limits = ['--maxWorkers=1', '--testTimeout=900000', '--hookTimeout=900000', '--teardownTimeout=60000']
  return openly(process.execPath, [program, 'run', ...limits, ...(only ? ['-t', only] : []), ...files], { env })
}

/** A run-time library as the compiler finds it. */
function library(name) {
  const path = execFileSync(process.env.CXX ?? 'g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim()
  if (!path.includes('/')) throw new StepError(`g++ has no ${name}`, 'Install the sanitizers of the compiler.')
  return path
}

async function build(jobs) {
  const { findLibtorch } = await import('../dist/native/find.js')
  const found = findLibtorch({ device: 'cpu' }).find(({ taken }) => taken)
  if (!found) throw new StepError('libtorch was not found', 'Run: npx bt-native setup --no-build')
  const cmakeJs = join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js')
  const definitions = [`--CDBT_LIBTORCH=${join(found.lib, '..', '..')}`, '--CDBT_SANITIZE=address,undefined']
  await quietly(process.execPath, [cmakeJs, 'configure', '--out', folder, ...definitions])
  await quietly(process.execPath, [cmakeJs, 'build', '--out', folder, '-p', String(jobs)])
}

/** Node and libtorch are not instrumented: the run time comes first, and what they never give back is no finding. */
function instrumented() {
  const release = readdirSync(folder, { recursive: true }).find((name) => name.endsWith('bt_native.node'))
  if (!release) throw new StepError(`no bt_native.node came of the build in ${folder}`)
  const address = [
    'detect_leaks=0', // V8 and libtorch keep what they have until the process is gone
    'detect_odr_violation=0', // templates of libtorch's headers live in its libraries and in ours
    'alloc_dealloc_mismatch=0', // libtorch allocates with posix_memalign in one library and frees in another
    'halt_on_error=1',
    'abort_on_error=1',
    'handle_segv=0', // V8 takes faults of its own for what they are
  ]
  return {
    ...process.env,
    BT_NATIVE_ADDON: join(folder, release),
    LD_PRELOAD: [library('libasan.so'), library('libstdc++.so.6')].join(' '),
    ASAN_OPTIONS: address.join(':'),
    UBSAN_OPTIONS: `halt_on_error=1:abort_on_error=1:print_stacktrace=1:suppressions=${join(root, 'scripts', 'ubsan.supp')}`,
    OMP_NUM_THREADS: '2',
    OMP_WAIT_POLICY: 'passive', // spinning threads take the time of instrumented ones on a busy machine
  }
}

const { values } = parseArgs({
  options: { thread: { type: 'boolean' }, jobs: { type: 'string', short: 'p', default: '2' } },
})
try {
  await packages()
  await compileTypeScript()
  if (values.thread) {
    const steps = new Steps(1)
    await steps.run('queue and emulated kernels under ThreadSanitizer', () => vitest(programs.thread))
  } else {
    const steps = new Steps(4)
    await steps.run('kernels and sampling law as programs', () => vitest(programs.address))
    await steps.run('a core with sanitizers, in build/sanitize', () => build(values.jobs))
    await steps.run('the core under Node', () =>
      vitest(core, { env: instrumented(), only: `^(?!.*(${measured.source}))` }),
    )
    await steps.run('damaged tables under the core', () =>
      openly(
        process.execPath,
        [join(root, 'scripts', 'fuzz.mjs'), '--runs', '300', ...targets.flatMap((name) => ['--target', name])],
        { env: { ...process.env, BT_FUZZ_SANITIZED: JSON.stringify(instrumented()) } },
      ),
    )
  }
  say('clean')
} catch (error) {
  fail(error)
}
