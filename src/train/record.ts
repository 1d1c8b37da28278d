// bt_native.json of an output folder: what the run is, how far it came, and whether a new call may go on with it.
import { createHash } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BtError, hasCode } from '../errors.js'
import { writeFileAtomic } from '../files.js'
import { adapterCard } from '../models/adapter-card.js'
import { parseAdapterConfig } from '../models/adapter-config.js'
import { readIfThere } from '../models/json-file.js'
import type { ModelSource } from '../models/types.js'
import type { TemplateDescription } from '../text/types.js'
import type { RowCounts, TrainSummary } from './events.js'
import { parseLosses } from './metrics.js'
import { resultOptions, type TrainOptions, trainSchema } from './options.js'
import { eventFolder, removeEventFiles } from './tensorboard.js'

/** Everything that the trained weights are a function of. */
export interface RunIdentity {
  options: TrainOptions
  model: Pick<ModelSource, 'name' | 'reference' | 'hash' | 'parameters'>
  template: TemplateDescription
  /** Hex SHA-256 over the ids of all rows, in order: training, then validation. */
  data: string
}

/** Content of bt_native.json. */
export interface RunRecord extends RunIdentity {
  format: 1
  /** Version of the package that wrote it. */
  version: string
  /** That of the machine that the run was started on. */
  precision: 'fp32' | 'bf16' | 'fp16'
  rows?: RowCounts
  /** selectedStep: the adapter beside this file is the one after that step. */
  training: { state: 'running'; selectedStep: number } | ({ state: 'finished' } & TrainSummary)
}

export const recordFile = 'bt_native.json'

/** The record of a run in `folder`, if there is one. */
export async function readRecord(folder: string): Promise<RunRecord | undefined> {
  try {
    return parseLosses(await readFile(join(folder, recordFile), 'utf8')) as RunRecord
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    if (!(error instanceof SyntaxError)) throw error
    throw new BtError('BT_RUN_RECORD', `${join(folder, recordFile)} is no JSON: ${error.message}`, {
      remedy: 'Restore the file, or start over with --force.',
    })
  }
}

export async function writeRecord(folder: string, record: RunRecord): Promise<void> {
  await writeFileAtomic(join(folder, recordFile), `${JSON.stringify(record, null, 2)}\n`)
}

/** Fingerprint of the rows of a run, in order. */
export function dataHash(train: { id: string }[], validation: { id: string }[]): string {
  const hash = createHash('sha256')
  for (const { id } of train) hash.update(`${id}\n`)
  hash.update('|')
  for (const { id } of validation) hash.update(`${id}\n`)
  return hash.digest('hex')
}

/**
 * Refuses to go on with a run that was started with something else.
 * @throws {BtError} BT_RUN_CHANGED naming each difference, old and new
 */
export function checkIdentity(folder: string, old: RunRecord, now: RunIdentity): void {
  const changes = identityChanges(old, now)
  if (changes.length === 0) return
  throw new BtError('BT_RUN_CHANGED', `${folder} holds a run with ${changes.join('; ')}`, {
    remedy: 'Give the old values to go on with it, another --output for a new run, or --force to start over.',
  })
}

/** Files are compared by content, prompts by the template's hash: moved or renamed files are the same. */
const comparedByContent: (keyof TrainOptions)[] = ['model', 'data', 'validationData', 'columns', 'task', 'ask', 'form']

/** Options that say how the rows of a step fall into batches, and with no budget of tokens how many rows there are. */
const splitOfStep: (keyof TrainOptions)[] = ['batchSize', 'gradAccumSteps']

type SplitOptions = Pick<TrainOptions, 'batchSize' | 'gradAccumSteps' | 'tokensPerStep'>

/**
 * Whether two runs that differ in splitOfStep alone make the same optimizer steps: the loss is weighted by token over the
 * whole step and dropout is a function of row and position, so the split changes the order of sums and no more.
 */
function sameSteps(old: SplitOptions, now: SplitOptions): boolean {
  if (old.tokensPerStep !== undefined || now.tokensPerStep !== undefined) {
    return old.tokensPerStep === now.tokensPerStep
  }
  return old.batchSize * old.gradAccumSteps === now.batchSize * now.gradAccumSteps
}

function identityChanges(old: RunIdentity, now: RunIdentity): string[] {
  const changes: string[] = []
  // An option that is younger than the record had its default.
  const complete = trainSchema.safeParse(old.options)
  const oldOptions = complete.success ? complete.data : old.options
  const split = sameSteps(oldOptions, now.options) ? splitOfStep : []
  // Before there was a choice of turns, conversations gave their first pairs: the rows tell.
  const unknown: (keyof TrainOptions)[] = 'turns' in old.options ? [] : ['turns']
  for (const option of resultOptions) {
    if ([...comparedByContent, ...split, ...unknown].includes(option)) continue
    const [before, after] = [oldOptions[option], now.options[option]].map((value) => JSON.stringify(value) ?? 'not set')
    if (before !== after) changes.push(`${option} ${before}, not ${after}`)
  }
  if (old.model.hash !== now.model.hash) {
    changes.push(
      `model ${old.model.reference} (${old.model.hash.slice(0, 12)}), not ${now.model.reference} (${now.model.hash.slice(0, 12)})`,
    )
  }
  const [oldTemplate, template] = [nameOf(old.template), nameOf(now.template)]
  if (oldTemplate !== template) changes.push(`template ${oldTemplate}, not ${template}`)
  if (old.data !== now.data) {
    changes.push(
      `other rows (data ${old.data.slice(0, 12)} from ${old.options.data}, not ${now.data.slice(0, 12)} from ${now.options.data})`,
    )
  }
  return changes
}

function nameOf({ task, form, hash, ask, conversation }: TemplateDescription): string {
  return `${task}/${form} ${hash}${conversation ? `+${conversation.hash}` : ''} "${ask}"`
}

/** Locked while a run writes. It stays when the run goes: a second process may be waiting at the file of this name. */
export const runLock = '.lock'

/** Files and folders that a run makes in its output folder, beside the lock and the model card. */
const ownNames =
  /^(bt_native\.json|metrics\.jsonl|samples\.jsonl|report\.html|adapter_config\.json|adapter_model\.safetensors|best|last|checkpoint-\d+(\.tmp)?)$/

/** Removes what a run made in `folder`, and nothing else. */
export async function removeRun(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => ownNames.test(name))
  if (await hasOwnCard(folder)) names.push('README.md')
  // The record goes last: a kill in the midst must not leave weights without the word on what they are.
  for (const name of names.filter((name) => name !== recordFile))
    await rm(join(folder, name), { recursive: true, force: true })
  await removeEventFiles(join(folder, eventFolder))
  await rm(join(folder, recordFile), { force: true })
}

/** Whether the model card is as it was made: one that somebody wrote or edited is theirs. */
async function hasOwnCard(folder: string): Promise<boolean> {
  const configPath = join(folder, 'adapter_config.json')
  const [card, config] = await Promise.all([readIfThere(join(folder, 'README.md')), readIfThere(configPath)])
  if (card === undefined || config === undefined) return false
  try {
    return card === adapterCard(parseAdapterConfig(configPath, config))
  } catch (error) {
    if (error instanceof BtError) return false // not an adapter of ours, so neither is the card
    throw error
  }
}

/**
 * Refuses a folder without a record of ours that holds files which a run would overwrite.
 * @throws {BtError} BT_OUTPUT_EXISTS
 */
export async function refuseForeign(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => ownNames.test(name))
  if (names.length === 0) return
  throw new BtError('BT_OUTPUT_EXISTS', `${folder} holds ${names.join(', ')}, which no run of bt-native recorded`, {
    remedy: 'Choose another --output, or --force to overwrite them.',
  })
}
