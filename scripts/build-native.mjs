// Builds bt_native.node and the core against the libtorch that is found, if the sources have changed since the last
// build. --force builds anyway.
import { cli, fail } from './console.mjs'
import { compileTypeScript, packages } from './prepare.mjs'

try {
  await packages()
  await compileTypeScript()
  await cli('setup', '--build-only', ...process.argv.slice(2))
} catch (error) {
  fail(error)
}
