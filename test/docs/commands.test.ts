// Whatever command, flag or script the documentation names is one. Nothing runs: commands are parsed, their values judged.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { parse } from 'shell-quote'
import { beforeAll, expect, test } from 'vitest'
import { markdownFiles, readMarkdown } from '../../scripts/markdown.mjs'
import { givenOptions } from '../../src/cli/flags.js'
import { buildProgram } from '../../src/cli/program.js'
import { exportFields } from '../../src/export/options.js'
import type { Fields } from '../../src/fields.js'
import { generateFields } from '../../src/generate/options.js'
import { scoreFields } from '../../src/generate/score-options.js'
import { packageRoot } from '../../src/paths.js'
import { segmentFields } from '../../src/segment/options.js'
import { trainFields } from '../../src/train/options.js'

/** Tables of options by command, which judge values. */
const tables: Record<string, Fields> = {
  train: trainFields,
  generate: generateFields,
  score: scoreFields,
  segment: segmentFields,
  export: exportFields,
}

/** Flags of other programs that are named alone: npm's, those of `npm run prebuild`, `ci:install` and `bench`. */
const others = ['--ignore-scripts', '--cuda', '--built', '--quick', '--only', '--settings', '--windows', '--agree']

const files = markdownFiles(packageRoot).map((path) => ({ path, ...readMarkdown(packageRoot, path) }))
const scripts = Object.keys(JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')).scripts)

/** Long flags of each command, by its name; those of commands below it too. */
const flags = new Map<string, Set<string>>()
beforeAll(async () => {
  const { commands } = await buildProgram([])
  for (const { name } of commands.map((command) => ({ name: command.name() }))) {
    const program = await buildProgram([name])
    const command = program.commands.find((candidate) => candidate.name() === name)!
    flags.set(name, new Set([...flagsOf(command), ...program.options.map(({ long }) => long!), '--help']))
  }
})

function flagsOf({ options, commands }: Pick<Command, 'options' | 'commands'>): string[] {
  return [...options.map(({ long }) => long!), ...commands.flatMap(flagsOf)]
}

/** The arguments of each call of bt-native in a line of a shell, those within quotes too. */
function callsIn(line: string): string[][] {
  const calls: string[][] = [[]]
  for (const part of parse(line, (name) => `$${name}`)) {
    if (typeof part === 'string') calls.at(-1)!.push(part)
    else if ('op' in part && part.op === 'glob') calls.at(-1)!.push((part as { pattern: string }).pattern)
    else calls.push([])
  }
  return calls.flatMap((words) => {
    const at = words.findIndex((word, index) => word === 'bt-native' && [undefined, 'npx'].includes(words[index - 1]))
    const within = words.flatMap((word) => (/\bbt-native /.test(word) ? callsIn(word) : []))
    return at < 0 ? within : [words.slice(at + 1), ...within]
  })
}

/** Lines of a block that may hold commands: where one has a prompt, the others are what was written. */
function commandLines(text: string): string[] {
  const lines = text.replace(/\\\n/g, ' ').split('\n')
  const prompted = lines.filter((line) => /^\s*\$ /.test(line))
  return prompted.length > 0 ? prompted.map((line) => line.replace(/^\s*\$ /, '')) : lines
}

/** Parses without running. @throws what commander, or the schema of an option, says */
async function parseDry(args: string[]): Promise<void> {
  const program = await buildProgram(args)
  const silent = { writeOut: () => {}, writeErr: () => {} }
  const stub = (command: Command) => {
    command.configureOutput(silent).exitOverride()
    if (command.commands.length === 0) command.action(() => {})
    for (const child of command.commands) stub(child)
  }
  stub(program)
  await program.parseAsync(args, { from: 'user' })
  const name = args.find((word) => !word.startsWith('-'))!
  const fields = tables[name]
  if (!fields) return
  const given = givenOptions(program.commands.find((command) => command.name() === name)!.opts(), fields)
  for (const [option, value] of Object.entries(given)) {
    if (value !== undefined) fields[option]!.schema.parse(value)
  }
}

const calls = files.flatMap(({ path, blocks }) =>
  blocks
    .filter(({ language }) => ['', 'sh', 'bash', 'console'].includes(language))
    .flatMap(({ text, line }) =>
      commandLines(text).flatMap((words) => callsIn(words).map((args) => ({ path, line, args }))),
    ),
)

test.each(calls.map((call) => ({ ...call, words: call.args.join(' ') })))(
  '$path:$line: bt-native $words',
  async ({ args }) => {
    await expect(parseDry(args)).resolves.toBeUndefined()
  },
)

test('there are some, of nearly every command', () => {
  expect(new Set(calls.map(({ args }) => args[0])).size).toBeGreaterThan(10)
})

test.each([
  [['train', '--modle', 'x']],
  [['trian']],
  [['train', '--epochs', 'many']],
  [['merge-shards']],
  [['doctor', 'now']],
])('%j would be refused', async (args) => {
  await expect(parseDry(args)).rejects.toThrow()
})

test('calls are found behind pipes, within quotes and before redirections', () => {
  expect(callsIn('cat a | npx bt-native score --input - > "b c"; npm install bt-native')).toEqual([
    ['score', '--input', '-'],
  ])
  expect(callsIn(`sbatch --wrap 'npx bt-native score --input "a b"'`)).toEqual([['score', '--input', 'a b']])
})

const spans = files.flatMap(({ path, spans }) => spans.map(({ text, line }) => ({ place: `${path}:${line}`, text })))

test('each flag named in a sentence is one: of its command, or alone of any', () => {
  const any = new Set([...[...flags.values()].flatMap((some) => [...some]), ...others])
  const wrong = spans.flatMap(({ place, text }) => {
    const [, name] = /^(?:npx )?(?:bt-native )?([\w-]+)/.exec(text) ?? []
    const known = text.startsWith('--') ? any : flags.get(name!)
    const named = text.match(/(?<=^|\s)--[a-z][\w-]*/g) ?? []
    return known ? named.filter((flag) => !known.has(flag)).map((flag) => `${place} names ${flag}`) : []
  })
  expect(wrong).toEqual([])
})

test('each command, npm script, example and script named is there', () => {
  const lines = files.flatMap(({ path, blocks }) =>
    blocks.flatMap(({ text, line }) => text.split('\n').map((words) => ({ place: `${path}:${line}`, text: words }))),
  )
  const wrong = [...spans, ...lines].flatMap(({ place, text }) => {
    const names = [...text.matchAll(/\bnpm run ([\w:-]+)/g)].map((match) => match[1]!)
    const programs = [...text.matchAll(/\bnode ((?:scripts|examples|bench)\/\S+)/g)].map((match) => match[1]!)
    const commands = [...text.matchAll(/\bnpx bt-native ([a-z][\w-]*)/g)].map((match) => match[1]!)
    return [
      ...names.filter((name) => !scripts.includes(name)),
      ...programs.filter((path) => !existsSync(join(packageRoot, path))),
      ...commands.filter((name) => !flags.has(name) && name !== 'help'),
    ].map((name) => `${place} names ${name}`)
  })
  expect(wrong).toEqual([])
})
