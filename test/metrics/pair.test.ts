// Metrics of pairs and corpora against rouge_score and sacrebleu (fixtures/metrics/make.py).
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { pairMetrics, pairSize, scorePairs, tokenize } from '../../src/metrics/pair.js'
import { longestCommon } from '../../src/metrics/rouge.js'
import { Vocabulary } from '../../src/metrics/words.js'

interface Fixture {
  pairs: { prediction: string; reference: string; rouge: number[][]; bleu: number; chrf: number }[]
  corpora: { from: number; to: number; bleu: number; chrf: number }[]
}
const fixture = JSON.parse(readFileSync(new URL('../fixtures/metrics/pairs.json', import.meta.url), 'utf8')) as Fixture
const metrics = pairMetrics(0)
const vocabulary = new Vocabulary()

function numbers(prediction: string, reference: string): Float64Array {
  return scorePairs([tokenize(prediction, vocabulary)], tokenize(reference, vocabulary))[0]!
}

describe('pairs score as rouge_score and sacrebleu score them', () => {
  for (const [index, pair] of fixture.pairs.entries()) {
    test(`${index}: ${JSON.stringify(pair.prediction).slice(0, 40)}`, () => {
      const sums = numbers(pair.prediction, pair.reference)
      const found = metrics.map(([, score]) => score(sums))
      const expected = [...pair.rouge.flat().map((share) => 100 * share), pair.bleu, pair.chrf]
      for (const [at, value] of expected.entries()) {
        expect(Math.abs(found[at]! - value), `${metrics[at]![0]}: ${found[at]} for ${value}`).toBeLessThan(1e-9)
      }
    })
  }
})

test('corpora have the BLEU and chrF that sacrebleu gives them', () => {
  for (const { from, to, bleu, chrf } of fixture.corpora) {
    const sums = new Float64Array(pairSize)
    for (const { prediction, reference } of fixture.pairs.slice(from, to)) {
      for (const [column, value] of numbers(prediction, reference).entries()) sums[column]! += value
    }
    const score = new Map(metrics.map(([name, fromSums]) => [name, fromSums(sums)]))
    expect(Math.abs(score.get('bleu')! - bleu), `BLEU of ${from} to ${to}`).toBeLessThan(1e-9)
    expect(Math.abs(score.get('chrf')! - chrf), `chrF of ${from} to ${to}`).toBeLessThan(1e-9)
  }
})

test('the bit-parallel subsequence equals the table over random sequences', () => {
  let state = 1
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  for (let trial = 0; trial < 300; trial++) {
    const kinds = 1 + random(12)
    const draw = (length: number) => Int32Array.from({ length }, () => random(kinds))
    const [one, other] = [draw(random(140)), draw(random(140))]
    expect(longestCommon(one, other)).toBe(tableCommon(one, other))
  }
})

function tableCommon(one: Int32Array, other: Int32Array): number {
  let above = new Int32Array(other.length + 1)
  for (const word of one) {
    const row = new Int32Array(other.length + 1)
    for (let at = 0; at < other.length; at++) {
      row[at + 1] = word === other[at] ? above[at]! + 1 : Math.max(above[at + 1]!, row[at]!)
    }
    above = row
  }
  return above[other.length]!
}
