// The loop around the sampler: order, guard, best of n, and how it waits. The sampler is a fake; run.test.ts has the real one.
import { describe, expect, test } from 'vitest'
import type { PackedBatch } from '../../binding.js'
import { type Fault, faultNames } from '../../src/generate/guard.js'
import { sampleRows } from '../../src/generate/sample.js'
import type { GeneratedRow } from '../../src/generate/types.js'
import { evaluate } from '../../src/metrics/evaluate.js'
import { LeakFinder } from '../../src/metrics/health.js'
import { contextOf, decode, FakeSampler, rowsOf, type Written } from './fake-sampler.js'

const ask = 'Write the message that this reply answers.'
const guarded = (retries: number, faults: readonly Fault[] = faultNames) => ({
  guard: { faults, retries, task: 'backward' as const, leaks: new LeakFinder([ask]) },
})
const reply =
  'The kettle boils when the water in it has come to a hundred degrees at sea level, and later where you are high up.'
const faulty: Record<Fault, Written> = {
  copy: { text: 'Say: the water in it has come to a hundred degrees at sea level, and later where you are.' },
  leak: { text: `### Instruction: ${ask}` },
  loop: { text: 'why does it boil '.repeat(6) },
  end: { text: 'Why does a', reason: 'length' },
  empty: { text: ' ' },
}
const clean: Written = { text: 'Why does it boil?' }

async function all(rows: AsyncIterable<GeneratedRow>): Promise<GeneratedRow[]> {
  const list: GeneratedRow[] = []
  for await (const row of rows) list.push(row)
  return list
}

test('rows come in the order of the input whatever is finished first, equal texts are written once', async () => {
  const sampler = new FakeSampler((_, given) => ({ text: `of ${given}` }), 3)
  const texts = ['a', 'b', 'c', 'a', 'd', 'e', 'f', 'b', 'g', 'h', 'i']
  const rows = await all(sampleRows(rowsOf(...texts), contextOf(sampler, { window: 6 })))
  expect(rows.map(({ instruction }) => instruction)).toEqual(texts.map((text) => `of ${text}`))
  expect(sampler.prompts.length).toBeLessThan(texts.length)
})

test('who reads slowly holds the sampler: nothing is computed or read between two rows', async () => {
  const sampler = new FakeSampler(() => clean, 1)
  let read = 0
  async function* endless() {
    for (let index = 0; ; index++) {
      read++
      yield { index, id: `${index}`, text: `text ${index}` }
    }
  }
  const rows = sampleRows(endless(), contextOf(sampler, { window: 4 }))
  for (let row = 1; row <= 20; row++) {
    await rows.next()
    const before = [sampler.advances, read]
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect([sampler.advances, read]).toEqual(before)
    expect(sampler.advances).toBeLessThanOrEqual(row + 4)
    expect(read).toBeLessThanOrEqual(row + 5)
  }
  await rows.return(undefined)
})

test('a stop text ends the text before it, at the first one', async () => {
  const sampler = new FakeSampler(() => ({ text: 'Why?\n\nAnswer: because END' }))
  const [row] = await all(sampleRows(rowsOf('x'), contextOf(sampler, { stop: ['END', '\n\n'] })))
  expect(row).toMatchObject({ instruction: 'Why?', finish: 'stop' })
})

test('log-probabilities of the tokens are a column on request', async () => {
  const sampler = () => new FakeSampler(() => ({ text: 'ab', logProb: -0.25 }))
  const [row] = await all(sampleRows(rowsOf('x'), contextOf(sampler(), { logProbs: true })))
  expect(row!.logProbs).toEqual([-0.25, -0.25, -0.25])
  expect((await all(sampleRows(rowsOf('x'), contextOf(sampler()))))[0]).not.toHaveProperty('logProbs')
})

describe('the guard', () => {
  test.each(faultNames)('writes a text with the fault "%s" again, under another number', async (fault) => {
    const sampler = new FakeSampler((_, __, before) => (before < 2 ? faulty[fault] : clean))
    const [row] = await all(sampleRows(rowsOf(reply), contextOf(sampler, guarded(5))))
    expect(row).toMatchObject({ instruction: clean.text, attempt: 2 })
    expect(row).not.toHaveProperty('guard')
    expect(new Set(sampler.prompts.map(({ id }) => id)).size).toBe(3)
  })

  test.each(faultNames)(
    'marks "%s" in the row when no attempt is without it, and evaluation finds the same',
    async (fault) => {
      const sampler = new FakeSampler(() => faulty[fault])
      const [row] = await all(sampleRows(rowsOf(reply), contextOf(sampler, guarded(3))))
      expect(row!.guard).toContain(fault)
      expect(sampler.prompts).toHaveLength(4)
      const { metrics } = evaluate([{ ...row!, prediction: row!.instruction }], { asks: [ask], bootstrap: 0 })
      const names = { copy: 'longCopies', leak: 'leaks', loop: 'loops', end: 'missingEnd', empty: 'empty' } as const
      for (const name of faultNames)
        expect([name, metrics[names[name]]!.value]).toEqual([name, row!.guard!.includes(name) ? 100 : 0])
    },
  )

  test('keeps the attempt with the fewest faults, and of those the first', async () => {
    const attempts = [{ ...faulty.leak, reason: 'length' as const }, faulty.end, faulty.copy]
    const sampler = new FakeSampler((_, __, before) => attempts[before]!)
    const [row] = await all(sampleRows(rowsOf(reply), contextOf(sampler, guarded(2))))
    expect(row).toMatchObject({ instruction: faulty.end.text, attempt: 1, guard: ['end'] })
  })

  test('writes again what the same side has said before, not what the other side has', async () => {
    const exchanges = [{ instruction: 'Why does it boil?', response: 'Since it is hot.' }]
    const said = ['why does it boil', 'Since it is hot.']
    const sampler = new FakeSampler((_, __, before) => ({ text: said[before]! }))
    const rows = async function* () {
      yield { index: 0, id: '0', text: reply, exchanges }
    }
    const [row] = await all(sampleRows(rows(), contextOf(sampler, guarded(3))))
    expect(row).toMatchObject({ instruction: 'Since it is hot.', attempt: 1 })
    expect(row).not.toHaveProperty('guard')
  })

  test('looks for the faults that it is told alone', async () => {
    const sampler = new FakeSampler(() => faulty.copy)
    const [row] = await all(sampleRows(rowsOf(reply), contextOf(sampler, guarded(3, ['loop', 'end']))))
    expect(row).not.toHaveProperty('guard')
    expect(sampler.prompts).toHaveLength(1)
  })

  test('samples what was written greedily, and makes the same attempts whoever stands beside it', async () => {
    const runs = await Promise.all(
      [[reply], ['other', reply, 'third']].map(async (texts) => {
        const sampler = new FakeSampler((_, given, before) => (given === reply && before < 2 ? faulty.loop : clean))
        await all(sampleRows(rowsOf(...texts), contextOf(sampler, { ...guarded(5), retryTemperature: 0.6 })))
        return sampler.prompts.filter(({ tokens }) => decode(tokens) === reply)
      }),
    )
    expect(runs[0]!.map(({ temperature }) => temperature)).toEqual([
      undefined,
      expect.closeTo(0.2),
      expect.closeTo(0.4),
    ])
    expect(runs[1]!.map(({ id }) => id)).toEqual(runs[0]!.map(({ id }) => id))
  })
})

describe('best of n', () => {
  const texts = ['short', 'a longer one', 'the longest of them all']
  const pick = (_: unknown, __: string, before: number): Written => ({
    text: texts[before]!,
    logProb: [-0.2, -0.5, -0.6][before]!,
  })
  const blankPrompt = Int32Array.of(1, 2)
  const ranking = (by: 'pmi' | 'likelihood', blank: number[], seen: PackedBatch[] = []) => ({
    by,
    blankPrompt: async () => blankPrompt,
    endToken: 3,
    score: async (batch: PackedBatch) => {
      seen.push(batch)
      return Float32Array.from(
        Array.from(blank.keys()).flatMap((row) => {
          const tokens = batch.cuSeqlens[row + 1]! - batch.cuSeqlens[row]! - blankPrompt.length
          return Array(tokens).fill(blank[row]) as number[]
        }),
      )
    },
  })

  test('by likelihood takes the highest log p(y|x) a token', async () => {
    const sampler = new FakeSampler(pick)
    const context = contextOf(sampler, { n: 3, ranking: ranking('likelihood', []), keepCandidates: true })
    const [row] = await all(sampleRows(rowsOf('x'), context))
    expect(row).toMatchObject({ instruction: 'short', score: -0.2 })
    expect(row!.candidates!.map(({ text, score }) => [text, score])).toEqual([
      ['short', -0.2],
      ['a longer one', -0.5],
      ['the longest of them all', -0.6],
    ])
    expect(new Set(sampler.prompts.map(({ id }) => id)).size).toBe(3)
  })

  test('by PMI takes the highest log p(y|x) - log p(y), the latter after the prompt without the text', async () => {
    const seen: PackedBatch[] = []
    const context = contextOf(new FakeSampler(pick), { n: 3, ranking: ranking('pmi', [-0.1, -3, -1], seen) })
    const [row] = await all(sampleRows(rowsOf('x'), context))
    // The text and its end token: 12 + 1 letters of -0.5 against -3 each.
    expect(row).toMatchObject({ instruction: 'a longer one', score: 32.5 })
    expect(row).not.toHaveProperty('candidates')
    expect(seen).toHaveLength(1)
    const [batch] = seen
    expect([...batch!.tokens.subarray(0, 8)]).toEqual([1, 2, ...Buffer.from('short'), 3])
    expect(batch!.scored).toHaveLength(6 + 13 + 24)
  })

  test('takes a clean candidate before one with a fault', async () => {
    const write = (_: unknown, __: string, before: number): Written =>
      before % 2 === 0 ? { ...faulty.loop, logProb: -0.01 } : { ...clean, logProb: -5 }
    const context = contextOf(new FakeSampler(write), { n: 2, ranking: ranking('likelihood', []), ...guarded(0) })
    expect((await all(sampleRows(rowsOf(reply), context)))[0]).toMatchObject({ instruction: clean.text })
  })
})
