import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { cacheKey, codeStamp, readEntry, writeEntry } from '../src/cache.js'

const small = { name: 'things', maxBytes: 4000, maxEntries: 3 }
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-cache-'))
  vi.stubEnv('BT_NATIVE_CACHE', folder)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

const bytes = (text: string) => Buffer.from(text)
const entry = async (key: string) => (await readEntry(small, key))?.toString()
const write = (key: string, text: string) => writeEntry(small, key, [bytes(text)])
const names = async () => (await readdir(join(folder, 'things'))).sort()

test('gives back what was written, laid for typed arrays', async () => {
  await writeEntry(small, 'a', [bytes('one '), bytes('two')])
  const found = (await readEntry(small, 'a'))!
  expect(found.toString()).toBe('one two')
  expect(found.byteOffset % 8).toBe(0)
  expect(await entry('b')).toBeUndefined()
})

describe('a damaged entry is none', () => {
  test.each([
    ['cut short', (all: Buffer) => all.subarray(0, -1)],
    ['cut to nothing', () => Buffer.alloc(0)],
    ['a byte changed', (all: Buffer) => Buffer.concat([all.subarray(0, -1), Buffer.from([all.at(-1)! ^ 1])])],
  ])('%s', async (_, damage) => {
    await write('a', 'text')
    const path = join(folder, 'things', 'a')
    await writeFile(path, damage(await readFile(path)))
    expect(await entry('a')).toBeUndefined()
    await write('a', 'text')
    expect(await entry('a')).toBe('text')
  })
})

describe('what was not used for longest goes first', () => {
  const age = async (key: string, seconds: number) => {
    const time = new Date(Date.now() - seconds * 1000)
    await utimes(join(folder, 'things', key), time, time)
  }
  test('past the number of entries', async () => {
    for (const [index, key] of ['a', 'b', 'c'].entries()) {
      await write(key, key)
      await age(key, 100 - index)
    }
    expect(await entry('a')).toBe('a') // used now
    await write('d', 'd')
    expect(await names()).toEqual(['a', 'c', 'd'])
  })
  test('past the bytes', async () => {
    await write('a', 'x'.repeat(900))
    await age('a', 10)
    await write('b', 'x'.repeat(900))
    for (const key of ['c', 'd']) await writeEntry({ ...small, maxBytes: 2000 }, key, [bytes(key)])
    expect(await names()).toEqual(['b', 'c', 'd'])
  })
})

test('an entry that would push out most others is not kept', async () => {
  await write('a', 'x'.repeat(1000))
  expect(await entry('a')).toBeUndefined()
})

test('what a kill left is removed once it is old', async () => {
  await write('a', 'a')
  for (const name of ['old.tmp', 'new.tmp']) await writeFile(join(folder, 'things', name), '')
  await utimes(join(folder, 'things', 'old.tmp'), 1, 1)
  await write('b', 'b')
  expect(await names()).toEqual(['a', 'b', 'new.tmp'])
})

test('many writers of one entry leave a whole one', async () => {
  const text = 'y'.repeat(900)
  await Promise.all(Array.from({ length: 20 }, () => write('a', text)))
  expect(await entry('a')).toBe(text)
  expect(await names()).toEqual(['a'])
})

test('a cache that cannot be written is left alone', async () => {
  await writeFile(join(folder, 'things'), 'a file where the folder should be')
  await write('a', 'a')
  expect(await entry('a')).toBeUndefined()
})

test('a key tells every part apart, and the code that makes entries', () => {
  const keys = [['a', 'bc'], ['ab', 'c'], ['ab', null], []].map(cacheKey)
  expect(new Set(keys).size).toBe(4)
  expect(codeStamp('text')).toBe(codeStamp('text'))
  expect(codeStamp('text')).not.toBe(codeStamp('data'))
  expect(codeStamp('no such folder')).toMatch(/^[0-9a-f]{32}$/)
})
