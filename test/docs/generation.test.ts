import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { flagOf } from '../../src/cli/flags.js'
import { curateFields, curateSchema } from '../../src/curate/options.js'
import { scoreNames } from '../../src/curate/types.js'
import { converseFields, converseSchema } from '../../src/generate/converse-options.js'
import { faultNames } from '../../src/generate/guard.js'
import { generateFields, generateSchema } from '../../src/generate/options.js'
import { scoreFields, scoreSchema } from '../../src/generate/score-options.js'
import { packageRoot } from '../../src/paths.js'
import { recipeSchema } from '../../src/pipeline/recipe.js'
import { rewriteFields, rewriteSchema } from '../../src/rewrite/options.js'

const read = (name: string) => readFileSync(join(packageRoot, 'docs', name), 'utf8')
const text = read('generation.md')

/** Rows of the table below a heading: "| `name` | `--flag` | default | words |". */
function documented(file: string, heading: string) {
  const whole = read(file)
  const section = whole.slice(whole.indexOf(`\n## ${heading}`) + 4).split('\n## ')[0]!
  return section.split('\n').flatMap((line) => {
    const [, name, flag, value] = /^\| `(\w+)` \| `(--[\w-]+)` \| `?([^`|]+?)`? \|.+\|$/.exec(line) ?? []
    return name ? [{ name, flag, default: value }] : []
  })
}

test.each([
  ['generation.md', 'Options of `generate`', generateFields, generateSchema.parse({ input: 'i' })],
  ['generation.md', 'Options of `converse`', converseFields, converseSchema.parse({ input: 'i' })],
  ['generation.md', 'Options of `score`', scoreFields, scoreSchema.parse({ input: 'i' })],
  ['curation.md', 'Options', curateFields, curateSchema.parse({ input: 'i' })],
  ['rewriting.md', 'Options', rewriteFields, rewriteSchema.parse({ input: 'i' })],
] as const)(
  '%s, %s: every option in the order of the help, with its flag and default',
  (file, heading, fields, defaults) => {
    const expected = Object.keys(fields).map((name) => {
      const value = (defaults as Record<string, unknown>)[name]
      return { name, flag: flagOf(name), default: name === 'input' ? 'required' : String(value ?? 'none') }
    })
    expect(documented(file, heading)).toEqual(expected)
  },
)

test('every option of a recipe is listed, and every score of curation', () => {
  const loop = read('pipeline.md')
  const { seed, corpus: _, ...rest } = recipeSchema.shape
  for (const name of Object.keys(rest)) expect(loop).toContain(`\n| \`${name}\` | `)
  for (const name of Object.keys(seed.shape)) expect(loop).toContain(`\n| \`seed.${name}\` | `)
  const curation = read('curation.md')
  for (const name of scoreNames) expect(curation).toContain(`\n| \`${name}\` | `)
})

test('each fault that the guard looks for is explained', () => {
  for (const name of faultNames) expect(text).toContain(`\n| \`${name}\` | `)
})
