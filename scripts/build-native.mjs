// Builds bt_native.node and the core against the libtorch that is found, if the sources have changed since the last
// build, and holds both files to what they may need of a machine. --force builds anyway.
import { checkAbi } from './check-abi.mjs'
import { cli, fail, root, StepError } from './console.mjs'
import { compileTypeScript, packages } from './prepare.mjs'

try {
  await packages()
  await compileTypeScript()
  await cli('setup', '--build-only', ...process.argv.slice(2))
  const problems = checkAbi(root)
  if (problems.length > 0) throw new StepError(`what was built would not open everywhere:\n${problems.join('\n')}`)
} catch (error) {
  fail(error)
}
