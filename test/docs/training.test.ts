import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import type { z } from 'zod'
import { flagOf } from '../../src/cli/flags.js'
import { packageRoot } from '../../src/paths.js'
import { defaultAsk } from '../../src/text/template.js'
import { trainFields, trainSchema } from '../../src/train/options.js'

const text = readFileSync(join(packageRoot, 'docs', 'training.md'), 'utf8')

/** Rows of the tables below "## Options": "| `name` | `--flag` | default | words |", with their heading. */
function documented() {
  const options = text.slice(text.indexOf('\n## Options'), text.indexOf('\n## From a program'))
  return options.split('\n### ').flatMap((section) => {
    const group = section.slice(0, section.indexOf('\n'))
    return section.split('\n').flatMap((line) => {
      const [, name, flag, value] = /^\| `(\w+)` \| `(--[\w-]+)` \| `?([^`|]+?)`? \|.+\|$/.exec(line) ?? []
      return name ? [{ group, name, flag, default: value }] : []
    })
  })
}

test('the tables list every option in the order of the help, with its group, flag and default', () => {
  const defaults = trainSchema.parse({ model: 'm', data: 'd' }) as Record<string, unknown>
  const required = Object.entries(trainFields).filter(([, { schema }]) => !schema.safeParse(undefined).success)
  const expected = Object.entries(trainFields).map(([name, { meta, schema }]) => ({
    group: meta.group.replace(/:$/, ''),
    name,
    flag: flagOf(name),
    default: required.some(([other]) => other === name) ? 'required' : textOf(shortDefault(schema) ?? defaults[name]),
  }))
  expect(documented().map(asTyped)).toEqual(expected.map(asTyped))
})

test('the config file shown is valid and names the schema where it lies', () => {
  const yaml = /```yaml\n([\s\S]+?)```/.exec(text)![1]!
  expect(trainSchema.parse(parse(yaml))).toMatchObject({ learningRate: 5e-4, r: 32, schedule: 'cosine' })
  const schema = /^# yaml-language-server: \$schema=(\S+)/.exec(yaml)![1]!
  expect(existsSync(join(packageRoot, schema))).toBe(true)
})

test('the default ask is the one in the prompts shown', () => {
  expect(text.split(defaultAsk.backward)).toHaveLength(4)
})

/** The word that stands for a default, where it is not the default itself: all-linear. */
function shortDefault(schema: z.ZodType): unknown {
  return schema.def.type === 'prefault' ? (schema as z.ZodPrefault).def.defaultValue : undefined
}

function textOf(value: unknown): string {
  return value === undefined ? 'none' : String(value)
}

/** Numbers compare as numbers: 1e-8 is 0.00000001. */
function asTyped(row: { default?: string | undefined }) {
  const number = Number(row.default)
  return { ...row, default: Number.isNaN(number) ? row.default : number }
}
