import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { resolveOptions as resolve } from '../../src/fields.js'
import { readConfig } from '../../src/train/config.js'
import { type TrainInput, trainSchema } from '../../src/train/options.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-config-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function config(name: string, text: string) {
  const path = join(folder, name)
  await writeFile(path, text)
  return readConfig(path)
}

const needed = { model: 'm', data: 'd.jsonl', output: 'out' }

function resolveOptions(
  given: Partial<TrainInput>,
  ...rest: [Parameters<typeof resolve<typeof trainSchema>>[2]?, ((option: string) => string)?]
) {
  return resolve(trainSchema, given, ...rest)
}

describe('a config file', () => {
  test('gives the same options as YAML and as JSON', async () => {
    const yaml = await config('a.yaml', 'epochs: 2\ntargets: [q_proj, o_proj]\n')
    const json = await config('a.json', '{"$schema": "x.json", "epochs": 2, "targets": ["q_proj", "o_proj"]}')
    expect(resolveOptions(needed, yaml)).toEqual(resolveOptions(needed, json))
    expect(resolveOptions(needed, yaml)).toMatchObject({ epochs: 2, targets: ['q_proj', 'o_proj'], r: 16 })
  })

  test('that is empty, or all comments, gives nothing', async () => {
    expect((await config('a.yaml', '')).values).toEqual({})
    expect((await config('b.yaml', '# epochs: 2\n')).values).toEqual({})
  })

  test('is overridden by flags, option by option', async () => {
    const file = await config('a.yaml', 'epochs: 2\nseed: 7\nmodel: other\n')
    expect(resolveOptions({ ...needed, epochs: 4, seed: undefined }, file)).toMatchObject({
      epochs: 4,
      seed: 7,
      model: 'm',
    })
  })

  test('refuses an unknown option with its line and the likely one', async () => {
    const path = join(folder, 'a.yaml')
    await writeFile(path, '# mine\nepochs: 2\nlearning_rate: 0.1\n')
    await expect(readConfig(path)).rejects.toMatchObject({
      code: 'BT_CONFIG',
      message: `${path}:3: there is no option "learning_rate"`,
      remedy: 'Did you mean learningRate?',
    })
  })

  test('a wrong value is reported with file and line', async () => {
    const file = await config('a.yaml', 'seed: 1\nepochs: many\n')
    expect(() => resolveOptions(needed, file)).toThrow(/a\.yaml:2: epochs: .*number/)
  })

  test('text that is no YAML is reported with its line', async () => {
    await expect(config('a.yaml', 'epochs: 1\nseed: [1\n')).rejects.toMatchObject({
      code: 'BT_CONFIG',
      message: expect.stringMatching(/a\.yaml:\d+: /),
    })
  })

  test('one that does not exist is named', async () => {
    await expect(readConfig(join(folder, 'absent.yaml'))).rejects.toMatchObject({ code: 'BT_CONFIG' })
  })
})

describe('options', () => {
  test('all-linear stands for the seven projections', () => {
    expect(resolveOptions({ ...needed, targets: 'all-linear' }).targets).toHaveLength(7)
  })

  test('a missing one is named as the caller writes it', () => {
    expect(() => resolveOptions({ model: 'm' }, undefined, (name) => `--${name}`)).toThrow(
      expect.objectContaining({ code: 'BT_USAGE', message: '--data is missing' }),
    )
  })

  test('a projection that does not exist is named with those that do', () => {
    const wrong = { ...needed, targets: ['q_proj', 'w_proj'] } as never
    expect(() => resolveOptions(wrong)).toThrow(/targets: .*"q_proj"\|.*"down_proj"/)
  })

  test('an unknown one is refused with the likely one', () => {
    expect(() => resolveOptions({ ...needed, learning_rate: 1 } as never)).toThrow(
      expect.objectContaining({ code: 'BT_USAGE', remedy: 'Did you mean learningRate?' }),
    )
  })
})
