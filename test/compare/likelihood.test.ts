// Log-likelihoods of models whose differences are known without computing.
import { describe, expect, test } from 'vitest'
import { compareLikelihoods, type RowLikelihood } from '../../src/compare/likelihood.js'

const statistics = { bootstrap: 500, seed: 1 }
const rows = (perToken: (row: number) => number, count = 60): RowLikelihood[] =>
  Array.from({ length: count }, (_, row) => ({ logLikelihood: perToken(row) * (1 + (row % 7)), tokens: 1 + (row % 7) }))
const base = { name: 'base', pairs: rows((row) => -2 - (row % 5)), shuffled: rows(() => -6) }

describe('log-likelihoods', () => {
  test('are means over tokens, not over rows', () => {
    const one = {
      name: 'one',
      pairs: [
        { logLikelihood: -1, tokens: 1 },
        { logLikelihood: -27, tokens: 9 },
      ],
      shuffled: rows(() => -5, 2),
    }
    const { models } = compareLikelihoods([one], ['one'], statistics)
    expect(models[0]!.likelihood).toMatchObject({ logProb: { value: -2.8 }, perplexity: Math.exp(2.8), tokens: 10 })
    expect(models[0]!.shuffled.logProb!.value).toBeCloseTo(-5, 12)
  })
  test('gain what the right instruction adds, however much the responses differ', () => {
    const { gain } = compareLikelihoods([{ ...base, shuffled: rows((row) => -2.25 - (row % 5)) }], ['base'], statistics)
      .models[0]!
    expect(gain!.value).toBeCloseTo(0.25, 9)
    for (const bound of gain!.interval!) expect(bound).toBeCloseTo(0.25, 9)
    expect(compareLikelihoods([{ ...base, shuffled: base.pairs }], ['base'], statistics).models[0]!.gain!.p).toBe(1)
  })
  test('that are better by the same in every token differ by just that, surely', () => {
    const better = { name: 'better', pairs: rows((row) => -1.5 - (row % 5)), shuffled: base.shuffled }
    const [found] = compareLikelihoods([base, better], ['base'], statistics).differences
    expect(found).toMatchObject({ model: 'better', baseline: 'base', wins: 60, ties: 0, losses: 0 })
    expect(found!.difference.value).toBeCloseTo(0.5, 9)
    for (const bound of found!.difference.interval!) expect(bound).toBeCloseTo(0.5, 9)
    expect(found!.difference.p).toBeCloseTo(1 / 501, 12)
  })
  test('that are the same differ by exactly nothing with p = 1', () => {
    const [found] = compareLikelihoods([base, { ...base, name: 'twin' }], ['base'], statistics).differences
    expect(found!.difference).toEqual({ value: 0, interval: [0, 0], p: 1 })
    expect(found).toMatchObject({ wins: 0, ties: 60, losses: 0 })
  })
  test('have the interval of the normal distribution for rows of one token', () => {
    const noise = (row: number) => Math.sin(row * 12.9898) * 2
    const single = (value: (row: number) => number) =>
      Array.from({ length: 400 }, (_, row) => ({ logLikelihood: value(row), tokens: 1 }))
    const models = [
      { name: 'a', pairs: single(() => -3), shuffled: single(() => -4) },
      { name: 'b', pairs: single((row) => -3 + noise(row)), shuffled: single(() => -4) },
    ]
    const [found] = compareLikelihoods(models, ['a'], { bootstrap: 4000, seed: 0 }).differences
    const half = (1.96 * Math.SQRT2) / Math.sqrt(400) // a sine of amplitude 2 has a deviation of the root of 2
    const [low, high] = found!.difference.interval!
    expect(Math.abs(high - low - 2 * half)).toBeLessThan(0.1 * half)
  })
  test('leave out, for all models, what one of them could not score', () => {
    const gap = {
      name: 'gap',
      pairs: base.pairs.map((row, at) => (at < 10 ? { logLikelihood: null, tokens: 0 } : row)),
      shuffled: base.shuffled,
    }
    const { scored, models, differences } = compareLikelihoods([base, gap], ['base'], statistics)
    expect(scored).toBe(50)
    expect(models[0]!.likelihood.tokens).toBe(models[1]!.likelihood.tokens)
    expect(differences[0]!.difference.value).toBe(0)
  })
  test('of which none could be scored are none', () => {
    const none = {
      name: 'none',
      pairs: [{ logLikelihood: null, tokens: 0 }],
      shuffled: [{ logLikelihood: null, tokens: 0 }],
    }
    expect(compareLikelihoods([none], ['none'], statistics).models[0]!.likelihood).toEqual({
      logProb: null,
      perplexity: null,
      tokens: 0,
    })
  })
})
