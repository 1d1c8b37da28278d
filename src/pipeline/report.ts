// A run's folder as its report: read from the state and what the stages left, written as report.html after each of them.
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { CurateSummary } from '../curate/types.js'
import { Drops } from '../data/drops.js'
import { readRecords } from '../data/records.js'
import { hasCode } from '../errors.js'
import { writeFileAtomic } from '../files.js'
import type { Evaluation } from '../metrics/types.js'
import type { RunComparison, RunCuration, RunLosses, RunReport, RunSample, RunStage } from '../report/run.js'
import { runPage } from '../report/run-page.js'
import type { Fact } from '../report/training.js'
import { readReport } from '../train/report.js'
import { packageVersion } from '../version.js'
import { producersOf } from './execute.js'
import { comparisonFile, curatedFiles, instructionsFile, lineageFile, modelFolder, reportFile } from './files.js'
import type { Recipe } from './recipe.js'
import type { Stage } from './stage.js'
import type { ModelComparison } from './stages/evaluate.js'
import type { RunState, StageRecord } from './state.js'

/** Writes report.html. @returns its path, and what it shows */
export async function writeRunReport(
  folder: string,
  recipe: Recipe,
  stages: Stage[],
  state: RunState,
): Promise<{ report: string; shown: RunReport }> {
  const report = join(folder, reportFile)
  const shown = await runReport(folder, recipe, stages, state)
  await writeFileAtomic(report, runPage(shown))
  return { report, shown }
}

/** What the report of a run shows. */
async function runReport(folder: string, recipe: Recipe, stages: Stage[], state: RunState): Promise<RunReport> {
  const records = new Map(state.stages.map((record) => [record.name, record]))
  const done = stages.filter(({ name }) => records.get(name)?.status === 'done')
  const evaluation = await readJson<Evaluation>(join(folder, instructionsFile))
  const comparison = await readJson<ModelComparison>(join(folder, comparisonFile))
  const trained = done.filter(({ kind }) => kind === 'train').map(({ name }) => name)
  return {
    title: recipe.name,
    subtitle: `${recipe.model} · ${basename(folder)} · bt-native ${packageVersion()}`,
    started: state.stages[0]?.started,
    summary: rowFacts(records),
    stages: stages.map((stage) => stageOf(stage, records.get(stage.name), stages)),
    curations: await Promise.all(
      done.filter(({ kind }) => kind === 'score').map(({ name }) => curationOf(folder, records.get(name)!)),
    ),
    losses: await Promise.all(trained.map((name) => lossesOf(folder, name))),
    comparisons: [
      ...(evaluation ? instructionComparison(evaluation) : []),
      ...(comparison ? modelComparisons(comparison) : []),
    ],
    settings: settingsOf(recipe),
    lineage: { file: lineageFile },
  }
}

function rowFacts(records: Map<string, StageRecord>): Fact[] {
  const rows = (name: string) => records.get(name)?.rowsOut
  const facts: [string, number | undefined][] = [
    ['rows of the seed', rows('seed')],
    ['texts of the corpus', rows('corpus')],
    ['pairs written', rows('augment')],
    ['kept in the end', [...records.values()].findLast(({ name }) => name.startsWith('curate-'))?.rowsOut],
  ]
  return facts.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value: value.toLocaleString('en-US') }]))
}

function stageOf(stage: Stage, record: StageRecord | undefined, stages: Stage[]): RunStage {
  const { name, title } = stage
  const { rowsIn, rowsOut, seconds, note, error, dropped = [] } = record ?? {}
  const status = record === undefined || record.status === 'stale' ? 'waiting' : record.status
  return { name, title, status, after: producersOf(stage, stages), rowsIn, rowsOut, seconds, note, error, dropped }
}

async function curationOf(folder: string, { name, summary }: StageRecord): Promise<RunCuration> {
  const { rows, kept, histograms, calibration } = summary as unknown as CurateSummary
  const iteration = Number(name.split('-')[1])
  return {
    iteration,
    rows,
    kept,
    histograms,
    calibration: (calibration?.scores ?? []).map(({ score, all, kinds }) => ({ score, ...all, kinds })),
    samples: await samplesOf(join(folder, curatedFiles(iteration).scored)),
  }
}

/** Rows of each kind that a report shows. */
const samplesShown = 4

/** The first rows that were kept, and the first that were not. */
async function samplesOf(path: string): Promise<RunSample[]> {
  const found: Record<'kept' | 'dropped', RunSample[]> = { kept: [], dropped: [] }
  for await (const { value } of readRecords(path, { drops: new Drops() })) {
    const list = found[value.kept === true ? 'kept' : 'dropped']
    if (list.length < samplesShown) list.push(sampleOf(value))
    if (found.kept.length === samplesShown && found.dropped.length === samplesShown) break
  }
  return [...found.kept, ...found.dropped]
}

const shownScores = ['fit', 'quality', 'pmi', 'ifd', 'ending', 'backwardPmi']

function sampleOf(row: Record<string, unknown>): RunSample {
  return {
    id: String(row.id),
    instruction: String(row.instruction),
    response: String(row.response),
    kept: row.kept === true,
    why: String(row.why ?? ''),
    scores: shownScores.flatMap((name) => (typeof row[name] === 'number' ? [{ name, value: row[name] }] : [])),
  }
}

async function lossesOf(folder: string, model: string): Promise<RunLosses> {
  const { steps, validations } = await readReport(join(folder, modelFolder(model)))
  return {
    model,
    training: steps.map(({ step, smoothedLoss }) => [step, smoothedLoss ?? Number.NaN]),
    validation: validations.map(({ step, validationLoss }) => [step, validationLoss ?? Number.NaN]),
  }
}

function instructionComparison({ metrics, rows }: Evaluation): RunComparison[] {
  const { rougeL } = metrics
  if (!rougeL) return []
  const { shuffled, constant, firstWords } = rougeL.controls ?? {}
  const controls = {
    'of another row': shuffled,
    'one question for all': constant,
    'first words of the response': firstWords,
  }
  return [
    {
      title: 'Instructions for held-out responses',
      unit: 'ROUGE-L',
      note: `Against the instructions that people wrote for ${rows.toLocaleString('en-US')} responses.`,
      systems: [
        { name: 'backward model', value: rougeL.value, interval: rougeL.interval },
        ...Object.entries(controls).flatMap(([name, found]) =>
          found ? [{ name, value: found.value, interval: found.interval, control: true }] : [],
        ),
      ],
    },
  ]
}

/** A comparison that an earlier version made has no shuffled control: it stands until its stage runs again. */
function modelComparisons({ tokens, shuffled = [], written, judged, ...likelihood }: ModelComparison): RunComparison[] {
  const rows = likelihood.rows.toLocaleString('en-US')
  const measured = measuredOf(likelihood)
  return [
    {
      title: 'Log-likelihood of held-out responses',
      unit: 'nats a token',
      note: `${rows} pairs that no model was trained on, ${tokens.toLocaleString('en-US')} tokens.`,
      ...measured,
      systems: [...measured.systems, ...shuffledControl(shuffled)],
    },
    ...(written
      ? [
          {
            title: 'Responses to held-out instructions',
            unit: 'ROUGE-L',
            note: `Against the responses that people wrote to ${written.rows.toLocaleString('en-US')} instructions.`,
            ...measuredOf(written),
          },
        ]
      : []),
    ...(judged ? [judgeComparison(judged)] : []),
  ]
}

type Measured = Pick<ModelComparison, 'models' | 'differences'>

/** The base model comes first, as the loop begins with it. */
function measuredOf({ models, differences }: Measured): Pick<RunComparison, 'systems' | 'differences'> {
  const base = models.filter(({ name }) => name === 'base')
  return {
    systems: [...base, ...models.filter(({ name }) => name !== 'base')].map((one) => {
      return { ...one, name: modelTitle(one.name), control: one.name === 'control' }
    }),
    differences: differences.map((one) => ({
      ...one,
      name: modelTitle(one.name),
      baseline: modelTitle(one.baseline),
    })),
  }
}

/** What the loop's last model makes of responses that do not answer the instruction. */
function shuffledControl(shuffled: ModelComparison['shuffled']): RunComparison['systems'] {
  const last = shuffled.findLast(({ name }) => /^m\d+$/.test(name))
  return last ? [{ ...last, name: `${modelTitle(last.name)}, responses of other rows`, control: true }] : []
}

function judgeComparison({ model, preferences }: NonNullable<ModelComparison['judged']>): RunComparison {
  return {
    title: 'Preferred by a judge',
    unit: '% of wins and half the ties',
    note: `${model}, asked in both orders: a win is one in both. An even match is 50.`,
    systems: preferences.flatMap(({ model, baseline, control, rate }) => {
      if (!rate) return []
      const { value, interval } = rate
      const name = `${modelTitle(model)} against ${modelTitle(baseline)}`
      const percent = interval && { interval: interval.map((bound) => 100 * bound) as [number, number] }
      return [{ name, control, value: 100 * value, ...percent }]
    }),
  }
}

/** "m1" as people write it. */
function modelTitle(name: string): string {
  return name === 'base' ? 'base model' : name.replace(/^m(\d+)$/, 'M_$1')
}

/** Options of a part as "part.option"; a list as JSON. */
function settingsOf(recipe: Recipe): Fact[] {
  return Object.entries(recipe).flatMap(([part, value]: [string, unknown]) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return settingOf(part, value)
    return Object.entries(value).flatMap(([option, of]) => settingOf(`${part}.${option}`, of))
  })
}

function settingOf(name: string, value: unknown): Fact[] {
  return value === undefined ? [] : [{ name, value: typeof value === 'string' ? value : JSON.stringify(value) }]
}

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
