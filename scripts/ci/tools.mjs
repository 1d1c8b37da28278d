// Programs that only checks of the package need, in exact versions, kept in the cache: no dependency of the checkout, so
// that those who build and test do not fetch them.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { quietly } from '../console.mjs'

/** npm package and file of each. */
const tools = {
  publint: { name: 'publint', version: '0.3.25', file: 'src/cli.js' },
  attw: { name: '@arethetypeswrong/cli', version: '0.18.5', file: 'dist/index.js' },
  esbuild: { name: 'esbuild', version: '0.28.2', file: 'lib/main.js' },
  pnpm: { name: 'pnpm', version: '10.34.8', file: 'bin/pnpm.cjs' },
  bun: { name: '@oven/bun-linux-x64', version: '1.4.5', file: 'bin/bun' },
}

/** Path of a tool's file, which is fetched when it is not there yet. */
export async function tool(name) {
  const { name: packageName, version, file } = tools[name]
  return join(await provide(packageName, version), file)
}

/** Folder of an npm package in the cache, fetched with what it needs and without running its scripts. */
export async function provide(packageName, version) {
  const { cacheFolder } = await import('../../dist/paths.js')
  const folder = join(cacheFolder(), 'ci', `${packageName.replace('/', '+')}-${version}`)
  if (!existsSync(folder)) {
    const temporary = `${folder}.${process.pid}`
    mkdirSync(temporary, { recursive: true })
    writeFileSync(join(temporary, 'package.json'), '{"private": true}')
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error']
    await quietly('npm', ['install', ...flags, `${packageName}@${version}`], { cwd: temporary, silent: true })
    rmSync(folder, { recursive: true, force: true })
    renameSync(temporary, folder)
  }
  return join(folder, 'node_modules', packageName)
}
