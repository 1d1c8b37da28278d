// Hostile input to every command that reads rows: what it does with a line of ten megabytes, NUL bytes, invalid UTF-8, an empty
// file, a folder in place of a file, many rows, and a file that somebody writes to while it is read.
import { appendFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readCandidates } from '../../src/curate/rows.js'
import { loadPairs } from '../../src/data/load.js'
import { writeParquetFromJsonl } from '../../src/data/parquet-write.js'
import { preprocess } from '../../src/data/preprocess.js'
import type { DropCount } from '../../src/data/types.js'
import { writeDataset } from '../../src/dataset/write.js'
import { readInput } from '../../src/generate/input.js'
import { scoreSchema } from '../../src/generate/score-options.js'
import { readScorable } from '../../src/generate/score-rows.js'
import { readEvaluation } from '../../src/metrics/predictions.js'
import { prepareCorpus } from '../../src/segment/run.js'
import { fileWith, folderWith, jsonl } from './fixture.js'

interface Read {
  rows: number
  malformed: number
}

const malformedIn = (dropped: readonly DropCount[]) => dropped.find(({ reason }) => reason === 'malformed')?.count ?? 0

/** Reads rows one at a time as a run does. `between` is called after the first. */
async function drain(
  { rows, dropped }: { rows: AsyncIterable<unknown>; dropped(): DropCount[] },
  between?: () => Promise<void>,
) {
  let count = 0
  for await (const _ of rows) if (++count === 1) await between?.()
  return { rows: count, malformed: malformedIn(dropped()) }
}

/** What each command reads its rows with. */
const readers: Record<string, (path: string, between?: () => Promise<void>) => Promise<Read>> = {
  preprocess: async (path) => {
    const report = await preprocess({ inputs: [path], output: join(await folderWith(), 'out.jsonl') })
    return { rows: report.kept, malformed: malformedIn(report.dropped) }
  },
  segment: async (path) => {
    const prepared = await prepareCorpus({ input: [path], minCharacters: 1, nearDuplicates: 'off' })
    await prepared.close()
    return { rows: prepared.summary.documents, malformed: malformedIn(prepared.summary.dropped) }
  },
  train: async (path) => {
    const { rows, dropped } = await loadPairs(path)
    return { rows: rows.length, malformed: malformedIn(dropped) }
  },
  generate: (path, between) => drain(readInput({ input: path, task: 'backward' }), between),
  score: (path, between) => drain(readScorable(scoreSchema.parse({ input: path })), between),
  evaluate: async (path) => {
    const { rows, dropped } = await readEvaluation({ predictions: [path], task: 'backward' })
    return { rows: rows.length, malformed: malformedIn(dropped) }
  },
  curate: (path, between) => drain(readCandidates(path, {}), between),
  dataset: async (path) => {
    const summary = await writeDataset({ input: [path], output: await folderWith(), samples: 0 })
    return { rows: summary.rows, malformed: malformedIn(summary.dropped) }
  },
}

const row = (at: number) => ({
  id: `r${at}`,
  instruction: `What is ${at}?`,
  response: `It is ${at}.`,
  reference: 'What?',
})

const hostile: [what: string, line: Uint8Array | string][] = [
  ['a line of ten megabytes', JSON.stringify({ ...row(1), response: 'x'.repeat(10_000_000) })],
  ['a NUL byte', JSON.stringify(row(1)).replace('It', 'I\u0000t')],
  ['invalid UTF-8', Buffer.from(JSON.stringify(row(1)).replace('It', 'I\u00fft'), 'latin1')],
  ['half of a surrogate pair', JSON.stringify(row(1)).replace('It', '\\ud83d')],
  ['a line that is cut off', JSON.stringify(row(1)).slice(0, -8)],
]

describe.each(Object.entries(readers))('%s', (_, read) => {
  test.each(hostile)('counts %s and goes on with the next line', async (_what, line) => {
    const file = await fileWith(
      'rows.jsonl',
      Buffer.concat([Buffer.from(jsonl([row(0)])), Buffer.from(line), Buffer.from(`\n${jsonl([row(2)])}`)]),
    )
    expect(await read(file)).toEqual({ rows: 2, malformed: 1 })
  })

  test('names an empty file', async () => {
    const file = await fileWith('rows.jsonl', '')
    await expect(read(file)).rejects.toMatchObject({ code: 'BT_DATA_EMPTY', message: expect.stringContaining(file) })
  })

  test('names a folder in place of a file, or one without a file', async () => {
    const folder = join(await folderWith(), 'rows.jsonl')
    await mkdir(folder)
    await expect(read(folder)).rejects.toMatchObject({
      code: expect.stringMatching(/^BT_DATA_(FILE|EMPTY)$/),
      message: expect.stringContaining(folder),
    })
  })

  test('reads many rows', async () => {
    // A tenth of a million; docs/performance.md has the time and memory of a million.
    const file = await fileWith('rows.jsonl', jsonl(Array.from({ length: 100_000 }, (_, at) => row(at))))
    expect(await read(file)).toEqual({ rows: 100_000, malformed: 0 })
  }, 60_000)
})

describe('a file that somebody writes to while it is read is told at its end', () => {
  const many = jsonl(Array.from({ length: 20_000 }, (_, at) => row(at)))

  test.each(['generate', 'score', 'curate'])('%s', async (name) => {
    const file = await fileWith('rows.jsonl', many)
    await expect(readers[name]!(file, () => appendFile(file, jsonl([row(-1)])))).rejects.toMatchObject({
      code: 'BT_INPUT_CHANGED',
      message: `${file}: the file changed while it was read`,
    })
  })

  test.each(['preprocess', 'segment', 'train', 'evaluate', 'dataset'])('%s', async (name) => {
    // These read without a pause: another writes a line again and again until they are done.
    const file = await fileWith('rows.jsonl', many)
    let goes = true
    const writing = (async () => {
      while (goes) {
        await appendFile(file, jsonl([row(-1)]))
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    })()
    try {
      await expect(readers[name]!(file)).rejects.toMatchObject({ code: 'BT_INPUT_CHANGED' })
    } finally {
      goes = false
      await writing
    }
  })

  test('Parquet too', async () => {
    const folder = await folderWith({ 'rows.jsonl': jsonl([row(0), row(1)]) })
    const file = join(folder, 'rows.parquet')
    const types = { id: 'VARCHAR', instruction: 'VARCHAR', response: 'VARCHAR', reference: 'VARCHAR' }
    await writeParquetFromJsonl(join(folder, 'rows.jsonl'), file, types)
    await expect(readers.generate!(file, () => appendFile(file, 'x'))).rejects.toMatchObject({
      code: 'BT_INPUT_CHANGED',
    })
  })

  test('one that is replaced by another is read as it was', async () => {
    const folder = await folderWith({ 'rows.jsonl': many, other: jsonl([row(0)]) })
    const { rename } = await import('node:fs/promises')
    const read = await readers.generate!(join(folder, 'rows.jsonl'), () =>
      rename(join(folder, 'other'), join(folder, 'rows.jsonl')),
    )
    expect(read.rows).toBe(20_000)
    await writeFile(join(folder, 'rows.jsonl'), '')
  })
})
