import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { flagOf } from '../../src/cli/flags.js'
import { faultNames } from '../../src/generate/guard.js'
import { generateFields, generateSchema } from '../../src/generate/options.js'
import { scoreFields, scoreSchema } from '../../src/generate/score-options.js'
import { packageRoot } from '../../src/paths.js'

const text = readFileSync(join(packageRoot, 'docs', 'generation.md'), 'utf8')

/** Rows of the table below a heading: "| `name` | `--flag` | default | words |". */
function documented(heading: string) {
  const section = text.slice(text.indexOf(`\n## ${heading}`) + 4).split('\n## ')[0]!
  return section.split('\n').flatMap((line) => {
    const [, name, flag, value] = /^\| `(\w+)` \| `(--[\w-]+)` \| `?([^`|]+?)`? \|.+\|$/.exec(line) ?? []
    return name ? [{ name, flag, default: value }] : []
  })
}

test.each([
  ['Options of `generate`', generateFields, generateSchema.parse({ input: 'i' })],
  ['Options of `score`', scoreFields, scoreSchema.parse({ input: 'i' })],
] as const)('%s: every option in the order of the help, with its flag and default', (heading, fields, defaults) => {
  const expected = Object.keys(fields).map((name) => {
    const value = (defaults as Record<string, unknown>)[name]
    return { name, flag: flagOf(name), default: name === 'input' ? 'required' : String(value ?? 'none') }
  })
  expect(documented(heading)).toEqual(expected)
})

test('each fault that the guard looks for is explained', () => {
  for (const name of faultNames) expect(text).toContain(`\n| \`${name}\` | `)
})
