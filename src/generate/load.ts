// What a generation stands on: adapter, base model, template, and in the end a sampler over them.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Lora, Model, Sampler } from '../../binding.js'
import { BtError, hasCode } from '../errors.js'
import { sha256File } from '../files.js'
import { type Adapter, readAdapter } from '../models/adapter.js'
import { openModel } from '../models/open.js'
import type { ModelSource } from '../models/types.js'
import type { OnProgress } from '../progress.js'
import { makeTemplate, templateFromDescription } from '../text/template.js'
import { openTokenizer } from '../text/tokenizer.js'
import type { PromptTemplate, Task, Tokenizer } from '../text/types.js'
import { type Machine, type MachineOptions, openMachine } from './machine.js'
import type { GenerateOptions } from './options.js'
import { samplerOptions } from './sampling.js'

/** Everything that is known without libtorch. */
export interface Located {
  source: ModelSource
  tokenizer: Tokenizer
  template: PromptTemplate
  adapter?: Adapter & { hash: string }
  /** System text that every prompt has; undefined for none. */
  system?: string
}

/** What names the model: an adapter, whose base it is, or itself. */
export type Named = Pick<GenerateOptions, 'adapter' | 'model'>

/** And what it is told: '' for nothing; what its rows were told in training if not given. */
export interface Told {
  system?: string | undefined
}

/** How to watch reading and downloads, and end them. */
export interface LocateControl {
  onProgress?: OnProgress
  signal?: AbortSignal
  /** Once each. */
  onWarning?: (text: string) => void
}

/** The part of bt_native.json that generation needs. */
const recordSchema = z.looseObject({
  model: z.looseObject({ reference: z.string(), hash: z.string() }),
  template: z.object({
    task: z.enum(['backward', 'forward']),
    form: z.enum(['chat', 'plain']),
    ask: z.string(),
    hash: z.string(),
    text: z.string().optional(),
    conversation: z.object({ hash: z.string(), text: z.string() }).optional(),
    systems: z.array(z.object({ text: z.string(), rows: z.number() })).optional(),
  }),
})

/**
 * Finds adapter and base model and compiles the template that the adapter was trained with.
 * @throws {BtError} BT_USAGE when neither is named or rows may grow longer than the model reads; BT_TEMPLATE_MISMATCH;
 * what readAdapter and openModel throw
 */
export async function locate(options: GenerateOptions, control: LocateControl): Promise<Located> {
  const located = await locateModel(options, control)
  refuseTooLong(located.source, options)
  return withTask(located, options.task, options, wrongTask('--task'))
}

/** The error for a task that the adapter of this folder was not trained for. */
export type RefuseTask = (folder: string, task: Task, trained: Task) => BtError

/**
 * The same model for a task: an adapter has its own, a model alone the default template of either.
 * @param task undefined for the one that it has
 * @throws {BtError} what `refuse` makes, for a task that the adapter was not trained for
 */
export async function withTask(
  located: Located,
  task: Task | undefined,
  told: Told,
  refuse: RefuseTask,
): Promise<Located> {
  const { template, adapter, tokenizer, source } = located
  if (task === undefined || task === template.task) return located
  if (!adapter) return withSystem({ ...located, template: await makeTemplate(task, tokenizer, source.tokenizer) }, told)
  throw refuse(adapter.folder, task, template.task)
}

/** Where a flag names the task. */
export function wrongTask(flag: string): RefuseTask {
  return (folder, task, trained) =>
    new BtError('BT_USAGE', `${flag} ${task}: ${folder} was trained for the ${trained} task`, {
      remedy: `Leave ${flag} out, or name another adapter or the base model alone.`,
    })
}

/** The same for whoever computes nothing that grows. */
export async function locateModel(options: Named & Told, control: LocateControl): Promise<Located> {
  const { adapter: folder, model } = await adapterOrModel(options)
  const adapter = folder === undefined ? undefined : await openAdapter(folder)
  const reference = model ?? adapter?.baseModel
  if (!reference) {
    throw new BtError('BT_USAGE', adapter ? `${folder} names no base model` : '--adapter is missing', {
      remedy: adapter ? 'Name the model that it was trained on with --model.' : 'Name an adapter, or a --model alone.',
    })
  }
  const source = await openModel(reference, control)
  const tokenizer = await openTokenizer(source.tokenizer)
  const template = await templateOf(adapter, source, tokenizer, control)
  return withSystem({ source, tokenizer, template, adapter }, options)
}

/** Puts the system text into the template of a forward model: the one that is given, else all that its rows had. */
async function withSystem(located: Located, { system: given }: Told): Promise<Located> {
  const { template, adapter } = located
  if (template.task === 'backward') return located
  const record = recordSchema.safeParse(adapter?.btNative)
  const learned = record.success ? (record.data.template.systems ?? []).map(({ text }) => text).join(' ') : ''
  const system = (given ?? learned).trim()
  return system === '' ? located : { ...located, system, template: await template.withSystem(system) }
}

function refuseTooLong({ name, config: { maxPositions } }: ModelSource, { maxTokens, maxNewTokens }: GenerateOptions) {
  if (maxPositions === 0 || maxTokens + maxNewTokens <= maxPositions) return
  throw new BtError(
    'BT_USAGE',
    `--max-tokens ${maxTokens} and --max-new-tokens ${maxNewTokens}: ${name} reads at most ${maxPositions} tokens`,
    { remedy: `Lower them to ${maxPositions} or less together.` },
  )
}

/** An adapter folder given as the model is taken for what it is. */
export async function adapterOrModel({ adapter, model }: Named): Promise<Named> {
  if (adapter !== undefined || model === undefined) return { adapter, model }
  try {
    await stat(join(model, 'adapter_config.json'))
    return { adapter: model }
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return { model }
    throw error
  }
}

async function openAdapter(folder: string): Promise<Adapter & { hash: string }> {
  const adapter = await readAdapter(folder)
  return { ...adapter, hash: await sha256File(join(folder, 'adapter_model.safetensors')) }
}

async function templateOf(
  adapter: Adapter | undefined,
  source: ModelSource,
  tokenizer: Tokenizer,
  control: LocateControl,
): Promise<PromptTemplate> {
  const record = recordSchema.safeParse(adapter?.btNative)
  if (!record.success) {
    if (adapter) {
      control.onWarning?.(
        `${adapter.folder} does not say which prompt it was trained with (no bt_native.json): taking the default one for the backward task`,
      )
    }
    return makeTemplate('backward', tokenizer, source.tokenizer)
  }
  const { model, template } = record.data
  if (model.hash !== source.hash) {
    control.onWarning?.(
      `the adapter was trained on ${model.reference} (${model.hash.slice(0, 12)}), not on ${source.reference} (${source.hash.slice(0, 12)})`,
    )
  }
  return templateFromDescription(template, tokenizer, source.tokenizer)
}

/** A model with its adapter on a device. */
export interface Loaded {
  machine: Machine
  model: Model
  lora?: Lora
}

/** Opens libtorch and loads the model with its adapter. The caller closes machine.runtime. */
export async function loadModel(options: MachineOptions, { source, adapter }: Located): Promise<Loaded> {
  const machine = await openMachine(options)
  try {
    const { config, files, tensors } = source
    const model = await machine.runtime.loadModel({ config, files, tensors, dtype: machine.dtype, lazy: true })
    const lora = adapter && (await model.attachLora({ ...loraOptions(adapter), seed: 0 }))
    return { machine, model, lora }
  } catch (error) {
    await machine.runtime.close()
    throw error
  }
}

/** The same, with a sampler over it. @throws {BtError} BT_USAGE for a token that the model has not */
export async function loadSampler(options: GenerateOptions, located: Located): Promise<Loaded & { sampler: Sampler }> {
  const sampling = await samplerOptions(options, located)
  const loaded = await loadModel(options, located)
  try {
    return { ...loaded, sampler: await loaded.model.createSampler(sampling, loaded.lora) }
  } catch (error) {
    await loaded.machine.runtime.close()
    throw error
  }
}

/** Dropout plays no part in what is not trained. */
export function loraOptions({ r, alpha, rsLora, targets, tensors }: Adapter) {
  return { r, alpha, rsLora, targets, tensors, dropout: 0 }
}
