// How the addon is built, with a stand-in for CMake that notes what it is asked and makes nothing.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/paths.js'
import { buildAddon, firstErrors } from '../../src/setup/build.js'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bt-build-'))
})
afterEach(() => rmSync(root, { recursive: true }))

/** Builds for a torch that does not exist, where `cmake --build` does what `build` (shell) says. */
async function build(build: string) {
  const cmake = spawnSync('sh', ['-c', 'command -v cmake'], { encoding: 'utf8' }).stdout.trim()
  writeFileSync(
    join(root, 'cmake'),
    `#!/bin/sh
case "$1 $2" in "-E capabilities" | --version*) exec ${cmake} "$@" ;; esac
echo "$@" >> ${root}/asked
[ "$1" = --build ] || exit 0
${build}
`,
  )
  chmodSync(join(root, 'cmake'), 0o755)
  const env = { ...process.env, PATH: `${root}:${process.env.PATH}` }
  const error = await buildAddon({ libtorch: join(root, 'torch99'), version: '9.9.0', env }).catch((it: unknown) => it)
  return { error, asked: readFileSync(join(root, 'asked'), 'utf8').trim().split('\n') }
}

describe('building for a torch', () => {
  it('configures for its folder each time, and reports no core that did not come of it', async () => {
    const { error, asked } = await build('exit 0')
    expect(asked).toEqual([
      expect.stringContaining(`-DBT_LIBTORCH=${join(root, 'torch99')}`),
      expect.stringMatching(/^--build /),
    ])
    expect(error).toMatchObject({ code: 'BT_BUILD_FAILED', message: expect.stringContaining('libbt_core-9.9.so') })
  })

  it('leaves what is there alone when something does not compile', async () => {
    const before = existsSync(join(packageRoot, 'build', 'Release'))
    const { error, asked } = await build(
      `echo "a.cc:1:2: error: unused variable 'x' [-Werror=unused-variable]"; exit 1`,
    )
    expect(asked).toHaveLength(2) // neither "remove_directory" nor another attempt
    expect(existsSync(join(packageRoot, 'build', 'Release'))).toBe(before)
    expect(error).toMatchObject({ code: 'BT_BUILD_FAILED', message: expect.stringContaining("unused variable 'x'") })
  })
})

it("shows the compiler's errors, those of warnings too, and none of its command lines", () => {
  const log = [
    '[1/9] Building CXX object CMakeFiles/bt_core.dir/native/a.cc.o',
    'FAILED: CMakeFiles/bt_core.dir/native/a.cc.o',
    '/usr/bin/c++ -I/opt/error/include -Wall -Wextra -Werror -include glibc.h -o a.cc.o -c a.cc',
    "a.cc:3:7: error: unused variable 'x' [-Werror=unused-variable]",
    'cc1plus: all warnings being treated as errors',
  ]
  expect(firstErrors(log)).toBe("  a.cc:3:7: error: unused variable 'x' [-Werror=unused-variable]")
  const configuring = [
    '-- x',
    'CMake Error at CMakeLists.txt:49 (message):',
    '  BT_LIBTORCH has no include folder',
    '',
    '',
  ]
  expect(firstErrors(configuring)).toContain('has no include folder')
  expect(firstErrors(['one', 'two'])).toBe('  one\n  two')
})
