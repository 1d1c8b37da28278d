// The evaluation of written texts as a pure function of rows: metrics, controls, intervals, sources. Files and tables are
// not read or drawn here.
import type { Progress } from '../progress.js'
import { type Columns, type FromSums, intervalOf, resampled, sumColumns } from './bootstrap.js'
import { defaultConstant, defaultShuffles, derangement, firstWords } from './controls.js'
import { distinct } from './distinct.js'
import { LeakFinder } from './health.js'
import { notesOn } from './notes.js'
import { type PaceControl, paced } from './paced.js'
import { pairMetrics, pairSize, scorePairs, type TokenizedText, tokenize } from './pair.js'
import { textMetrics, textNumbers, textSize } from './text.js'
import type {
  ControlName,
  Estimate,
  EvaluateOptions,
  Evaluation,
  EvaluationRow,
  Measurements,
  MetricName,
  SourceEvaluation,
} from './types.js'
import { Vocabulary } from './words.js'

/** Rows between two chances to do something else. */
const rowsAPiece = 16

const controlNames: ControlName[] = ['shuffled', 'constant', 'firstWords']

/** Blocks of columns: what the rows' own texts give, then the true texts' own, then pairs of each kind. */
const predictionText = 0
const referenceText = textSize
const predictionPair = 2 * textSize
const controlPair = (control: ControlName) => predictionPair + pairSize * (1 + controlNames.indexOf(control))
const width = predictionPair + pairSize * (1 + controlNames.length)

/** One number to compute: which metric, of what. */
interface Wanted {
  name: MetricName
  of: 'prediction' | 'references' | ControlName
  score: FromSums
}

const wanted: Wanted[] = [
  ...pairMetrics(predictionPair).map(([name, score]): Wanted => ({ name, of: 'prediction', score })),
  ...textMetrics(predictionText).map(([name, score]): Wanted => ({ name, of: 'prediction', score })),
  ...textMetrics(referenceText).map(([name, score]): Wanted => ({ name, of: 'references', score })),
  ...controlNames.flatMap((control) =>
    pairMetrics(controlPair(control)).map(([name, score]): Wanted => ({ name, of: control, score })),
  ),
]

/**
 * Scores written texts: against the true ones where rows have them, and by themselves.
 * Pure: equal rows and options give equal numbers. Time grows with rows times text length; 10,000 short pairs take
 * seconds, in which nothing else runs: evaluateAsync lets go in between.
 */
export function evaluate(rows: readonly EvaluationRow[], options: EvaluateOptions = {}): Evaluation {
  const steps = evaluationSteps(rows, options)
  let step = steps.next()
  while (!step.done) step = steps.next()
  return step.value
}

/**
 * The same in short pieces, with progress, and time for signals and other work between them.
 * @throws the signal's reason
 */
export function evaluateAsync(
  rows: readonly EvaluationRow[],
  options: EvaluateOptions = {},
  control: PaceControl = {},
): Promise<Evaluation> {
  return paced(evaluationSteps(rows, options), control)
}

function* evaluationSteps(rows: readonly EvaluationRow[], options: EvaluateOptions): Generator<Progress, Evaluation> {
  return (yield* detailedSteps(rows, options)).evaluation
}

/** An evaluation with what a paired comparison needs of it. */
export interface DetailedEvaluation {
  evaluation: Evaluation
  /** Of each metric that is resampled, [bootstrap] values over all rows. */
  resamples: Partial<Record<MetricName, Float64Array>>
  /** ROUGE-L F1 of each row, 0 to 100; NaN where it has no true text. */
  rougeL: Float64Array
}

/** The work of an evaluation in short pieces. */
export function* detailedSteps(
  rows: readonly EvaluationRow[],
  options: EvaluateOptions,
): Generator<Progress, DetailedEvaluation> {
  const referenced = rows.filter((row) => row.reference !== undefined).length
  const settings: Required<EvaluateOptions> = {
    bootstrap: options.bootstrap ?? 1000,
    seed: options.seed ?? 0,
    shuffles: options.shuffles ?? defaultShuffles(referenced),
    constant: options.constant ?? defaultConstant,
    asks: options.asks ?? [],
  }
  const columns: Columns = { data: new Float64Array(rows.length * width), width }
  yield* fillTexts(columns, rows, settings)
  yield* fillPairs(columns, rows, settings)

  const sets = [Int32Array.from(rows.keys()), ...sourcesOf(rows).map(([, members]) => members)]
  const measured: Measured[] = []
  for (const [index, chosen] of sets.entries()) {
    for (const steps = measure(columns, rows, chosen, settings); ; ) {
      const step = steps.next()
      if (step.done) {
        measured.push(step.value)
        break
      }
      const done = index * settings.bootstrap + step.value
      yield { label: 'resampling', done, total: sets.length * settings.bootstrap, unit: 'steps' }
    }
  }
  const [whole, ...bySource] = measured
  const { metrics, resamples } = whole!
  const sources = sourcesOf(rows).map(([source, members], index) => {
    return sourceOf(source, members, rows, bySource[index]!.metrics)
  })
  const notes = notesOn(rows, metrics)
  const evaluation = { rows: rows.length, referenced, metrics, sources, options: settings, notes }
  return { evaluation, resamples, rougeL: rougeLOfRows(columns, rows.length) }
}

/** [rows] */
function rougeLOfRows({ data }: Columns, rows: number): Float64Array {
  const [, score] = pairMetrics(predictionPair).find(([name]) => name === 'rougeL')!
  return Float64Array.from({ length: rows }, (_, row) => score(data.subarray(row * width, (row + 1) * width)))
}

/** Columns that a text gives by itself, for the written texts and the true ones. */
function* fillTexts(
  columns: Columns,
  rows: readonly EvaluationRow[],
  settings: Required<EvaluateOptions>,
): Generator<Progress> {
  const leaks = new LeakFinder(settings.asks)
  for (const [index, { prediction, reference, response, finish }] of rows.entries()) {
    const start = index * width
    columns.data.set(textNumbers(prediction, response, finish, leaks), start + predictionText)
    if (reference !== undefined) {
      columns.data.set(textNumbers(reference, response, undefined, leaks), start + referenceText)
    }
    if (index % rowsAPiece === 0) yield { label: 'looking at texts', done: index, total: rows.length, unit: 'rows' }
  }
}

/** Columns of the comparisons with the true texts: of the written texts and of each control. */
function* fillPairs(
  { data }: Columns,
  rows: readonly EvaluationRow[],
  settings: Required<EvaluateOptions>,
): Generator<Progress> {
  const referenced = [...rows.keys()].filter((index) => rows[index]!.reference !== undefined)
  const vocabulary = new Vocabulary()
  const predictions = referenced.map((index) => tokenize(rows[index]!.prediction, vocabulary))
  const constant = tokenize(settings.constant, vocabulary)
  const shuffles = Array.from({ length: settings.shuffles }, (_, shuffle) =>
    derangement(referenced.length, settings.seed, shuffle),
  ).filter((taken) => taken.length > 0)

  for (const [place, index] of referenced.entries()) {
    const { reference, response } = rows[index]!
    const texts: { text: TokenizedText; to: number; weight: number }[] = [
      { text: predictions[place]!, to: predictionPair, weight: 1 },
      { text: constant, to: controlPair('constant'), weight: 1 },
    ]
    if (response !== undefined) {
      texts.push({ text: tokenize(firstWords(response), vocabulary), to: controlPair('firstWords'), weight: 1 })
    }
    for (const taken of shuffles) {
      // A mean over shufflings, of BLEU's and chrF's counts too: they are then those of one corpus of the same size.
      texts.push({ text: predictions[taken[place]!]!, to: controlPair('shuffled'), weight: 1 / shuffles.length })
    }
    const scores = scorePairs(
      texts.map(({ text }) => text),
      tokenize(reference!, vocabulary),
    )
    for (const [which, { to, weight }] of texts.entries()) {
      const start = index * width + to
      for (let column = 0; column < pairSize; column++) data[start + column]! += scores[which]![column]! * weight
    }
    if (place % rowsAPiece === 0) {
      yield { label: 'comparing with the true texts', done: place, total: referenced.length, unit: 'rows' }
    }
  }
}

interface Measured {
  metrics: Measurements
  resamples: DetailedEvaluation['resamples']
}

function* measure(
  columns: Columns,
  rows: readonly EvaluationRow[],
  chosen: Int32Array,
  settings: Required<EvaluateOptions>,
): Generator<number, Measured> {
  const sums = sumColumns(columns, chosen)
  const counted = wanted.filter(({ score }) => !Number.isNaN(score(sums)))
  const samples = yield* resampled(
    columns,
    chosen,
    counted.map(({ score }) => score),
    { resamples: settings.bootstrap, seed: settings.seed },
  )
  const found: Measurements = {}
  const resamples: Measured['resamples'] = {}
  for (const [index, { name, of, score }] of counted.entries()) {
    const interval = intervalOf(samples[index]!)
    const estimate: Estimate = { value: score(sums), ...(interval && { interval }) }
    if (of === 'prediction') {
      found[name] = estimate
      resamples[name] = samples[index]!
    } else if (of === 'references') found[name] = { ...found[name]!, references: estimate }
    else found[name] = { ...found[name]!, controls: { ...found[name]!.controls, [of]: estimate } }
  }
  return { metrics: { ...found, ...distinct(Array.from(chosen, (index) => rows[index]!)) }, resamples }
}

/** Rows of each source, most rows first; none where all rows have one. */
function sourcesOf(rows: readonly EvaluationRow[]): [string, Int32Array][] {
  const bySource = new Map<string, number[]>()
  for (const [index, { source }] of rows.entries()) {
    const name = source ?? '(none)'
    const members = bySource.get(name)
    if (members) members.push(index)
    else bySource.set(name, [index])
  }
  if (bySource.size < 2) return []
  return [...bySource]
    .map(([source, members]): [string, Int32Array] => [source, Int32Array.from(members)])
    .sort(([one, its], [other, others]) => others.length - its.length || (one < other ? -1 : 1))
}

function sourceOf(
  source: string,
  members: Int32Array,
  rows: readonly EvaluationRow[],
  metrics: Measurements,
): SourceEvaluation {
  const referenced = members.filter((index) => rows[index]!.reference !== undefined).length
  return { source, rows: members.length, referenced, metrics }
}
