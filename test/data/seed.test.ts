// Holds examples/seed.jsonl to what its README promises. Whether its contents are true is for a reader to judge.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

interface SeedPair {
  id: string
  instruction: string
  response: string
  source: string
}

const text = readFileSync(new URL('../../examples/seed.jsonl', import.meta.url), 'utf8')
const pairs = text
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as SeedPair)

const words = (value: string): string[] => value.trim().split(/\s+/)
const normalise = (value: string): string => words(value.toLowerCase()).join(' ')
const opening = (value: string): string => words(value.toLowerCase()).slice(0, 3).join(' ')

/** The ids of the pairs for which `isWrong` holds, so that a failure names them. */
const idsWhere = (isWrong: (pair: SeedPair) => boolean): string[] => pairs.filter(isWrong).map((pair) => pair.id)

/** The keys that occur more than `limit` times. */
function moreOftenThan(limit: number, keys: string[]): string[] {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return [...counts].filter(([, count]) => count > limit).map(([key]) => key)
}

describe('examples/seed.jsonl', () => {
  it('has one object with the same four string columns on each line and ends in a newline', () => {
    expect(text.endsWith('\n')).toBe(true)
    for (const pair of pairs) {
      expect(Object.keys(pair)).toEqual(['id', 'instruction', 'response', 'source'])
      expect(Object.values(pair).every((value) => typeof value === 'string')).toBe(true)
    }
  })

  it('numbers its pairs in order', () => {
    expect(pairs.map((pair) => pair.id)).toEqual(pairs.map((_, i) => `seed-${String(i + 1).padStart(3, '0')}`))
  })

  it('holds at least 150 pairs from at least 25 sources, none of which dominates', () => {
    expect(pairs.length).toBeGreaterThanOrEqual(150)
    const sources = pairs.map((pair) => pair.source)
    expect(new Set(sources).size).toBeGreaterThanOrEqual(25)
    expect(moreOftenThan(pairs.length / 10, sources)).toEqual([])
  })

  it('repeats no instruction and no response, whatever their case and spacing', () => {
    const instructions = pairs.map((pair) => normalise(pair.instruction))
    const responses = pairs.map((pair) => normalise(pair.response))
    expect(moreOftenThan(1, instructions)).toEqual([])
    expect(moreOftenThan(1, responses)).toEqual([])
  })

  it('keeps responses within 30 to 250 words and instructions within 4 to 60', () => {
    const outside = (value: string, low: number, high: number): boolean =>
      words(value).length < low || words(value).length > high
    expect(idsWhere((pair) => outside(pair.response, 30, 250))).toEqual([])
    expect(idsWhere((pair) => outside(pair.instruction, 4, 60))).toEqual([])
  })

  it('varies in length: at least a fifth of the responses each below 70, between, and above 140 words', () => {
    const lengths = pairs.map((pair) => words(pair.response).length)
    const fifth = pairs.length / 5
    expect(lengths.filter((n) => n <= 70).length).toBeGreaterThanOrEqual(fifth)
    expect(lengths.filter((n) => n > 70 && n <= 140).length).toBeGreaterThanOrEqual(fifth)
    expect(lengths.filter((n) => n > 140).length).toBeGreaterThanOrEqual(fifth)
  })

  it('opens no more than three instructions or responses with the same three words', () => {
    expect(
      moreOftenThan(
        3,
        pairs.map((pair) => opening(pair.instruction)),
      ),
    ).toEqual([])
    expect(
      moreOftenThan(
        3,
        pairs.map((pair) => opening(pair.response)),
      ),
    ).toEqual([])
  })

  it('is clean text: no outer whitespace, control characters, chat-template tokens, addresses or stock phrases', () => {
    const control = /(?![\n\t])\p{Cc}|\uFFFD|\uFEFF/u
    const template = /<\|[^|>]*\|>|<\/?s>|\[\/?INST\]|<<\/?SYS>>|<(?:start|end)_of_turn>/
    const address = /https?:\/\/|www\.|\w@\w+\.\w/
    const stock = /\bas an ai\b|^(?:sure|certainly|of course)\b|\bi hope this helps\b/i
    const fields = (pair: SeedPair): string[] => [pair.instruction, pair.response, pair.source]
    expect(idsWhere((pair) => fields(pair).some((value) => value !== value.trim()))).toEqual([])
    for (const pattern of [control, template, address, stock]) {
      expect(idsWhere((pair) => fields(pair).some((value) => pattern.test(value)))).toEqual([])
    }
  })

  it('closes every code fence that it opens', () => {
    expect(idsWhere((pair) => (pair.response.match(/^```/gm) ?? []).length % 2 !== 0)).toEqual([])
  })
})
