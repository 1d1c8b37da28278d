import { expect, test } from 'vitest'
import { loadPairs } from '../../src/data/load.js'
import { fileWith, fixture, jsonl } from './fixture.js'

test('rows in file order, without empty and repeated ones, each counted', async () => {
  const pair = (instruction: string, response: string) => ({ instruction, response })
  const path = await fileWith(
    'in.jsonl',
    `${jsonl([pair('b', '1'), pair('a', '2'), pair(' b', '1 '), pair('', 'x')])}{`,
  )
  const { rows, dropped, format } = await loadPairs(path)
  expect(rows.map(({ instruction, response }) => [instruction, response])).toEqual([
    ['b', '1'],
    ['a', '2'],
  ])
  expect(dropped).toEqual([
    { reason: 'duplicate', count: 1, examples: [`${path}:3 (same as ${path}:1)`] },
    { reason: 'empty instruction', count: 1, examples: [`${path}:4`] },
    { reason: 'malformed', count: 1, examples: [`${path}:5`] },
  ])
  expect(format).toBe('instruction/response')
  expect((await loadPairs(path, { keepDuplicates: true })).rows).toHaveLength(3)
})

test('a file whose rows are all left out is an error with the reasons', async () => {
  const path = await fileWith('in.jsonl', jsonl([{ instruction: '', response: 'x' }]))
  await expect(loadPairs(path)).rejects.toMatchObject({
    code: 'BT_DATA_EMPTY',
    message: `${path}: no row is left; left out: 1 empty instruction (${path}:1)`,
  })
})

test('strict stops at the first unreadable line', async () => {
  const path = await fileWith('in.jsonl', `${jsonl([{ instruction: 'a', response: 'b' }])}nonsense\n`)
  await expect(loadPairs(path, { strict: true })).rejects.toMatchObject({ code: 'BT_DATA_MALFORMED' })
  expect((await loadPairs(fixture('lima.jsonl'))).rows).toHaveLength(4)
})
