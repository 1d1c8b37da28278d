// Rows counted without reading them: as many as readers find where nothing is malformed.
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeParquetFromJsonl } from '../../src/data/parquet-write.js'
import { countRows, RowCount } from '../../src/data/row-count.js'
import { fileWith, folderWith } from './fixture.js'

const line = (at: number) => JSON.stringify({ text: `row ${at}` })
const lines = (count: number) => Array.from({ length: count }, (_, at) => line(at)).join('\n')

test('lines that hold something are counted, the last one with or without its end', async () => {
  expect(await countRows(await fileWith('a.jsonl', lines(3)))).toBe(3)
  expect(await countRows(await fileWith('a.jsonl', `${lines(3)}\n`))).toBe(3)
  expect(await countRows(await fileWith('a.jsonl', `\n${line(1)}\n\n  \r\n${line(2)}\n\n`))).toBe(2)
  expect(await countRows(await fileWith('a.jsonl', `\ufeff${lines(2)}`))).toBe(2)
})

test('a line may be longer than what is looked at at once', async () => {
  const long = JSON.stringify({ text: 'x'.repeat(3_000_000) })
  expect(await countRows(await fileWith('a.jsonl', `${long}\n${line(1)}\n${long}`))).toBe(3)
})

test('counting stops at the limit', async () => {
  expect(await countRows(await fileWith('a.jsonl', lines(30)), 7)).toBe(7)
  expect(await countRows(await fileWith('a.jsonl', lines(3)), 7)).toBe(3)
})

test('a Parquet file tells its rows; an array and a text do not', async () => {
  const folder = await folderWith({ 'rows.jsonl': lines(5) })
  const parquet = join(folder, 'rows.parquet')
  await writeParquetFromJsonl(join(folder, 'rows.jsonl'), parquet, { text: 'VARCHAR' })
  expect(await countRows(parquet)).toBe(5)
  expect(await countRows(await fileWith('a.json', `[${line(1)}]`))).toBeUndefined()
  expect(await countRows(await fileWith('a.txt', 'Text.\nText.'))).toBeUndefined()
})

test('until it is known the limit stands, and a file that is not there is not its affair', async () => {
  const count = new RowCount(await fileWith('a.jsonl', lines(30)), 50)
  expect(count.total).toBe(50)
  await expect.poll(() => count.total).toBe(30)
  expect(new RowCount('nowhere.jsonl', undefined).total).toBeUndefined()
  expect(new RowCount('-', undefined).total).toBeUndefined()
})
