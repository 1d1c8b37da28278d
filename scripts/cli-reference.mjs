// Writes docs/cli.md from the program itself, whatever commands it has (of the last build: `npm run docs` builds first).
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './console.mjs'

/** Where a command is told at length. */
const guides = {
  setup: 'installation.md',
  doctor: 'troubleshooting.md',
  preprocess: 'formats.md#rows-that-preprocess-and-train-read',
  segment: 'segment.md',
  audit: 'training.md#looking-at-the-rows',
  plan: 'training.md#memory',
  train: 'training.md',
  report: 'training.md#watching-a-run',
  generate: 'generation.md',
  'merge-shards': 'generation.md#outputs-resuming-shards',
  evaluate: 'formats.md#what-evaluate-reads-and-writes',
  score: 'generation.md#scoring',
  export: 'export.md',
}

/**
 * The reference as Markdown.
 * @param buildProgram that of src/cli/program.ts
 */
export async function cliReference(buildProgram) {
  const overview = await buildProgram([])
  const parts = [
    '# Command line',
    'Made from the program by `npm run docs`; `npx bt-native COMMAND --help` says the same.',
    ...commandTables(overview),
    '## Every command',
    optionTable(overview, overview.createHelp().visibleOptions(overview)),
    ...textAfter(overview),
  ]
  const help = overview.createHelp()
  for (const { name } of commandsOf(overview).map((command) => ({ name: command.name() }))) {
    const program = await buildProgram([name])
    parts.push(
      ...section(
        help,
        commandsOf(program).find((command) => command.name() === name),
      ),
    )
  }
  return `${parts.join('\n\n')}\n`
}

/** A command with its options, and then those below it. */
function* section(help, command, depth = 2) {
  const path = pathOf(command)
  yield `${'#'.repeat(depth)} ${path.slice(1).join(' ')}`
  const guide = path.length === 2 ? guides[command.name()] : undefined
  yield `${sentence(command.description())}${guide ? ` [More](${guide}).` : ''}`
  yield fence('text', help.commandUsage(command))
  yield* commandTables(command)
  const given = help.visibleArguments(command)
  if (given.length > 0) {
    const rows = given.map((argument) => row(argument.name(), help.argumentDescription(argument)))
    yield table(['Argument', '', 'Default'], rows)
  }
  // --help is told once for all.
  const options = help.visibleOptions(command).filter((option) => option.long !== '--help')
  const groups = help.groupItems(options, options, (option) => option.helpGroupHeading ?? 'Options:')
  for (const [title, some] of groups) {
    if (groups.size > 1 || title !== 'Options:') yield `**${title.replace(/:$/, '')}**`
    yield optionTable(command, some)
  }
  yield* textAfter(command)
  for (const child of commandsOf(command)) yield* section(help, child, depth + 1)
}

/** Those that help shows, without the `help` that commander adds. */
const commandsOf = (command) =>
  command
    .createHelp()
    .visibleCommands(command)
    .filter((child) => command.commands.includes(child))

/** The commands below one, by group, each with a link to its section. */
function commandTables(command) {
  const commands = commandsOf(command)
  const groups = command.createHelp().groupItems(commands, commands, (child) => child.helpGroup() || 'Commands:')
  return [...groups].flatMap(([title, some]) => [
    `**${title.replace(/:$/, '')}**`,
    table(
      ['Command', ''],
      some.map((child) => {
        const name = pathOf(child).slice(1).join(' ')
        return [`[\`${name}\`](#${name.replaceAll(' ', '-')})`, cell(child.summary() || child.description())]
      }),
    ),
  ])
}

/** Names from the program down to `command`. */
function pathOf(command) {
  return command.parent ? [...pathOf(command.parent), command.name()] : [command.name()]
}

function optionTable(command, options) {
  const help = command.createHelp()
  const rows = options.map((option) => row(option.flags, help.optionDescription(option)))
  return table(['Option', '', 'Default'], rows)
}

/** What is typed, what it means, and its default, which stands in brackets among the words of the help. */
function row(term, words) {
  const [found, choices, value] = / ?\((choices: [^()]*, )?default: ((?:[^()]|\([^()]*\))*)\)/.exec(words) ?? [
    '',
    '',
    '',
  ]
  const rest = words.replace(found, choices ? ` (${choices.replace(/, $/, '')})` : '')
  return [code(term), cell(rest), cell(value)]
}

function table(heads, rows) {
  const lines = [heads, heads.map(() => '---'), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`.replace(/ +\|/g, ' |')).join('\n')
}

/** Words of the help as Markdown: signs that it would take for its own are kept from it. */
const cell = (text) => text.replace(/[\\|*<`]/g, '\\$&').replace(/\s+/g, ' ')
const code = (text) => `\`${text.replaceAll('|', '\\|')}\``
const sentence = (text) => cell(/[.!?]$/.test(text) ? text : `${text}.`)
const fence = (language, text) => `\`\`\`${language}\n${text}\n\`\`\``

/** The text below the options: examples as commands to copy, anything else as it stands. */
function textAfter(command) {
  let text = ''
  command.emit('afterHelp', { command, error: false, write: (words) => (text += words) })
  return text
    .trim()
    .split(/\n\n+/)
    .filter((block) => block !== '')
    .flatMap((block) => {
      const [title, ...lines] = block.split('\n')
      if (title !== 'Examples:') return [fence('text', block)]
      return ['**Examples**', fence('sh', lines.map(commandLine).join('\n'))]
    })
}

/** An example of the help as it is typed in a project that has installed the package. */
const commandLine = (line) => line.replace(/^ *\$ /, '').replace(/\bbt-native (?=[a-z])/g, 'npx bt-native ')

if (process.argv[1] === join(root, 'scripts', 'cli-reference.mjs')) {
  const { buildProgram } = await import('../dist/cli/program.js')
  writeFileSync(join(root, 'docs', 'cli.md'), await cliReference(buildProgram))
  process.stdout.write('docs/cli.md is current\n')
}
