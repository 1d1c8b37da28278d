// Leaks, loops and copies: what counts as one and what does not.
import { describe, expect, test } from 'vitest'
import { copiedShare, healthOf, LeakFinder, loopShare, repeated4grams } from '../../src/metrics/health.js'
import { words } from '../../src/metrics/words.js'

describe('template leaks', () => {
  const finder = new LeakFinder(["You are given a reply. Write the user's message that it answers."])
  test.each([
    ['What is it?\n\n### Response\nIt is', 'heading'],
    ['What is it?<|im_end|>\n<|im_start|>user', 'control token'],
    ['What is it?<|im_', 'control token'],
    ['[INST] What is it?', 'control token'],
    ['What is it?</s>', 'control token'],
    ['user\nWhat is it?', 'role line'],
    ['What is it?\nResponse: it is', 'role line'],
    ["Write the user's  message,\nthat it answers", 'ask'],
  ])('%j holds a %s', (text, mark) => {
    expect(finder.find(text)).toContain(mark)
  })

  test.each([
    'How do I add a user to a group in Linux?',
    'Write a response to this letter.',
    'Explain "a < b || c" in C.',
    '# A heading of my own\nWhat does it mean?',
    'You are given a list of numbers. Sort it.',
    '',
  ])('%j holds none', (text) => {
    expect(finder.find(text)).toEqual([])
  })

  test('a mark that the given text holds as well is no leak', () => {
    expect(finder.find('What does <|im_end|> mean?', 'The token <|im_end|> ends a turn.')).toEqual([])
    expect(finder.find('user\nWhat does <|im_end|> mean?', 'The token <|im_end|> ends a turn.')).toEqual(['role line'])
  })

  test('a short ask is not looked for', () => {
    expect(new LeakFinder(['Write it.']).find('Write it.')).toEqual([])
  })
})

describe('loops', () => {
  test('repetition is the share of 4-grams seen before', () => {
    expect(repeated4grams(words('a b c d e f g h'))).toBe(0)
    expect(repeated4grams(words('a b c d a b c d'))).toBeCloseTo(1 / 5)
    expect(repeated4grams(words('so it goes on and so it goes on and so it goes on and'))).toBeGreaterThan(loopShare)
    expect(repeated4grams(words('天气很好天气很好天气很好天气很好'))).toBeGreaterThan(loopShare)
    expect(repeated4grams(words('a b c'))).toBe(0)
  })
})

describe('copies', () => {
  const given = words('The sea is deep and blue, and the wind that blows over it is cold in winter.')
  test('runs of eight words count with all their words, overlaps once', () => {
    expect(copiedShare(words('the sea is deep and blue and the'), given)).toBe(1)
    expect(copiedShare(words('The sea is deep and blue and the wind that!'), given)).toBe(1)
    expect(copiedShare(words('Say why: the sea is deep and blue and the'), given)).toBe(8 / 10)
    expect(copiedShare(words('the sea is deep and blue and the ... that blows over it is cold in winter'), given)).toBe(
      1,
    )
  })
  test('shorter runs and other words do not', () => {
    expect(copiedShare(words('the sea is deep and blue and'), given)).toBe(0)
    expect(copiedShare(words('Why is the sea deep and blue, and what does the wind do to it?'), given)).toBe(0)
    expect(copiedShare([], given)).toBe(0)
  })
  test('a long one has sixteen words in a row', () => {
    const health = (text: string) => healthOf(text, given.join(' '), 'stop', new LeakFinder())
    expect(health(`Say: ${given.slice(1, 17).join(' ')}`)).toMatchObject({ longCopy: true, copied: 16 / 17 })
    expect(health(`${given.slice(0, 15).join(' ')} why`)).toMatchObject({ longCopy: false, copied: 15 / 16 })
    expect(healthOf('text', undefined, undefined, new LeakFinder())).toMatchObject({ longCopy: undefined })
  })
})
