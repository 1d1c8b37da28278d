// Which of this package's native files are taken where there are several.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { findCores, findLoader } from '../../src/native/locate.js'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bt-locate-'))
})

/** Makes empty files and returns the package's folder. */
function files(...paths: string[]): string {
  for (const path of paths) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), '')
  }
  return root
}

const built = (name: string) => `build/Release/${name}`
const packed = (name: string) => `prebuilds/linux-x64/${name}`
const cores = (env: NodeJS.ProcessEnv = {}) => findCores(env, root).map(({ minor, kind }) => `${minor} ${kind}`)

test('what was built here comes before what was packed', () => {
  files(packed('bt-native.glibc.node'))
  expect(findLoader({}, root)).toMatchObject({ kind: 'prebuilt', loader: join(root, packed('bt-native.glibc.node')) })
  files(built('bt_native.node'))
  expect(findLoader({}, root)).toMatchObject({ kind: 'built', loader: join(root, built('bt_native.node')) })
})

test('a core that was built for another torch stands beside the packed ones, newest first', () => {
  files(packed('libbt_core-2.9.so'), packed('libbt_core-2.11.so'), packed('libbt_cuda-2.11.so'))
  expect(cores()).toEqual(['2.11 prebuilt', '2.9 prebuilt'])
  files(built('libbt_core-2.13.so'))
  expect(cores()).toEqual(['2.13 built', '2.11 prebuilt', '2.9 prebuilt'])
  files(built('libbt_core-2.11.so'))
  expect(cores()).toEqual(['2.13 built', '2.11 built', '2.9 prebuilt'])
})

test('BT_NATIVE_ADDON names the one place, and a core lies beside it', () => {
  files(built('bt_native.node'), built('libbt_core-2.11.so'), 'elsewhere/my.node', 'elsewhere/libbt_core-2.12.so')
  const env = { BT_NATIVE_ADDON: join(root, 'elsewhere/my.node') }
  expect(findLoader(env, root)).toEqual({ kind: 'named', loader: join(root, 'elsewhere/my.node') })
  expect(cores(env)).toEqual(['2.12 named'])
  expect(findLoader({ BT_NATIVE_ADDON: join(root, 'nowhere.node') }, root)).toBeUndefined()
})

test('nothing is nothing', () => {
  expect(findLoader({}, root)).toBeUndefined()
  expect(cores()).toEqual([])
})
