// PEFT adapter folders, read and written: adapter_config.json, adapter_model.safetensors, and our bt_native.json.
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import type { LoraTensor, TargetModule } from '../../binding.js'
import { BtError, hasCode } from '../errors.js'
import { diskError, syncFolder, writeFileAtomic } from '../files.js'
import { adapterCard } from './adapter-card.js'
import { type AdapterConfig, adapterConfigJson, allTargets, parseAdapterConfig } from './adapter-config.js'
import { hubIdOfDemo } from './demo.js'
import { readIfThere, readJsonIfThere } from './json-file.js'
import { readSafetensors, writeSafetensors } from './safetensors.js'

export { allTargets } from './adapter-config.js'

/** A trained adapter; `r` to `tensors` are LoraOptions' fields. */
export interface Adapter extends AdapterConfig {
  folder: string
  /** For each layer, for each target in order, A then B; FP32. */
  tensors: LoraTensor[]
  /** Content of bt_native.json, where the folder has one. */
  btNative?: Record<string, unknown>
}

const configFile = 'adapter_config.json'
const weightsFile = 'adapter_model.safetensors'
const recordFile = 'bt_native.json'

/**
 * Reads a PEFT LoRA adapter. `baseModel` is the reference in bt_native.json where there is one, else PEFT's field.
 * @throws {BtError} BT_ADAPTER_NOT_FOUND, BT_ADAPTER_UNSUPPORTED by field or tensor, BT_ADAPTER_TENSOR for a missing
 * or misshapen matrix, BT_MODEL_CONFIG, BT_SAFETENSORS
 */
export async function readAdapter(path: string): Promise<Adapter> {
  const folder = resolve(path)
  const configPath = join(folder, configFile)
  const text = await readIfThere(configPath)
  if (text === undefined) {
    throw new BtError('BT_ADAPTER_NOT_FOUND', `${folder}: no ${configFile}: not an adapter folder`, {
      remedy: 'Give the --output folder of `bt-native train`, or a PEFT adapter.',
    })
  }
  const config = parseAdapterConfig(configPath, text)
  const weights = join(folder, weightsFile)
  await checkWeights(folder)
  const { tensors } = await readSafetensors(weights)
  const btNative = await readJsonIfThere(join(folder, recordFile), z.looseObject({}))
  const reference = z.looseObject({ model: z.looseObject({ reference: z.string() }) }).safeParse(btNative)
  return {
    ...config,
    baseModel: reference.success ? reference.data.model.reference : config.baseModel,
    folder,
    tensors: orderTensors(weights, config, tensors),
    btNative,
  }
}

async function checkWeights(folder: string): Promise<void> {
  const names = await readdir(folder)
  if (names.includes(weightsFile)) return
  if (names.includes('adapter_model.bin')) {
    throw new BtError(
      'BT_ADAPTER_UNSUPPORTED',
      `${folder}: only pickled weights (adapter_model.bin), which can run any code`,
      {
        remedy: "Save it once with PEFT's save_pretrained (it writes safetensors), from a source that you trust.",
      },
    )
  }
  throw new BtError('BT_ADAPTER_NOT_FOUND', `${folder}: no ${weightsFile}`)
}

/** "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight"; old PEFT put the adapter's name before "weight". */
const weightName =
  /^base_model\.model\.model\.(layers\.(\d+)\.(self_attn|mlp)\.(\w+)\.lora_([AB]))(?:\.default)?\.weight$/

/** Our names and order; every layer must have every target, of rank r. */
function orderTensors(path: string, { r, targets }: AdapterConfig, stored: LoraLike[]): LoraTensor[] {
  const found = new Map<string, LoraLike>()
  let layers = 0
  for (const tensor of stored) {
    const [, name, layer, , target] = weightName.exec(tensor.name) ?? []
    if (name === undefined || !targets.some((known) => known === target)) {
      throw new BtError(
        'BT_ADAPTER_UNSUPPORTED',
        `${path}: ${tensor.name} is not a LoRA matrix of ${targets.join(', ')}`,
      )
    }
    layers = Math.max(layers, Number(layer) + 1)
    found.set(name, tensor)
  }
  if (layers > stored.length) {
    const what = `names ${layers} layers and holds ${stored.length} matrices`
    throw new BtError('BT_ADAPTER_TENSOR', `${path}: ${what}`)
  }
  return tensorNames(layers, targets).map((name) => {
    const tensor = found.get(name)
    if (tensor === undefined) throw new BtError('BT_ADAPTER_TENSOR', `${path}: missing ${peftName(name)}`)
    const [rows = 0, columns = 0] = tensor.shape
    if (tensor.shape.length !== 2 || (name.endsWith('A') ? rows : columns) !== r) {
      throw new BtError('BT_ADAPTER_TENSOR', `${path}: ${tensor.name} is [${tensor.shape}], which does not fit r=${r}`)
    }
    return { name, shape: [rows, columns], data: tensor.data }
  })
}

type LoraLike = { name: string; shape: number[]; data: Float32Array }

function tensorNames(layers: number, targets: readonly TargetModule[]): string[] {
  if (layers === 0) return ['layers.0.self_attn.q_proj.lora_A'] // an empty file: named as missing by the caller
  return Array.from({ length: layers }, (_, layer) =>
    targets.flatMap((target) => {
      const part = ['gate_proj', 'up_proj', 'down_proj'].includes(target) ? 'mlp' : 'self_attn'
      return ['A', 'B'].map((side) => `layers.${layer}.${part}.${target}.lora_${side}`)
    }),
  ).flat()
}

function peftName(name: string): string {
  return `base_model.model.model.${name}.weight`
}

export interface WriteAdapterOptions {
  /** Hub id, path or alias of the base model. */
  baseModel: string
  r: number
  alpha: number
  dropout: number
  targets: readonly TargetModule[]
  rsLora?: boolean
  /** As lora.tensors() gives them. */
  tensors: readonly LoraTensor[]
  /** Content of bt_native.json; left alone when not given. */
  btNative?: object
}

/**
 * Writes a folder that PEFT loads as it is. A new folder appears whole or not at all; in one that exists each file is
 * replaced whole, the weights first and adapter_config.json last. A README.md that is there stays.
 * @throws {BtError} BT_DISK_FULL
 */
export async function writeAdapter(path: string, options: WriteAdapterOptions): Promise<void> {
  const folder = resolve(path)
  if (await isFolder(folder)) return writeFiles(folder, options)
  await mkdir(dirname(folder), { recursive: true })
  const temporary = join(dirname(folder), `.${basename(folder)}.${randomBytes(4).toString('hex')}.tmp`)
  try {
    await mkdir(temporary)
    await writeFiles(temporary, options)
    await rename(temporary, folder)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    // Another process made the folder in the meantime: what is in it is replaced file by file.
    if (hasCode(error, 'ENOTEMPTY') || hasCode(error, 'EEXIST')) return writeFiles(folder, options)
    throw diskError(error, folder)
  }
  await syncFolder(dirname(folder))
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}

async function writeFiles(folder: string, options: WriteAdapterOptions): Promise<void> {
  const config: AdapterConfig = {
    baseModel: hubIdOfDemo(options.baseModel) ?? options.baseModel,
    r: options.r,
    alpha: options.alpha,
    rsLora: options.rsLora ?? false,
    dropout: options.dropout,
    targets: allTargets.filter((target) => options.targets.includes(target)),
  }
  const tensors = options.tensors.map(({ name, shape, data }) => ({ name: peftName(name), shape, data }))
  await writeSafetensors(join(folder, weightsFile), tensors, { format: 'pt' })
  if (options.btNative !== undefined) {
    await writeFileAtomic(join(folder, recordFile), `${JSON.stringify(options.btNative, null, 2)}\n`)
  }
  const card = join(folder, 'README.md')
  if ((await readIfThere(card)) === undefined) await writeFileAtomic(card, adapterCard(config))
  await writeFileAtomic(join(folder, configFile), adapterConfigJson(config))
}
