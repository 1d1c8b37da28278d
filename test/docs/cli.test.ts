// docs/cli.md: made by scripts/cli-reference.mjs from the commands that the program has.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { expect, test } from 'vitest'
import { cliReference } from '../../scripts/cli-reference.mjs'
import { buildProgram } from '../../src/cli/program.js'
import { packageRoot } from '../../src/paths.js'

test('docs/cli.md is current ("npm run docs" writes it)', async () => {
  expect(readFileSync(join(packageRoot, 'docs', 'cli.md'), 'utf8')).toBe(await cliReference(buildProgram))
})

/** A program with one command that has another below it. */
async function small() {
  const program = new Command('prog')
  const outer = program.command('outer').description('Do <it>').helpGroup('Work:').summary('do | it')
  outer
    .command('inner')
    .description('Look inside.')
    .argument('<file>', 'what to read')
    .argument('[mode]', 'how', 'fast')
    .addOption(new Option('--kind <a|b>', 'which').choices(['a', 'b']).default('a').helpGroup('Look:'))
    .addOption(new Option('--old <x>').hideHelp())
    .option('--words <text>', 'what is said (default: what (else) is there)')
    .addHelpText('after', '\nNotes:\n  as they stand\n\nExamples:\n  $ cat f | bt-native inner - --kind b')
  return program
}

test('commands below commands, arguments, groups, choices and defaults are told', async () => {
  const text = await cliReference(small)
  expect(text).toContain('**Work**\n\n| Command | |\n| --- | --- |\n| [`outer`](#outer) | do \\| it |')
  expect(text).toContain('\n## outer\n\nDo \\<it>.\n')
  expect(text).toContain('| [`outer inner`](#outer-inner) | Look inside. |')
  expect(text).toContain('\n### outer inner\n\nLook inside.\n\n```text\nprog outer inner [options] <file> [mode]\n```')
  expect(text).toContain('| `file` | what to read | |\n| `mode` | how | "fast" |')
  expect(text).toContain(
    '**Look**\n\n| Option | | Default |\n| --- | --- | --- |\n| `--kind <a\\|b>` | which (choices: "a", "b") | "a" |',
  )
  expect(text).toContain('| `--words <text>` | what is said | what (else) is there |')
})

test('hidden options are left out, and examples are commands to copy', async () => {
  const text = await cliReference(small)
  expect(text).not.toContain('--old')
  expect(text).toContain('```text\nNotes:\n  as they stand\n```')
  expect(text).toContain('**Examples**\n\n```sh\ncat f | npx bt-native inner - --kind b\n```')
})
