// An audit of rows that a tiny model would be trained on.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuditRow } from '../../src/report/audit.js'
import { audit, spreadOf } from '../../src/train/audit.js'
import { completeOptions, type TrainInput } from '../../src/train/options.js'
import { prepare } from '../../src/train/prepare.js'
import { tinyPairs, writeRows, writeTinyModel } from './tiny-model.js'

let folder: string
let input: TrainInput
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-audit-'))
  const model = await writeTinyModel(join(folder, 'model'))
  const rows = [
    ...tinyPairs(20),
    tinyPairs(1)[0]!, // a duplicate
    { instruction: '', response: 'The target is missing.' },
    { instruction: 'Say much of 你好.', response: '你好, so much 😀 '.repeat(40), source: 'long' },
    { instruction: 'Say '.repeat(160), response: 'No.' }, // the target alone does not fit
  ]
  const data = await writeRows(join(folder, 'seed.jsonl'), rows)
  input = { model, data, validation: 0.2, skipEmpty: true }
})
afterAll(() => rm(folder, { recursive: true }))

const kept = ({ parts }: AuditRow) => parts.filter(({ kind }) => kind !== 'cut')

describe('an audit', () => {
  for (const task of ['backward', 'forward'] as const) {
    test(`shows the very tokens that ${task} training takes, and which of them it scores`, async () => {
      const all = { row: Array.from({ length: 40 }, (_, row) => String(row)) }
      const options = { ...input, task, validation: 0 }
      const trained = await (await prepare(completeOptions(options), {})).encode({})
      const found = await audit(options, { row: all.row.slice(0, trained.train.length) })
      expect(found.rows.map((row) => kept(row).map(({ id }) => id))).toEqual(
        trained.train.map(({ tokens }) => [...tokens]),
      )
      for (const [index, row] of found.rows.entries()) {
        const { tokens, targetStart, cut, id } = trained.train[index]!
        expect(kept(row).findIndex(({ kind }) => kind === 'scored')).toBe(targetStart)
        expect(
          kept(row)
            .slice(targetStart)
            .every(({ kind }) => kind === 'scored'),
        ).toBe(true)
        expect(row).toMatchObject({ row: index, id, cut, tokens: tokens.length, scored: tokens.length - targetStart })
      }
      const { tokens, scoredTokens, cutRows, cutTokens, train } = trained.counts
      expect(found).toMatchObject({ tokens, scoredTokens, cutRows, cutTokens, train })
    })
  }

  test('takes the same rows for validation as training does', async () => {
    const trained = await (await prepare(completeOptions(input), {})).encode({})
    const found = await audit(input, { row: trained.validation.map(({ id }) => id) })
    expect(trained.validation.length).toBeGreaterThan(0)
    expect(found.validation).toBe(trained.validation.length)
    expect(found.rows.every(({ set }) => set === 'validation')).toBe(true)
    expect(found.rows.map((row) => kept(row).length)).toEqual(trained.validation.map(({ tokens }) => tokens.length))
  })

  test('shows what was cut, where it stood', async () => {
    const { mostCut, rows, cutRows } = await audit({ ...input, validation: 0 }, { row: ['20'] })
    expect(cutRows).toBe(1)
    expect(mostCut).toEqual([expect.objectContaining({ row: 20, source: 'long' })])
    const [{ parts, cut }] = rows as [AuditRow]
    const lost = parts.filter(({ kind }) => kind === 'cut')
    expect(lost.length).toBeGreaterThanOrEqual(cut)
    const text = (tokens: typeof parts) =>
      tokens.map(({ text, form, completes }) => completes ?? (form === 'bytes' ? '' : text)).join('')
    expect(text(lost)).toContain('so much 😀 ')
    expect(text(parts)).toContain('Say much of 你好.<|im_end|>')
    // The cut stands within the context: read, cut, read on, then scored.
    expect(parts.map(({ kind }) => kind).filter((kind, at, all) => kind !== all[at - 1])).toEqual([
      'context',
      'cut',
      'context',
      'scored',
    ])
  })

  test('counts what has no target, and everything that was left out', async () => {
    const found = await audit(input)
    expect(found.rowsWithoutTarget).toBe(0)
    expect(found.leftOutWithoutTarget).toBe(2)
    expect(found.leftOut).toEqual([
      { reason: 'duplicate', count: 1, examples: [expect.stringContaining('seed.jsonl:21')] },
      { reason: 'empty instruction', count: 1, examples: [expect.stringContaining('seed.jsonl:22')] },
      { reason: 'target does not fit into 512 tokens', count: 1, examples: [expect.stringMatching(/^[0-9a-f]{16}$/)] },
    ])
    // Forward, that row has a target; the long response does not fit as one.
    const { leftOut, leftOutWithoutTarget } = await audit({ ...input, task: 'forward' })
    expect(leftOut.map(({ reason }) => reason)).toContain('empty instruction')
    expect(leftOutWithoutTarget).toBe(1)
  })

  test('tells the template that training stores, and what ends a target', async () => {
    const { template } = await prepare(completeOptions(input), {})
    const found = await audit(input)
    expect(found.template).toEqual(template)
    expect(found.ends).toEqual([{ id: 257, text: '<|im_end|>' }])
  })

  test('shows some rows, the same ones each time, others with another seed', async () => {
    const ids = async (seed: number) => (await audit({ ...input, seed }, { rows: 5 })).rows.map(({ row }) => row)
    const first = await ids(0)
    expect(first).toHaveLength(5)
    expect(first).toEqual(first.toSorted((a, b) => a - b))
    expect(await ids(0)).toEqual(first)
    expect(await ids(1)).not.toEqual(first)
    expect((await audit(input, { rows: 0 })).rows).toEqual([])
  })

  test('finds a row by its id, by the beginning of it, and by its number', async () => {
    const [row] = (await audit({ ...input, validation: 0 }, { row: ['3'] })).rows
    expect(row).toMatchObject({ row: 3, set: 'train' })
    const ids = [row!.id, row!.id.slice(0, 8)]
    const found = await audit({ ...input, validation: 0 }, { row: ids })
    expect(found.rows.map(({ row }) => row)).toEqual([3, 3])
    for (const wanted of ['9999', 'ffff', 'abc', row!.id.slice(0, 3)]) {
      await expect(audit(input, { row: [wanted] })).rejects.toMatchObject({ code: 'BT_USAGE' })
    }
  })

  test('compares a validation file with the training rows', async () => {
    const validationData = await writeRows(join(folder, 'held.jsonl'), [
      tinyPairs(4)[3]!,
      { instruction: 'What is unlike all others?', response: 'This is, by far.' },
    ])
    const { overlap, validation } = await audit({ ...input, validationData })
    expect(validation).toBe(2)
    expect(overlap).toMatchObject({ validation: 2, rows: { both: 1, target: 0, context: 0, near: 0 } })
  })

  test('can be stopped', async () => {
    const stop = new AbortController()
    stop.abort()
    await expect(audit(input, {}, { signal: stop.signal })).rejects.toMatchObject({ name: 'AbortError' })
  })
})

test('lengths fall into bins without gaps, each row into one', () => {
  const lengths = Array.from({ length: 500 }, (_, index) => 20 + ((index * 37) % 290))
  const { shortest, median, p95, longest, bins } = spreadOf(lengths)
  expect([shortest, longest]).toEqual([20, 309])
  expect(bins.length).toBeLessThanOrEqual(16)
  expect(bins[0]!.from).toBe(20)
  expect(bins.at(-1)!.to).toBe(309)
  for (const [at, { from }] of bins.entries()) if (at > 0) expect(from).toBe(bins[at - 1]!.to + 1)
  for (const { from, to, rows } of bins) expect(rows).toBe(lengths.filter((n) => n >= from && n <= to).length)
  const sorted = lengths.toSorted((a, b) => a - b)
  expect([median, p95]).toEqual([sorted[249], sorted[474]])
  expect(spreadOf([7])).toEqual({ shortest: 7, median: 7, p95: 7, longest: 7, bins: [{ from: 7, to: 7, rows: 1 }] })
})
