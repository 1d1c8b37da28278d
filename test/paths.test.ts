import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cacheFolder, homeFolder, packageRoot, plainName } from '../src/paths.js'

describe('the cache folder', () => {
  it('is the one that is named, or lies in the caches of the user', () => {
    expect(cacheFolder({ BT_NATIVE_CACHE: '/c', XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/c')
    expect(cacheFolder({ XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/x/bt-native')
    expect(cacheFolder({ XDG_CACHE_HOME: 'relative', HOME: '/h' })).toBe('/h/.cache/bt-native')
  })
})

describe('where a user has no home', () => {
  it('there is none to be had, and no error', () => {
    const noEntry = () => {
      throw new Error('uv_os_homedir returned ENOENT')
    }
    expect(homeFolder({}, noEntry)).toBeUndefined()
    expect(homeFolder({ HOME: '/h' }, noEntry)).toBe('/h')
  })

  // A user without an entry in passwd, which root alone can become.
  const nobody = { uid: 54321, gid: 54321, env: {}, encoding: 'utf8' } as const
  const ask = (file: string, call: string) => {
    const script = `import(${JSON.stringify(join(packageRoot, 'dist', file))}).then(async (it) => console.log(await it.${call}))`
    return spawnSync(process.execPath, ['-e', script], nobody)
  }
  it.skipIf(process.getuid!() !== 0)('caches lie in the temporary folder', () => {
    expect(ask('paths.js', 'cacheFolder()').stdout.trim()).toBe(join('/tmp', 'bt-native-54321'))
    const hub = ask('models/hub-settings.js', 'hubSettings().then((it) => it.cache)').stdout.trim()
    expect(hub).toBe(join('/tmp', 'bt-native-54321', 'huggingface', 'hub'))
  })
})

it.each([
  ['data/oasst.jsonl.gz', 'oasst'],
  ['org/Model-1B@main', 'Model-1B'],
  ['/models/some model.Q4_1.gguf', 'some-model.Q4_1'],
  ['models/tiny/', 'tiny'],
  ['smollm2-135m', 'smollm2-135m'],
  ['seed.rows.jsonl', 'seed.rows'],
  ['.jsonl', '.jsonl'],
  ['-', 'stdin'],
])('%s is called %s', (path, name) => {
  expect(plainName(path)).toBe(name)
})
