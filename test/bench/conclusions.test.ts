// What the benchmark says of its numbers, and how its tables get into the docs.
import { describe, expect, test } from 'vitest'
import { replaceTable } from '../../bench/docs.mjs'
import { shortCommand } from '../../bench/format.mjs'
import { readOptions } from '../../bench/options.mjs'
import { conclusions } from '../../bench/train.mjs'

const measured = (rates: number[], peakBytes: number, losses: number[]) => ({
  rates,
  tokensPerSecond: rates.toSorted((a, b) => a - b)[rates.length >> 1]!,
  peakBytes,
  losses,
  openSeconds: 2,
  warmUpSeconds: 40,
})

const three = () => ({
  fused: measured([300, 900, 600], 1e9, [2, 1.5]),
  careful: measured([200, 300, 300], 3e9, [2.25, 1.5]),
  compiled: measured([300, 450, 400], 2e9, [2, 1.5]),
})

describe('conclusions', () => {
  test('compare with the fastest peer round by round, and take the median', () => {
    const { fastestPeer, ratioToFastestPeer, ratioToCareful } = conclusions(three(), 6000)
    expect(fastestPeer).toBe('compiled')
    expect(ratioToFastestPeer).toEqual({ fused: 1.5 }) // of 1, 2 and 1.5
    expect(ratioToCareful).toEqual({ fused: 2 }) // of 1.5, 3 and 2
  })

  test('set peaks of memory beside the lowest peer, and losses beside the careful loop', () => {
    const { peakToLowestPeer, largestLossDifference } = conclusions(three(), 6000)
    expect(peakToLowestPeer).toEqual({ fused: 0.5 })
    expect(largestLossDifference).toEqual({ fused: 0.25, compiled: 0.25 })
  })

  test('count loading and compiling into an epoch', () => {
    expect(conclusions(three(), 6000).contestants.compiled.epochSeconds).toBe(2 + 40 + 15)
  })

  test('name no ratio where no peer was measured', () => {
    const { fused } = three()
    expect(conclusions({ fused }, 6000)).toMatchObject({ fastestPeer: undefined, ratioToFastestPeer: undefined })
  })
})

describe('tables in the docs', () => {
  test('stand between their comments and leave the rest alone', () => {
    const text = 'a\n<!-- bench:start -->\nold\n<!-- /bench:start -->\nb\n'
    expect(replaceTable(text, 'start', 'new')).toBe('a\n<!-- bench:start -->\nnew\n<!-- /bench:start -->\nb\n')
  })

  test('are refused where the docs have no place for them', () => {
    expect(() => replaceTable('a\n', 'start', 'new')).toThrow('<!-- bench:start -->')
  })

  test('name the command without folders of one machine', () => {
    const command = 'npm run bench -- train --data /data/seed.jsonl --settings careful=2/tuned'
    expect(shortCommand(command)).toBe('npm run bench -- train --data seed.jsonl --settings careful=2/tuned')
  })
})

describe('flags', () => {
  test('settings name rows and malloc of a contestant', () => {
    expect(readOptions(['train', '--settings', 'careful=2/tuned']).settings).toEqual({
      careful: { rows: 2, malloc: 'tuned' },
    })
  })

  test.each([
    [['train', '--settings', 'careful=two']],
    [['train', '--only', 'nobody']],
    [['train', '--windows', '1.5']],
  ])('%j is refused by name', (args) => {
    expect(() => readOptions(args)).toThrow(args[1])
  })
})
