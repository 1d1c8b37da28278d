// One version of clang-format for everybody, from PyPI into the cache: versions differ in what they call formatted.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { quietly, say } from './console.mjs'

const version = '18.1.8'

/** Path of the program; installs it first where it is missing. `pip --target` is not hindered by a managed Python. */
export async function clangFormat(env = process.env) {
  const cache = env.BT_NATIVE_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'bt-native')
  const folder = join(cache, `clang-format-${version}`)
  const program = join(folder, 'clang_format', 'data', 'bin', 'clang-format')
  if (existsSync(program)) return program
  say(`installing clang-format ${version} into ${folder}`)
  const temporary = `${folder}.${process.pid}.tmp`
  mkdirSync(cache, { recursive: true })
  const wheel = `clang-format==${version}`
  await quietly('python3', [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--no-deps',
    '--only-binary=:all:',
    `--target=${temporary}`,
    wheel,
  ])
  rmSync(folder, { recursive: true, force: true })
  renameSync(temporary, folder)
  return program
}
