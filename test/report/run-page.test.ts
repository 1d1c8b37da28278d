import { describe, expect, test } from 'vitest'
import type { RunReport } from '../../src/report/run.js'
import { runPage } from '../../src/report/run-page.js'
import { renderRun } from '../../src/report/run-text.js'

const hostile = '<script>alert(1)</script> \u202e&"\''

const whole: RunReport = {
  title: `demo ${hostile}`,
  subtitle: 'smollm2-135m',
  summary: [{ name: 'stages done', value: '2 of 3' }],
  stages: [
    { name: 'seed', title: 'clean the seed', status: 'done', rowsIn: 200, rowsOut: 173, seconds: 2 },
    {
      name: 'augment',
      status: 'done',
      after: ['seed', { stage: 'lost' }],
      rowsOut: 1234,
      seconds: 75,
      note: 'all clean',
      dropped: [{ reason: hostile, count: 7 }],
    },
    { name: 'm0', status: 'failed', after: ['augment'], error: `no room ${hostile}` },
  ],
  curations: [
    {
      iteration: 1,
      rows: 40,
      kept: 20,
      histograms: [{ score: 'quality', edges: [1, 2, 3], all: [30, 10], kept: [10, 10] }],
      calibration: [{ score: 'fit', auc: 0.957, interval: [0.89, 0.999], precision: 1, recall: 0.867 }],
      samples: [
        {
          id: 'a',
          instruction: hostile,
          response: 'x'.repeat(100_000),
          kept: true,
          why: 'fit',
          scores: [{ name: 'fit', value: 0.9 }],
        },
        { id: 'b', instruction: 'Why?', response: 'So.', kept: false, why: 'fit 0.1 is below 0.5', scores: [] },
      ],
    },
  ],
  losses: [
    {
      model: 'm0',
      training: [
        [1, 3],
        [2, Number.NaN],
        [3, 2.5],
      ],
      validation: [
        [0, 2.9],
        [3, 2.6],
      ],
    },
  ],
  comparisons: [
    {
      title: 'Log-likelihood of held-out responses',
      unit: 'nats a token',
      systems: [
        { name: 'M_0', value: -1.9, interval: [-2, -1.8] },
        { name: 'M_1', value: -1.8, interval: [-1.9, -1.7] },
      ],
      differences: [{ name: 'M_1', baseline: 'M_0', value: 0.1, interval: [0.05, 0.15], p: 0.001 }],
    },
  ],
  settings: [{ name: 'model', value: hostile }],
}

describe('the page of a run', () => {
  test('shows every part, and texts as they are', () => {
    const page = runPage(whole)
    expect(page).not.toContain('<script')
    expect(page).not.toContain('\u202e')
    expect(page).toContain('&lt;script&gt;')
    for (const words of [
      '1,234 rows · 1:15',
      'no room',
      '7 left out',
      '20 of 40 kept',
      '0.957 [0.890, 0.999]',
      'better, p 0.001',
      'not finished',
    ]) {
      expect(page, words).toContain(words)
    }
    // A long response is folded and cut.
    expect(page.length).toBeLessThan(60_000)
    expect(page).toContain("default-src 'none'")
  })

  test('is there after the first stage, and for a run that has not begun', () => {
    const first = runPage({ stages: whole.stages.slice(0, 1) })
    expect(first).toContain('173 rows')
    expect(first).toContain('<span class="state">finished</span>')
    expect(runPage({ stages: [{ name: 'seed', status: 'waiting' }] })).toContain('not run yet')
  })

  test('says the same as the terminal', () => {
    const text = renderRun(whole, { width: 120 })
    for (const words of ['augment', '1,234', '1:15', 'no room', 'M_1 - M_0', '0.1000', '0.0500 – 0.1500']) {
      expect(text, words).toContain(words)
    }
  })
})
