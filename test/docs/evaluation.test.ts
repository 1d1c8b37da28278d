import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { flagOf } from '../../src/cli/flags.js'
import { compareFields, compareSchema } from '../../src/compare/options.js'
import { packageRoot } from '../../src/paths.js'

const text = readFileSync(join(packageRoot, 'docs', 'evaluation.md'), 'utf8')

test('every option of compare is there in the order of the help, with its flag, default and words', () => {
  const section = text.slice(text.indexOf('\n## Options of `compare`'))
  const documented = section.split('\n').flatMap((line) => {
    const [, name, flag, value, words] = /^\| `(\w+)` \| `(--[\w-]+)` \| `?([^`|]+?)`? \| (.+) \|$/.exec(line) ?? []
    return name ? [{ name, flag, default: value, words }] : []
  })
  const defaults = compareSchema.parse({ models: ['m'], data: 'd' }) as Record<string, unknown>
  const expected = Object.entries(compareFields).map(([name, { schema }]) => ({
    name,
    flag: flagOf(name),
    default: name === 'models' || name === 'data' ? 'required' : String(defaults[name] ?? 'none'),
    words: schema.description,
  }))
  expect(documented).toEqual(expected)
})
