// Which file and column a prediction, its text and its true text come from.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { readEvaluation } from '../../src/metrics/predictions.js'

const folder = mkdtempSync(join(tmpdir(), 'bt-predictions-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, rows: object[] | string): string {
  const path = join(folder, name)
  const text = typeof rows === 'string' ? rows : rows.map((row) => `${JSON.stringify(row)}\n`).join('')
  writeFileSync(path, name.endsWith('.gz') ? gzipSync(text) : text)
  return path
}

const generated = [
  {
    id: 'a',
    instruction: 'written a',
    response: 'text a',
    reference: 'true a',
    finish: 'stop',
    tokens: 3,
    source: 's',
  },
  { id: 'b', instruction: 'written b', response: 'text b', reference: 'true b', finish: 'length', tokens: 3 },
]
const bare = generated.map(({ reference: _, ...row }) => row)
const truths = [
  { id: 'b', instruction: 'true b', response: 'text b' },
  { id: 'a', instruction: 'true a', response: 'text a' },
]
const pick = (rows: { prediction: string; reference?: string; response?: string }[]) =>
  rows.map(({ prediction, reference, response }) => [prediction, reference, response])
const wanted = [
  ['written a', 'true a', 'text a'],
  ['written b', 'true b', 'text b'],
]

describe('what generate writes', () => {
  test.each(['rows.jsonl', 'rows.jsonl.gz'])('is read from %s', async (name) => {
    const { rows, joined } = await readEvaluation({ predictions: [file(name, generated)] })
    expect(pick(rows)).toEqual(wanted)
    expect(joined).toBe('own')
    expect(rows.map(({ finish, source }) => [finish, source])).toEqual([
      ['stop', 's'],
      ['length', undefined],
    ])
  })
  test('is read from a JSON array, and several files make one set', async () => {
    const array = file('rows.json', JSON.stringify(generated))
    const { rows } = await readEvaluation({ predictions: [array, file('more.jsonl', bare)] })
    expect(pick(rows)).toEqual([...wanted, ['written a', undefined, 'text a'], ['written b', undefined, 'text b']])
  })
  test('of a forward model is the response', async () => {
    const path = file('forward.jsonl', [
      { instruction: 'asked', response: 'written', reference: 'true', finish: 'stop' },
    ])
    const { rows } = await readEvaluation({ predictions: [path], task: 'forward' })
    expect(pick(rows)).toEqual([['written', 'true', 'asked']])
  })
})

describe('true texts of another file', () => {
  test('are joined by id, whatever the order', async () => {
    const predictions = [file('bare.jsonl', bare)]
    const { rows, joined } = await readEvaluation({ predictions, references: file('truths.jsonl', truths) })
    expect(joined).toBe('id')
    expect(pick(rows)).toEqual(wanted)
  })
  test('are joined by the text that was given where ids differ', async () => {
    const others = truths.map((row) => ({ ...row, id: `x${row.id}`, response: `${row.response} \r\n` }))
    const { rows, joined } = await readEvaluation({
      predictions: [file('bare.jsonl', bare)],
      references: file('others.jsonl', others),
    })
    expect(joined).toBe('text')
    expect(pick(rows)).toEqual(wanted)
  })
  test('are joined by order where there is nothing else', async () => {
    const { rows, joined } = await readEvaluation({
      predictions: [file('outputs.jsonl', [{ generated: 'written a' }, { generated: 'written b' }])],
      references: file('ordered.jsonl', [{ q: 'true a' }, { q: 'true b' }]),
      columns: { reference: 'q' },
    })
    expect(joined).toBe('order')
    expect(pick(rows)).toEqual([
      ['written a', 'true a', undefined],
      ['written b', 'true b', undefined],
    ])
  })
  test('are refused where the order contradicts the texts, or the numbers differ', async () => {
    const predictions = [file('bare.jsonl', bare)]
    const swapped = [
      { instruction: 'true b', response: 'text c' },
      { instruction: 'true a', response: 'text a' },
    ]
    await expect(readEvaluation({ predictions, references: file('swapped.jsonl', swapped) })).rejects.toMatchObject({
      code: 'BT_REFERENCES',
      message: expect.stringContaining('bare.jsonl:1'),
    })
    await expect(
      readEvaluation({ predictions, references: file('one.jsonl', swapped.slice(1)) }),
    ).rejects.toMatchObject({ code: 'BT_REFERENCES', message: expect.stringContaining('bare.jsonl:2') })
  })
})

test('columns are named where they have other names, and a missing one is an error that names its line', async () => {
  const path = file('named.jsonl', [{ out: 'written', gold: 'true', doc: 'text' }])
  const columns = { prediction: 'out', reference: 'gold', response: 'doc' }
  expect(pick((await readEvaluation({ predictions: [path], columns })).rows)).toEqual([['written', 'true', 'text']])
  await expect(readEvaluation({ predictions: [path] })).rejects.toMatchObject({
    code: 'BT_DATA_COLUMN',
    message: expect.stringMatching(/named\.jsonl:1: .*columns here: out, gold, doc/),
  })
  await expect(
    readEvaluation({ predictions: [path], columns: { ...columns, reference: 'none' } }),
  ).rejects.toMatchObject({ code: 'BT_DATA_COLUMN', message: expect.stringContaining('named.jsonl:1') })
})

test('unreadable lines are counted, not lost in silence', async () => {
  const path = file('broken.jsonl', `${JSON.stringify(generated[0])}\n{"id": "b", "instr\n`)
  const { rows, dropped } = await readEvaluation({ predictions: [path] })
  expect(rows).toHaveLength(1)
  expect(dropped).toMatchObject([{ count: 1, examples: [expect.stringContaining('broken.jsonl:2')] }])
})
