// What may stand in place of a response, without a model.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { PairScores } from '../../src/curate/types.js'
import { compareScores, judged, readCalibration, refusalOf } from '../../src/rewrite/judge.js'
import { repeatsPrompt } from '../../src/rewrite/prompt.js'

const scores = (more: Partial<PairScores>): PairScores => ({
  ...{ quality: 3, likelihood: -2, pmi: 0.5, ifd: 0.8, ending: -1, length: 10, copy: 0, unread: 0 },
  ...more,
})

describe('a new response', () => {
  test('stands where its score does not fall, whichever way the score counts', () => {
    expect(compareScores('pmi', scores({}), scores({ pmi: 0.6 }))).toBe('kept')
    expect(compareScores('pmi', scores({}), scores({}))).toBe('kept')
    expect(compareScores('pmi', scores({}), scores({ pmi: 0.4 }))).toBe('worse')
    expect(compareScores('ifd', scores({}), scores({ ifd: 0.7 }))).toBe('kept')
    expect(compareScores('ifd', scores({}), scores({ ifd: 0.9 }))).toBe('worse')
  })

  test('does not stand where one of the two has no score', () => {
    expect(compareScores('pmi', scores({ pmi: null }), scores({}))).toBe('unscored')
    expect(compareScores('backward', scores({}), scores({}))).toBe('unscored')
  })

  test('is refused before it is scored for a fault, for saying the same, and for what it lost', () => {
    const given = { response: ' ten chars ', faults: [], minShare: 0.5 }
    expect(refusalOf('', given)).toBe('empty')
    expect(refusalOf('ten chars', given)).toBe('same')
    expect(refusalOf('four', given)).toBe('shorter')
    expect(refusalOf('fiver', given)).toBeUndefined()
    expect(refusalOf('something else', { ...given, faults: ['loop'] })).toBe('loop')
    expect(refusalOf('something else', { ...given, faults: ['end'] })).toBe('end')
  })
})

describe('a calibration', () => {
  test('gives pairs their fit', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bt-rewrite-'))
    const path = join(folder, 'curated.calibration.json')
    const fit = { features: ['pmi'], folds: 5, mean: [0], scale: [1], coefficients: [0, 2, 0] }
    await writeFile(path, JSON.stringify({ fit }))
    const calibration = await readCalibration(path)
    expect(judged(scores({ pmi: 0 }), calibration).fit).toBeCloseTo(0.5, 6)
    expect(judged(scores({ pmi: 1 }), calibration).fit).toBeCloseTo(1 / (1 + Math.exp(-2)), 5)
    expect(judged(scores({ pmi: null }), calibration).fit).toBeNull()
    await writeFile(path, '{"scores":[]}')
    await expect(readCalibration(path)).rejects.toMatchObject({ code: 'BT_DATA_FORMAT' })
    await writeFile(path, '{"scores"')
    await expect(readCalibration(path)).rejects.toMatchObject({ code: 'BT_DATA_FORMAT' })
    await expect(readCalibration(join(folder, 'none.json'))).rejects.toMatchObject({ code: 'BT_DATA_FILE' })
    await rm(folder, { recursive: true })
  })
})

test('words of the question are seen where the pair has none', () => {
  const pair = { instruction: 'Say it.', response: 'It is said, as such texts are.' }
  expect(repeatsPrompt('Rewrite the draft below into the best reply to the request.', pair)).toBe(true)
  expect(repeatsPrompt('Here it is.\n\nDraft: it is said.', pair)).toBe(true)
  expect(repeatsPrompt('Here is the revised draft:\n\nIt was said.', pair)).toBe(true)
  expect(repeatsPrompt('Sure! Here is the best reply to the request:\n\nIt was said.', pair)).toBe(true)
  expect(repeatsPrompt('It was said.', pair)).toBe(false)
  expect(repeatsPrompt('It was said.\n\nAt their request.', pair)).toBe(false)
  expect(repeatsPrompt('A reply is due.', { ...pair, instruction: 'Is a reply due?' })).toBe(false)
  expect(repeatsPrompt('Draft: of beer.', { ...pair, response: 'Draft: all beers.' })).toBe(false)
})
