import { expect, test } from 'vitest'
import type { RunReport } from '../../src/report/run.js'
import { runPage } from '../../src/report/run-page.js'
import { demoRun, hostileRun, hostileTexts, runUnderWay } from './demo-run.js'

const page = runPage(demoRun())
/** From a heading to the next. */
const section = (title: string, of = page) => of.split(`>${title}</h2>`)[1]?.split('<h2')[0]
const withoutTags = (text: string | undefined) => text?.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ')

test('tells every stage with its state, rows, time and what came of it', () => {
  const table = withoutTags(section('Stages')!.split('class="stages"')[1])
  expect(table).toContain('seed done 3,492 3,142 2 s 166 rows held out')
  expect(table).toContain('m0 done 3,142 13:21 loss 1.702, validation 1.744')
  expect(page).toContain('<span class="state">finished</span>')
  expect(withoutTags(page)).toContain('Time of all stages 1:49:03')
})

test('lists what was dropped by stage and reason, with its share where the input counts the same things', () => {
  const dropped = withoutTags(section('What was dropped, and why'))
  expect(dropped).toContain('seed response too short 96 2.7 %')
  expect(dropped).toContain('curate-1 fit below 0.5 545 55.2 %')
  expect(dropped).toContain('corpus too short 1,804 near duplicate 212') // documents went in, texts were dropped
})

test('draws each system with its interval, and says of each difference whether it is clear of zero', () => {
  const measured = section('What was measured')!
  const rows = [...measured.matchAll(/<tr class="(\w+)"><th scope="row">(.*?)<\/th>[\s\S]*?<\/tr>/g)]
  const row = (name: string) => rows.find((found) => found[2] === name)!
  expect(withoutTags(row('M_2')[0])).toContain('−1.731 −1.815 to −1.652')
  expect(row('control')[1]).toBe('control')
  expect(row('M_2 − M_0')[1]).toBe('better')
  expect(withoutTags(row('M_2 − M_0')[0])).toContain('better, clear of zero p &lt; 0.001')
  expect(row('M_0 − M_2')[1]).toBe('worse')
  expect(row('M_1 − M_0')[1]).toBe('unclear')
})

test('points and whiskers of a forest plot lie where their numbers say', () => {
  const systems = [
    { name: 'a', value: 0, interval: [-1, 1] as const },
    { name: 'b', value: 1 },
  ]
  const plot = section('What was measured', runPage({ stages: [], comparisons: [{ title: 't', systems }] }))!
  // The scale goes from 4 % below -1 to 4 % above 1.
  expect(plot).toContain('<path class="whisker" d="M3.7 5H96.3"/><path class="point" d="M50 5h0"/>')
  expect(plot).toContain('<path class="point" d="M96.3 5h0"/>')
  expect(plot.match(/class="whisker"/g)).toHaveLength(1)
})

test('has a histogram of each score before and after each curation over one range, with numbers', () => {
  const histogram = { score: 'fit', edges: [0, 0.5, 1], all: [30, 10], kept: [0, 10] }
  const second = { ...histogram, edges: [0.5, 1, 2] }
  const curations = [
    { iteration: 1, rows: 40, kept: 10, histograms: [histogram] },
    { iteration: 2, rows: 40, kept: 10, histograms: [second] },
  ]
  const drawn = section('Before and after curation', runPage({ stages: [], curations }))!
  expect(drawn.match(/<figure/g)).toHaveLength(1)
  expect(drawn).toContain('aria-label="fit, iteration 1: 10 of 40 rows kept"')
  expect(drawn).toContain(
    '<title>0 to 0.5: 0 of 30 kept</title><rect class="before" x="0" y="0" width="23" height="60"/></g>',
  )
  expect(drawn).toContain('<rect class="after" x="25" y="40" width="23" height="20"/>')
  expect(withoutTags(drawn)).toContain('iteration 2 from to before after 0.5 1 30 0')
  expect(withoutTags(drawn)).toContain('Iteration 1: 10 of 40 kept (25.0 %).')
})

test('shows kept and dropped rows side by side with scores and reasons', () => {
  const curated = section('Before and after curation')!
  const sides = curated.split('<h4 class="').slice(1, 3)
  expect(sides[0]).toMatch(/^kept">Kept/)
  expect(withoutTags(sides[0])).toContain('fit 0.77 quality 3.54')
  expect(sides[0]).not.toContain('Write a poem.')
  expect(sides[1]).toMatch(/^dropped">Dropped/)
  expect(withoutTags(sides[1])).toContain('dropped fit 0.08 is below 0.5')
})

test('tells AUC, precision and recall of each score against each kind of planted pair', () => {
  const table = withoutTags(section('What the scores are worth'))
  expect(table).toContain('all planted pairs shuffled cut language')
  expect(table).toContain('backwardPmi 0.861 0.83 to 0.89 0.82 0.79 0.984 0.95 to 1.00 0.96 0.95 0.541')
})

test('draws the losses of all models in one chart, and has them as numbers', () => {
  const losses = section('Losses')!
  expect(losses.match(/<figure/g)).toHaveLength(1)
  for (const model of ['backward', 'm0', 'm1', 'm2', 'control']) expect(losses).toContain(`>${model}</span>`)
  expect(losses).toContain('<title>m0, validation after step 207: ')
  expect(withoutTags(losses)).toMatch(/control 221 1\.9\d\d 1\.69\d 2\.000 1\.74\d/)
})

test('groups settings by what they belong to, and tells how to ask for a row', () => {
  const settings = withoutTags(section('Settings'))
  expect(settings).toContain('Recipe model smollm2-135m iterations 2 tags seed Answer in the style')
  expect(settings).toContain('augment temperature 0.7')
  expect(section('Where a row comes from')).toContain('npx bt-native trace 3b1f3e0a9d2c4b56')
})

test('a run under way has a page, with what is there', () => {
  const partial = runPage(runUnderWay())
  expect(partial).toContain('6 of 17 stages done')
  expect(partial).toContain('curate-1 after augment (988 rows) and m0 and backward: running, 988 rows.')
  expect(withoutTags(section('Stages', partial))).toContain('m2 waiting')
  expect(partial).not.toMatch(/What was measured|Settings|Before and after/)
  expect(runPage({ stages: [] })).toContain('No stage yet.')
  expect(runPage({ stages: [{ name: 'seed', status: 'failed', error: 'no room' }] })).toContain('failed in seed')
})

test('needs no network and runs no script, whatever the texts are', () => {
  const hostile = runPage(hostileRun())
  for (const one of [page, hostile]) {
    expect(one).toContain("default-src 'none'; style-src 'unsafe-inline'")
    expect(one).not.toMatch(/<(script|img|link|iframe|object|a)\b/)
    expect(one.replace(/"[^"]*"/g, '""')).not.toMatch(/<[^>]*\s(src|href|on\w+)=/)
    expect(one).not.toMatch(/url\(|@import/)
    expect(one.match(/<\/style>/g)).toHaveLength(1)
  }
  expect(hostile).not.toMatch(/(?![\n\t])\p{Cc}|\p{Cs}|[\u202a-\u202e\u2066-\u2069]/u)
  expect(hostile).toContain('שלום')
})

test('long texts are folded, very long ones cut with what is left out told', () => {
  const hostile = runPage(hostileRun())
  expect(hostileTexts.long.length).toBeGreaterThan(100_000)
  expect(hostile.length).toBeLessThan(250_000)
  expect(hostile).toContain(`… and ${(hostileTexts.long.length - 8000).toLocaleString('en-US')} characters more`)
  expect(section('Before and after curation')).toMatch(/<details><summary><span class="head" dir="auto">Rivers carry/)
})

test('every tag that opens closes, in order', () => {
  const empty = new Set(['meta', 'br'])
  for (const one of [page, runPage(runUnderWay()), runPage(hostileRun())]) {
    const open: string[] = []
    for (const [, close, name, rest] of one.matchAll(/<(\/?)([a-z][a-z0-9]*)([^>]*)>/g)) {
      if (close) expect(open.pop()).toBe(name)
      else if (!rest!.endsWith('/') && !empty.has(name!)) open.push(name!)
    }
    expect(open).toEqual([])
  }
})

test('the same report gives the same page', () => {
  expect(runPage(demoRun())).toBe(page)
  const report: RunReport = Object.freeze(demoRun())
  expect(runPage(report)).toBe(page)
})
