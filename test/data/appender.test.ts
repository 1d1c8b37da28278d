import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { openJsonlAppender, writeJsonFromJsonl } from '../../src/data/appender.js'
import { packBlocks } from '../../src/data/blocks.js'
import { fileWith, folderWith, jsonl } from './fixture.js'

const rows = [
  { id: 'a', text: 'naïve 😀' },
  { id: 'b', text: 'line\nbreak' },
  { id: 'c', text: 'x' },
]

describe('openJsonlAppender', () => {
  test('starts a file, appends in the order of the calls, and goes on where it was', async () => {
    const path = join(await folderWith(), 'deep', 'out.jsonl')
    const first = await openJsonlAppender(path)
    expect([first.rows, first.cutBytes]).toEqual([0, 0])
    await Promise.all([first.append(rows.slice(0, 1)), first.append([]), first.append(rows.slice(1, 2))])
    await first.close()
    const second = await openJsonlAppender(path)
    expect(second.rows).toBe(2)
    await second.append(rows.slice(2))
    await second.close()
    await second.close()
    expect(await readFile(path, 'utf8')).toBe(jsonl(rows))
    await expect(second.append(rows)).rejects.toMatchObject({ code: 'BT_CLOSED' })
  })

  test('wherever a kill cut the file, complete rows stay and the rest goes', async () => {
    const bytes = Buffer.from(jsonl(rows))
    const ends = [...bytes.entries()].filter(([, byte]) => byte === 10).map(([at]) => at + 1)
    const folder = await folderWith()
    for (let length = 0; length <= bytes.length; length++) {
      const path = join(folder, `${length}.jsonl`)
      await writeFile(path, bytes.subarray(0, length))
      const complete = ends.filter((end) => end <= length).length
      const appender = await openJsonlAppender(path)
      expect(appender.rows).toBe(complete)
      expect(appender.cutBytes).toBe(length - (ends[complete - 1] ?? 0))
      await appender.append(rows.slice(complete))
      await appender.close()
      expect(await readFile(path, 'utf8')).toBe(bytes.toString())
    }
  })

  test('NUL bytes that a power cut left are cut off', async () => {
    const path = await fileWith('out.jsonl', Buffer.concat([Buffer.from(jsonl(rows)), Buffer.alloc(64)]))
    const appender = await openJsonlAppender(path)
    expect([appender.rows, appender.cutBytes]).toEqual([3, 64])
    await appender.close()
  })

  test.each([
    ['prose', 'Dear diary,\ntoday\n'],
    ['prose on one line', 'Dear diary'],
    ['a list', '[\n]\n'],
    ['a broken line between good ones', '{"id": 1}\n{"id": \n{"id": 3}\n'],
  ])('a file that is not ours is refused and left as it is: %s', async (_, content) => {
    const path = await fileWith('out.jsonl', content)
    await expect(openJsonlAppender(path)).rejects.toMatchObject({
      code: 'BT_OUTPUT_DAMAGED',
      message: expect.stringContaining(`${path}:`),
    })
    expect(await readFile(path, 'utf8')).toBe(content)
  })
})

describe('a packed output', () => {
  const packedRows = Array.from({ length: 400 }, (_, id) => ({ id, text: `${id} ${'é😀'.repeat(id % 97)}` }))
  const write = async (path: string, list: object[]) => {
    const appender = await openJsonlAppender(path)
    for (const row of list) await appender.append([row])
    await appender.close()
    return appender
  }

  test('is gzip like any other, over all sittings', async () => {
    const path = join(await folderWith(), 'out.jsonl.gz')
    await write(path, packedRows.slice(0, 150))
    expect((await write(path, packedRows.slice(150))).rows).toBe(150)
    expect(gunzipSync(await readFile(path)).toString()).toBe(jsonl(packedRows))
    expect(execFileSync('gzip', ['-dc', path]).toString()).toBe(jsonl(packedRows))
  })

  test('is cut back to its last whole block wherever a kill cut it', async () => {
    const folder = await folderWith()
    const whole = join(folder, 'whole.jsonl.gz')
    const ends = [0]
    for (let at = 0; at < 4; at++) {
      await write(whole, packedRows.slice(at * 5, at * 5 + 5))
      ends.push((await stat(whole)).size)
    }
    const bytes = await readFile(whole)
    for (let length = 0; length <= bytes.length; length += 3) {
      const path = join(folder, `${length}.jsonl.gz`)
      await writeFile(path, bytes.subarray(0, length))
      const blocks = ends.findLastIndex((end) => end <= length)
      const { rows: kept, cutBytes } = await write(path, packedRows.slice(blocks * 5, 20))
      expect([kept, cutBytes]).toEqual([blocks * 5, length - ends[blocks]!])
      expect(gunzipSync(await readFile(path)).toString()).toBe(jsonl(packedRows.slice(0, 20)))
    }
  })

  test('of rows longer than a block is never cut within one', async () => {
    const path = join(await folderWith(), 'out.jsonl.gz')
    const noise = (size: number) => randomBytes(size).toString('base64')
    const long = [{ text: noise(100_000) }, { text: noise(100_000) }]
    await write(path, long)
    const { size } = await stat(path)
    await truncate(path, size - 10)
    expect((await write(path, [])).rows).toBeLessThan(2)
  })

  test.each([
    ['prose', Buffer.from('Dear diary')],
    ['gzip of another kind', gzipSync('{"id": 1}\n')],
    ['packed prose', packBlocks(Buffer.from('Dear diary\n'))],
  ])('a file that is not ours is refused and left as it is: %s', async (_, content) => {
    const path = await fileWith('out.jsonl.gz', content)
    await expect(openJsonlAppender(path)).rejects.toMatchObject({ code: 'BT_OUTPUT_DAMAGED' })
    expect(await readFile(path)).toEqual(content)
  })
})

describe('writeJsonFromJsonl', () => {
  test.each([
    ['no rows', []],
    ['one row', rows.slice(0, 1)],
    ['many rows', rows],
    ['rows over several reads', Array.from({ length: 9000 }, (_, id) => ({ id, text: 'é'.repeat(30) }))],
  ])('%s become one JSON array', async (_, list: object[]) => {
    const folder = await folderWith({ 'log.jsonl': jsonl(list) })
    const path = join(folder, 'out.json')
    await writeJsonFromJsonl(join(folder, 'log.jsonl'), path)
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(list)
  })

  test('a broken line leaves the old file', async () => {
    const folder = await folderWith({ 'log.jsonl': '{"id": 1}\n{"id"\n', 'out.json': '[]\n' })
    await expect(writeJsonFromJsonl(join(folder, 'log.jsonl'), join(folder, 'out.json'))).rejects.toThrow(
      /log\.jsonl:2/,
    )
    expect((await stat(join(folder, 'out.json'))).size).toBe(3)
  })
})
