import { expect, test } from 'vitest'
import type { ReportStep, TrainingReport } from '../../src/report/training.js'
import { trainingPage } from '../../src/report/training-page.js'

function step(at: number, more: Partial<ReportStep> = {}): ReportStep {
  const loss = 3 - at / 100
  const numbers = { loss, smoothedLoss: loss, gradNorm: 0.5, learningRate: 1e-3, tokensPerSecond: 400 }
  return { step: at, epoch: at / 50, skipped: false, ...numbers, ...more }
}

function report(more: Partial<TrainingReport> = {}): TrainingReport {
  return {
    ...{ title: 'first', subtitle: 'tiny · backward', finished: true, lastStep: 100, selectedStep: 100 },
    steps: Array.from({ length: 100 }, (_, at) => step(at + 1)),
    validations: [
      { step: 0, epoch: 0, validationLoss: 3.25 },
      { step: 50, epoch: 1, validationLoss: 2.6 },
      { step: 100, epoch: 2, validationLoss: null },
    ],
    ...{ samples: [], summary: [], model: [], data: [], template: [], options: [] },
    ...more,
  }
}

/** What stands between two marks. */
const between = (text: string, start: string, end: string) => text.split(start)[1]!.split(end)[0]!
const curves = (page: string) => page.split('<figure').slice(1)

test('has a curve each for loss, gradient norm, learning rate and speed, with units, epochs and ticks', () => {
  const [loss, norm, rate, speed] = curves(trainingPage(report()))
  expect(loss).toMatch(/Loss<\/strong> <span class="unit">nats per scored token/)
  expect(loss).toContain('epoch 1</span>')
  for (const tick of ['20', '40', '60', '80', '100']) expect(loss).toContain(`>${tick}</span>`)
  expect(loss).toContain('<title>validation after step 50: 2.6000</title>')
  expect(loss!.match(/<title>validation/g)).toHaveLength(2) // the last is not finite
  expect(norm).toContain('L2, before clipping')
  expect(rate).toContain('>2e-4</span>')
  expect(speed).toContain('tokens/s')
})

test('points of a line lie where their numbers say, and a step without a number leaves a gap', () => {
  const steps = [1, 2, 3, 4].map((at) => step(at, { tokensPerSecond: at === 3 ? Number.NaN : 100 * at }))
  const speed = curves(trainingPage(report({ steps, validations: [] })))[3]!
  expect(between(speed, '<path class="main faint" d="', '"')).toBe('M0,750L333.3,500M1000,0Z')
})

test('marks spikes and skipped steps, and lists the spikes with their rows, the highest first', () => {
  const steps = Array.from({ length: 60 }, (_, at) => step(at + 1))
  steps[30] = step(31, { loss: 9, lossZ: 5.5, gradNormZ: 1, spike: true, rows: ['aa', 'bb'] })
  steps[40] = step(41, { gradNorm: 60, lossZ: 0, gradNormZ: 12, spike: true, rows: ['cc'] })
  steps[45] = step(46, { gradNorm: null, skipped: true })
  const page = trainingPage(report({ steps }))
  expect(page).toContain('<title>step 31 stands out: 9</title>')
  expect(page).toContain('<title>step 46 skipped: the gradient was not finite</title>')
  const table = between(page, '<h2>Steps that stood out</h2>', '</table>')
  expect([...table.matchAll(/<code>(.*?)<\/code>/g)].map(([, rows]) => rows)).toEqual(['cc', 'aa bb'])
})

test('a gradient norm over decades has a logarithmic scale; one wild value does not flatten the loss', () => {
  const steps = Array.from({ length: 400 }, (_, at) => step(at + 1, { gradNorm: 10 ** ((at % 5) - 2) }))
  steps[200] = step(201, { loss: 1e9 })
  const [loss, norm] = curves(trainingPage(report({ steps, validations: [] })))
  for (const tick of ['0.01', '0.1', '1', '10', '100']) expect(norm).toContain(`>${tick}</span>`)
  expect(loss).not.toMatch(/>[^<]*e[89]<\/span>/)
})

test('texts of the run show as they are and do nothing, and nothing is fetched', () => {
  const evil = '</style><script>alert(1)</script><img src=http://x/y onerror=alert(1)>"\''
  const facts = [{ name: evil, value: evil, marked: true }]
  const sample = { step: 50, epoch: 1, id: evil, given: evil, reference: evil, prediction: evil, finish: 'length' }
  const steps = [step(1, { spike: true, lossZ: 9, rows: [evil] }), step(2)]
  const page = trainingPage(
    report({
      ...{ title: evil, subtitle: evil, steps, samples: [sample] },
      ...{
        summary: facts,
        model: facts,
        data: facts,
        template: [{ name: 'prompt', value: `${evil}\n${evil}` }],
        options: facts,
      },
    }),
  )
  expect(page).not.toMatch(/<(script|img|link|iframe)/)
  expect(page.match(/<\/style>/g)).toHaveLength(1)
  expect(page).toContain("default-src 'none'")
  expect(page).not.toMatch(/<[^>]*(src|href)=/)
  expect(page).toContain('[no end]')
})

test('samples stand by row, the true text first, then each epoch in order', () => {
  const sample = (id: string, at: number, prediction: string) => ({
    ...{ step: at, epoch: at / 50, id, given: `given ${id}`, reference: `true ${id}`, prediction, finish: 'stop' },
  })
  const samples = [sample('a', 0, 'a0'), sample('b', 0, ''), sample('a', 50, 'a1'), sample('b', 50, 'b1')]
  const page = between(trainingPage(report({ samples })), '<h2>Samples</h2>', '<h2>')
  const words = [...page.matchAll(/<p>(.*?)<\/p>/g)].map(([, word]) => word)
  expect(words).toEqual(['given a', 'true a', 'a0', 'a1', 'given b', 'true b', '(nothing)', 'b1'])
  expect(page.match(/base model/g)).toHaveLength(2)
})

test('a run without a step has a page too, and says so', () => {
  const page = trainingPage(report({ steps: [], validations: [], finished: false, lastStep: 0 }))
  expect(page).toContain('No step has been made yet')
  expect(page).toContain('not finished')
})
