// A run's output folder as its report: read, put into words, written as report.html. How it looks is the report folder's.
import { basename, join, resolve } from 'node:path'
import { BtError } from '../errors.js'
import { writeFileAtomic } from '../files.js'
import type { Fact, ReportSample, ReportStep, ReportValidation, TrainingReport } from '../report/training.js'
import { readLines } from './metrics.js'
import { type TrainOptions, trainFields, trainSchema } from './options.js'
import { type RunRecord, readRecord } from './record.js'
import { samplesFile } from './samples.js'

export const reportFile = 'report.html'

/**
 * Writes report.html into the output folder of `train`, from what lies there alone: for a run that goes on, was killed or
 * is finished.
 * @returns the page's path, and what it shows
 * @throws {BtError} BT_RUN_NOT_FOUND when the folder holds no run; BT_RUN_RECORD, BT_METRICS for damaged files;
 * BT_DISK_FULL
 */
export async function trainReport(folder: string): Promise<{ path: string; report: TrainingReport }> {
  const { trainingPage } = await import('../report/training-page.js')
  const report = await readReport(folder)
  const path = join(folder, reportFile)
  await writeFileAtomic(path, trainingPage(report))
  return { path, report }
}

/**
 * What the report of a run shows.
 * @throws {BtError} as trainReport
 */
export async function readReport(folder: string): Promise<TrainingReport> {
  const record = await readRecord(folder)
  if (!record) {
    throw new BtError('BT_RUN_NOT_FOUND', `${folder} holds no run: there is no bt_native.json`, {
      remedy: 'Name the --output folder of bt-native train.',
    })
  }
  const lines = await readLines(join(folder, 'metrics.jsonl'))
  const steps = lines.filter((line) => 'loss' in line) as unknown as ReportStep[]
  const validations = lines.filter((line) => 'validationLoss' in line) as unknown as ReportValidation[]
  const samples = (await readLines(join(folder, samplesFile))) as unknown as ReportSample[]
  const { options, training } = record
  return {
    title: basename(resolve(folder)),
    subtitle: `${record.model.name} · ${options.task} · bt-native ${record.version}`,
    finished: training.state === 'finished',
    lastStep: steps.at(-1)?.step ?? 0,
    selectedStep: training.selectedStep,
    steps,
    validations,
    samples,
    summary: summaryOf(record, steps, validations),
    model: modelFacts(record),
    data: dataFacts(record),
    template: templateFacts(record),
    options: optionFacts(options),
  }
}

function summaryOf({ training, options }: RunRecord, steps: ReportStep[], validations: ReportValidation[]): Fact[] {
  const last = steps.at(-1)
  const base = validations.find(({ step }) => step === 0)?.validationLoss
  const tested = validations.findLast(({ step }) => step > 0)?.validationLoss
  const facts: Fact[] = [{ name: 'Training loss, smoothed', value: fixed(last?.smoothedLoss) }]
  if (base !== undefined) {
    facts.push({ name: 'Validation loss, base to last', value: `${fixed(base)} → ${fixed(tested)}` })
  }
  if (training.selectedStep > 0) facts.push({ name: 'Adapter here', value: `of step ${count(training.selectedStep)}` })
  facts.push({ name: 'Steps', value: count(last?.step ?? 0) })
  facts.push({ name: 'Epochs', value: `${Number((last?.epoch ?? 0).toFixed(2))} of ${options.epochs}` })
  if (training.state === 'finished') {
    facts.push({ name: 'Speed', value: `${count(training.tokensPerSecond)} tokens/s` })
    facts.push({ name: 'Time', value: duration(training.seconds) })
    facts.push({ name: 'Peak memory', value: gigabytes(training.peakMemory) })
    if (training.peakDeviceMemory > 0) {
      facts.push({ name: 'Peak memory, device', value: gigabytes(training.peakDeviceMemory) })
    }
  } else if (steps.length > 0) {
    const mean = steps.reduce((sum, { tokensPerSecond }) => sum + tokensPerSecond, 0) / steps.length
    facts.push({ name: 'Speed, mean of steps', value: `${count(mean)} tokens/s` })
  }
  facts.push({ name: 'Steps skipped', value: count(steps.filter(({ skipped }) => skipped).length) })
  facts.push({ name: 'Steps that stood out', value: count(steps.filter(({ spike }) => spike).length) })
  return facts
}

function modelFacts({ model, options, precision }: RunRecord): Fact[] {
  return [
    { name: 'model', value: model.name },
    { name: 'place', value: model.reference },
    { name: 'hash', value: model.hash.slice(0, 12) },
    { name: 'weights', value: `${count(model.parameters)}, frozen` },
    { name: 'LoRA', value: `r ${options.r}, alpha ${options.alpha}, ${options.targets.join(' ')}` },
    { name: 'precision', value: precision },
  ]
}

function dataFacts({ options, rows, data }: RunRecord): Fact[] {
  const facts: Fact[] = [{ name: 'file', value: options.data }]
  if (options.validationData) facts.push({ name: 'validation file', value: options.validationData })
  facts.push({ name: 'hash of the rows', value: data.slice(0, 12) })
  if (!rows) return facts
  facts.push({ name: 'training rows', value: count(rows.train) })
  // Records of versions that knew no conversations have no count of targets: each row had one.
  if ((rows.targets ?? 0) > rows.train) facts.push({ name: 'targets in them', value: count(rows.targets) })
  facts.push({ name: 'validation rows', value: count(rows.validation) })
  for (const { reason, count: left } of rows.dropped) facts.push({ name: `dropped: ${reason}`, value: count(left) })
  facts.push({ name: 'left out: target too long', value: count(rows.tooLong) })
  facts.push({ name: 'cut to fit', value: `${count(rows.cutRows)} rows, ${count(rows.cutTokens)} tokens` })
  facts.push({ name: 'tokens', value: count(rows.tokens) })
  const share = (100 * rows.scoredTokens) / rows.tokens
  facts.push({ name: 'scored', value: `${count(rows.scoredTokens)} tokens (${share.toFixed(1)} %)` })
  return facts
}

function templateFacts({ template: { task, form, ask, hash, text, conversation } }: RunRecord): Fact[] {
  const facts: Fact[] = [
    { name: 'task', value: task },
    { name: 'form', value: form },
    { name: 'hash', value: hash },
    { name: 'ask', value: ask },
  ]
  if (text !== undefined) facts.push({ name: 'prompt', value: text })
  if (conversation) facts.push({ name: 'conversation', value: `${conversation.hash}: ${conversation.text}` })
  return facts
}

/** Every option of the table, in its order; those that the run's version did not know are left out. */
function optionFacts(options: TrainOptions): Fact[] {
  const defaults = trainSchema.parse({ model: options.model, data: options.data }) as Record<string, unknown>
  return Object.keys(trainFields).flatMap((name) => {
    const value = (options as Record<string, unknown>)[name]
    if (value === undefined) return []
    const marked = name !== 'output' && JSON.stringify(value) !== JSON.stringify(defaults[name])
    return [{ name, value: Array.isArray(value) ? value.join(', ') : String(value), marked }]
  })
}

function fixed(loss: number | null | undefined): string {
  if (loss === undefined) return '–'
  return loss === null ? 'not finite' : loss.toFixed(3)
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`
}

function duration(seconds: number): string {
  const whole = Math.round(seconds)
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)]
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`
}
