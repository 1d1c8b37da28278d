import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { packageRoot } from '../../src/paths.js'
import { trainFields, trainJsonSchema } from '../../src/train/options.js'

const path = join(packageRoot, 'docs', 'train.schema.json')

test('docs/train.schema.json is current ("npm run schema" writes it)', async () => {
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(JSON.parse(JSON.stringify(trainJsonSchema())))
})

test('the schema knows every option, with words and defaults, and requires none', () => {
  const schema = trainJsonSchema() as {
    properties: Record<string, { description?: string; default?: unknown }>
    required?: string[]
    additionalProperties: boolean
  }
  expect(schema.required).toBeUndefined()
  expect(schema.additionalProperties).toBe(false)
  for (const name of Object.keys(trainFields)) expect(schema.properties[name]?.description, name).toBeTruthy()
  expect(schema.properties.maxTokens?.default).toBe(512)
})
