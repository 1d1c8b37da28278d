// What must be on the machine before anything else: named first, with the command that installs it.
import { spawnSync } from 'node:child_process'
import { StepError } from './console.mjs'

/** Lowest Node version, as in package.json. */
const lowest = [20, 19]

const tools = [
  { name: 'a C++ compiler', tries: [['g++'], ['clang++']], apt: 'g++' },
  { name: 'CMake', tries: [['cmake']], apt: 'cmake' },
  { name: 'make or Ninja', tries: [['make'], ['ninja']], apt: 'make' },
  {
    name: 'Python 3 with pip',
    tries: [['python3', '-m', 'pip'], ['pip3'], ['python', '-m', 'pip']],
    apt: 'python3-pip',
  },
]

/**
 * @param env the environment whose PATH is searched
 * @throws {StepError} naming everything that is missing at once
 */
export function checkTools(env = process.env) {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < lowest[0] || (major === lowest[0] && minor < lowest[1])) {
    throw new StepError(
      `Node ${process.versions.node} is too old: ${lowest.join('.')} or later is needed`,
      'Debian 12: https://nodejs.org/en/download tells how to install a current Node.',
    )
  }
  if (process.platform !== 'linux') throw new StepError(`Linux is needed; this is ${process.platform}`)
  const starts = ([command, ...args]) =>
    spawnSync(command, [...args, '--version'], { env, stdio: 'ignore' }).status === 0
  const missing = tools.filter((tool) => !tool.tries.some(starts))
  if (missing.length === 0) return
  throw new StepError(
    `missing: ${missing.map((tool) => tool.name).join(', ')}`,
    `Install with: sudo apt-get install -y ${missing.map((tool) => tool.apt).join(' ')}`,
  )
}
