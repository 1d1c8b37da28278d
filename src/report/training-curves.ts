// The curves of a training report: which series, scales and marks; drawing them is chart.ts's.
import { type Chart, drawChart, type Series } from './chart.js'
import { type Html, html } from './html.js'
import type { Point } from './thin.js'
import type { ReportStep, TrainingReport } from './training.js'

/** Loss on its own line, then gradient norm, learning rate and speed. */
export function trainingCurves(report: TrainingReport): Html {
  const { steps, validations } = report
  if (steps.length === 0) return html`<p class="note">No step has been made yet.</p>`
  const from = validations[0]?.step === 0 ? 0 : steps[0]!.step
  const shared = { x: { label: 'optimizer step', from, to: steps.at(-1)!.step }, dividers: epochEnds(steps) }
  const small = [normChart(steps), rateChart(steps), speedChart(steps)]
  return html`<div class="big">${drawChart({ ...shared, ...lossChart(report) })}</div>
<div class="charts">${small.map((chart) => drawChart({ ...shared, ...chart }))}</div>`
}

type Curves = Omit<Chart, 'x' | 'dividers'>

function lossChart({ steps, validations }: TrainingReport): Curves {
  const tested = validations.map(({ step, validationLoss }) => [step, validationLoss ?? Number.NaN] as const)
  return {
    title: 'Loss',
    unit: 'nats per scored token',
    series: [
      { label: 'each step', style: 'raw', as: 'faint', points: points(steps, 'loss') },
      { label: 'smoothed', style: 'main', points: points(steps, 'smoothedLoss') },
      { label: '', style: 'second', as: 'faint', points: tested },
      dots('validation', 'second', tested, ([step, loss]) => `validation after step ${step}: ${loss.toFixed(4)}`),
      spikes(steps, 'loss'),
    ],
    y: { scale: 'around' },
  }
}

function normChart(steps: readonly ReportStep[]): Curves {
  const skipped = steps.filter((step) => step.skipped)
  return {
    title: 'Gradient norm',
    unit: 'L2, before clipping',
    series: [
      { label: 'each step', style: 'main', as: 'faint', points: points(steps, 'gradNorm') },
      spikes(steps, 'gradNorm'),
      {
        ...{ label: 'skipped', style: 'skip', as: 'floor' },
        points: skipped.map(({ step }) => [step, 0]),
        titles: skipped.map(({ step }) => `step ${step} skipped: the gradient was not finite`),
      },
    ],
    y: { scale: 'spanning' },
  }
}

function rateChart(steps: readonly ReportStep[]): Curves {
  return {
    title: 'Learning rate',
    unit: '',
    series: [{ label: 'learning rate', style: 'main', points: points(steps, 'learningRate') }],
    y: { scale: 'fromZero', format: (value) => (value === 0 ? '0' : scientific(value)) },
  }
}

function speedChart(steps: readonly ReportStep[]): Curves {
  return {
    title: 'Speed',
    unit: 'tokens/s',
    series: [{ label: 'tokens/s', style: 'main', as: 'faint', points: points(steps, 'tokensPerSecond') }],
    y: { scale: 'fromZero' },
  }
}

type Curve = 'loss' | 'smoothedLoss' | 'gradNorm' | 'learningRate' | 'tokensPerSecond'

function points(steps: readonly ReportStep[], name: Curve): Point[] {
  return steps.map((step) => [step.step, step[name] ?? Number.NaN])
}

function spikes(steps: readonly ReportStep[], name: 'loss' | 'gradNorm'): Series {
  const wild = steps.filter(({ spike }) => spike)
  return dots('stands out', 'bad', points(wild, name), ([step, value]) => `step ${step} stands out: ${plain(value)}`)
}

/** Marks at the points that have a value. */
function dots(label: string, style: string, all: readonly Point[], title: (point: Point) => string): Series {
  const finite = all.filter(([, value]) => Number.isFinite(value))
  return { label, style, as: 'dots', points: finite, titles: finite.map(title) }
}

/** Most dividers that have room for a word. */
const mostDividers = 6

/** Where each epoch ended; every second, fifth and so on where there are many. */
function epochEnds(steps: readonly ReportStep[]): { x: number; label: string }[] {
  const ends: { epoch: number; step: number }[] = []
  for (const { epoch, step } of steps) {
    if (epoch >= (ends.at(-1)?.epoch ?? 0) + 1) ends.push({ epoch: Math.floor(epoch), step })
  }
  const each = [1, 2, 5, 10, 20, 50, 100, 1000].find((one) => ends.length / one <= mostDividers) ?? ends.length
  return ends.filter(({ epoch }) => epoch % each === 0).map(({ epoch, step }) => ({ x: step, label: `epoch ${epoch}` }))
}

function plain(value: number): string {
  const small = value !== 0 && Math.abs(value) < 0.001
  return small || Math.abs(value) >= 1e5 ? scientific(value) : String(Number(value.toPrecision(5)))
}

/** 0.0005 -> "5e-4" */
function scientific(value: number): string {
  return String(Number(value.toPrecision(3)).toExponential()).replace('e+', 'e')
}
