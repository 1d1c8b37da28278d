import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { flagOf } from '../../src/cli/flags.js'
import { buildProgram } from '../../src/cli/program.js'
import { generateFields } from '../../src/generate/options.js'
import { packageRoot } from '../../src/paths.js'
import { trainFields, trainSchema } from '../../src/train/options.js'

const text = readFileSync(join(packageRoot, 'docs', 'from-the-python-scripts.md'), 'utf8')
const rows = text.split('\n').filter((line) => line.startsWith('| '))

/** Rows of the table of flags for this command, those of an old flag first. */
const rowsOf = (command: string) => rows.filter((row) => row.startsWith(`| \`${command}\``))

test.each([
  ['train', trainFields],
  ['generate', generateFields],
] as const)('each old flag of %s stands in the table', (command, fields) => {
  for (const { meta } of Object.values(fields)) {
    for (const alias of meta.aliases ?? []) {
      expect(rowsOf(command).filter((row) => row.includes(`\`${alias}\``))).toHaveLength(1)
    }
  }
})

test.each(['preprocess', 'train', 'generate', 'evaluate'])('each flag named for %s is one', async (name) => {
  const command = (await buildProgram([name])).commands.find((candidate) => candidate.name() === name)!
  const known = new Set(command.options.map((option) => option.long))
  const shown = [...text.matchAll(new RegExp(`npx bt-native ${name}( [^\`]+)`, 'g'))].map((match) => match[1])
  const flags = [...rowsOf(name), ...shown].flatMap((part) => part!.match(/--[\w-]+/g) ?? [])
  expect(flags.length).toBeGreaterThan(0)
  for (const flag of flags) expect(known).toContain(flag)
})

test('what gives the old defaults is accepted, and no longer the default', async () => {
  const train = (await buildProgram(['train'])).commands.find((command) => command.name() === 'train')!
  const defaults = trainSchema.parse({ model: 'm', data: 'd', output: 'o' }) as Record<string, unknown>
  const last = rows.map((row) => row.split('|').at(-2)!.trim()).filter((cell) => /^`--[\w-]+ [^`]+`$/.test(cell))
  expect(last.length).toBeGreaterThan(4)
  for (const [, flag, value] of last.join(' ').matchAll(/(--[\w-]+) ([\w.,-]+)/g)) {
    expect(train.options.map((option) => option.long)).toContain(flag)
    const option = Object.keys(trainFields).find((name) => flagOf(name) === flag)!
    expect(String(defaults[option]), flag).not.toBe(value)
    const parsed = value!.includes(',') ? value!.split(',') : Number.isNaN(Number(value)) ? value : Number(value)
    expect(trainSchema.safeParse({ model: 'm', data: 'd', output: 'o', [option]: parsed }).success, flag).toBe(true)
  }
})
