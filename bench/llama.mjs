// llama.cpp as a peer: node-llama-cpp with its prebuilt binary, installed on demand into the cache.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, packageRoot } from '../dist/paths.js'
import { startChild } from './child.mjs'

export const llamaVersion = '3.22.1'

/** Without scripts: its own would compile llama.cpp; without optional packages: those are binaries for every GPU. */
function llamaFolder() {
  const folder = join(cacheFolder(), `peers-node-llama-cpp-${llamaVersion}`)
  if (existsSync(join(folder, 'complete'))) return folder
  process.stderr.write(`installing node-llama-cpp ${llamaVersion} into ${folder} (85 MB)\n`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"private": true}')
  const packages = [`node-llama-cpp@${llamaVersion}`, `@node-llama-cpp/linux-x64@${llamaVersion}`]
  const flags = ['--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund']
  const { status } = spawnSync('npm', ['install', ...flags, ...packages], { cwd: folder, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error(`npm install ${packages.join(' ')} failed`)
  writeFileSync(join(folder, 'complete'), '')
  return folder
}

export function startLlama() {
  const script = join(packageRoot, 'bench/peers/llama.mjs')
  return startChild({ label: 'llama.cpp', command: process.execPath, args: [script, llamaFolder()] })
}
