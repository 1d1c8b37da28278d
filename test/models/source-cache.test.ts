// A .gguf file that was opened before: the same source without reading its header again, as long as the file is the same.
import { cp, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gguf } from '@huggingface/gguf'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openModel } from '../../src/models/open.js'

vi.mock('@huggingface/gguf', { spy: true })

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/models/${name}.gguf`, import.meta.url))

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-headers-'))
  vi.stubEnv('BT_NATIVE_CACHE', join(folder, 'cache'))
  file = join(folder, 'model.gguf')
  await cp(fixture('llama'), file)
  vi.mocked(gguf).mockClear()
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

const reads = () => vi.mocked(gguf).mock.calls.length

test('gives the same source, named as it is asked for now', async () => {
  const first = await openModel(file)
  const second = await openModel(file)
  expect(second).toEqual(JSON.parse(JSON.stringify(first)))
  expect(second.tokenizer.json).toBe(first.tokenizer.json)
  expect(reads()).toBe(1)
})

test('is read anew when another file takes its place, or it is written in', async () => {
  const first = await openModel(file)
  await rm(file)
  await cp(fixture('qwen2'), file)
  expect((await openModel(file)).config.family).toBe('qwen2')
  const bytes = await readFile(file)
  const { tensors } = await openModel(file)
  bytes[tensors[0]!.offset]! ^= 1
  await writeFile(file, bytes)
  await utimes(file, 1, 1)
  expect((await openModel(file)).hash).not.toBe(first.hash)
  expect(reads()).toBe(3)
})

test('is read anew when the cache is damaged', async () => {
  const first = await openModel(file)
  const headers = join(folder, 'cache', 'headers')
  const [name] = await readdir(headers)
  await writeFile(join(headers, name!), 'damaged')
  expect(await openModel(file)).toEqual(first)
  expect(await openModel(file)).toEqual(JSON.parse(JSON.stringify(first)))
  expect(reads()).toBe(2)
})
