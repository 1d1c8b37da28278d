// The programs that a build needs: which are there, and the command that installs the others. scripts/tools.mjs says
// the same before anything is installed.
import { hasCode } from '../errors.js'
import { run } from './run.js'

export interface Tool {
  /** For people: "a C++ compiler". */
  name: string
  /** Any one of these will do. */
  commands: string[]
  /** Debian's package. */
  apt: string
}

export const buildTools: Tool[] = [
  { name: 'a C++20 compiler (g++)', commands: ['g++', 'clang++'], apt: 'g++' },
  { name: 'CMake', commands: ['cmake'], apt: 'cmake' },
  { name: 'make or Ninja', commands: ['make', 'ninja'], apt: 'make' },
]

/** The tools of `tools` that cannot be started. */
export async function missingTools(tools = buildTools, env: NodeJS.ProcessEnv = process.env): Promise<Tool[]> {
  const found = await Promise.all(tools.map((tool) => anyStarts(tool.commands, env)))
  return tools.filter((_, index) => !found[index])
}

async function anyStarts(commands: string[], env: NodeJS.ProcessEnv): Promise<boolean> {
  for (const command of commands) {
    try {
      if ((await run(command, ['--version'], { env })).code === 0) return true
    } catch (error) {
      if (!hasCode(error, 'ENOENT') && !hasCode(error, 'EACCES')) throw error
    }
  }
  return false
}

/** The command that installs `tools` on Debian and Ubuntu. */
export function installCommand(tools: Tool[]): string {
  return `sudo apt-get install -y ${tools.map((tool) => tool.apt).join(' ')}`
}
