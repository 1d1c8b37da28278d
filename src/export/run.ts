// An export from options to files: the adapter merged into its base, written whole, read back and compared.
import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { Runtime } from '../../binding.js'
import { writeFileAtomic } from '../files.js'
import { type Located, locateModel } from '../generate/load.js'
import { openMachine } from '../generate/machine.js'
import { openGguf } from '../models/gguf.js'
import { writeGguf } from '../models/gguf-write.js'
import type { TorchDtype } from '../models/hf-config-write.js'
import { openFolder } from '../models/hf-folder.js'
import { writeHfFolder } from '../models/hf-folder-write.js'
import { storedBytes } from '../models/layout.js'
import type { PlainTensor } from '../models/safetensors-write.js'
import type { ModelSource } from '../models/types.js'
import { openAhead } from '../native/ahead.js'
import type { OnProgress } from '../progress.js'
import { standardJson } from '../text/vocabulary.js'
import { packageVersion } from '../version.js'
import { compareModels } from './compare.js'
import { ggufDescription, ropeTensor } from './gguf.js'
import { completeExport, dtypes, type ExportInput, type ExportOptions } from './options.js'
import { comparedRows } from './prompts.js'
import { checkRoom, checkTarget, recordFile, replaceFolder } from './target.js'
import { type ExportPiece, mergedCount, outgoingTensors, type TensorPlan } from './tensors.js'
import type { ExportStart, ExportSummary, ExportWritten } from './types.js'

/** How to watch an export and end it. */
export interface ExportControl {
  /** Stop at once: with BT_ABORTED or the signal's reason. Nothing is left of a file that was not whole. */
  signal?: AbortSignal
  onProgress?: OnProgress
  /** Before anything is written. */
  onStart?: (start: ExportStart) => void
  /** The files are there; the comparison is still to come. */
  onWritten?: (written: ExportWritten) => void
  /** Once each. */
  onWarning?: (text: string) => void
}

/**
 * Merges an adapter into its base model and writes the result as a Hugging Face folder or a GGUF file: each weight is
 * read in FP32, scale * B A is added, and the sum is rounded once. Memory holds one piece of one weight. Then the result
 * is read back and its logits are compared with the unmerged model's on real rows.
 * @throws {BtError} BT_USAGE for options; BT_OUTPUT_EXISTS; BT_EXPORT_UNSUPPORTED and BT_TOKENIZER_UNKNOWN when the format
 * cannot say what the model is; BT_TENSOR_RANGE when a weight is beyond the type; BT_ADAPTER_TENSOR; BT_DISK_FULL; what
 * reading model and adapter throws
 */
export async function exportModel(input: ExportInput, control: ExportControl = {}): Promise<ExportSummary> {
  const options = completeExport(input)
  openAhead({ device: options.device })
  const output = resolve(options.output)
  await checkTarget(output, options.to, options.force)
  const located = await locateModel(options, control)
  const compared = options.rows > 0 ? await comparedRows(options, located) : undefined
  const machine = await openMachine(options)
  const leave = () => machine.runtime.abort()
  control.signal?.addEventListener('abort', leave)
  try {
    const written = await write({ ...options, output }, located, machine.runtime, control)
    control.onWritten?.(written)
    if (compared === undefined) return { ...written, dtype: options.dtype }
    const exported = await openExported(options.to, output)
    const comparison = await compareModels({ machine, located, exported, compared }, control)
    return { ...written, dtype: options.dtype, comparison }
  } finally {
    control.signal?.removeEventListener('abort', leave)
    await machine.runtime.close()
  }
}

function openExported(to: ExportOptions['to'], output: string): Promise<ModelSource> {
  return to === 'gguf' ? openGguf(output) : openFolder(output)
}

async function write(
  options: ExportOptions,
  located: Located,
  runtime: Runtime,
  control: ExportControl,
): Promise<ExportWritten> {
  const started = performance.now()
  const { to, output, dtype } = options
  const type = dtypes[dtype]
  const { source, adapter } = located
  const description =
    to === 'gguf' ? await ggufDescription(located, type, basename(output).replace(/\.gguf$/i, '')) : undefined
  const plan: TensorPlan = { source, adapter, to, type, interleaved: description?.interleaved ?? false }
  const progress = { done: 0, total: 0 }
  const piece: ExportPiece = async (one) => {
    control.signal?.throwIfAborted()
    const bytes = await runtime.exportTensor(one)
    progress.done += bytes.length
    control.onProgress?.({ label: `writing ${basename(output)}`, ...progress, unit: 'bytes' })
    return bytes
  }
  const tensors = outgoingTensors(plan, piece)
  if (description?.ropeFactors) tensors.push(ropeTensor(description.ropeFactors))
  progress.total = tensors.reduce((sum, tensor) => sum + storedBytes(tensor.type, tensor.shape)!, 0)
  await checkRoom(output, progress.total)
  const merged = mergedCount(plan)
  control.onStart?.({
    model: source.name,
    adapter: adapter?.folder,
    to,
    dtype,
    output,
    tensors: tensors.length,
    merged,
    bytes: progress.total,
  })
  const { slidingWindow } = source.config
  if (to === 'gguf' && slidingWindow > 0) {
    control.onWarning?.(
      `${source.name} attends to the last ${slidingWindow} tokens; llama.cpp attends to all in such files, so longer texts come out differently there`,
    )
  }
  if (description) await writeGguf(output, description.metadata, tensors)
  const files = description ? [output] : await writeFolder(options, located, tensors as PlainTensor[])
  return { output, bytes: await sizeOf(files), files, seconds: (performance.now() - started) / 1000 }
}

const torchDtypes: Readonly<Record<string, TorchDtype>> = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' }

async function writeFolder(options: ExportOptions, located: Located, tensors: PlainTensor[]): Promise<string[]> {
  const { output, dtype } = options
  const { source } = located
  const json = standardJson(source.tokenizer.json)
  const names = await replaceFolder(output, async (folder) => {
    const content = {
      source: { ...source, tokenizer: { ...source.tokenizer, json } },
      dtype: torchDtypes[dtype]!,
      tensors,
    }
    const written = await writeHfFolder(folder, content)
    await writeFileAtomic(join(folder, recordFile), `${JSON.stringify(recordOf(options, located), null, 2)}\n`)
    return [...written, recordFile]
  })
  return names.map((name) => join(output, name))
}

/** What bt_native.json says of a merged model: what it was made from, and the prompt that the adapter was trained with. */
function recordOf({ dtype }: ExportOptions, { source, adapter, template }: Located): object {
  const { name, reference, hash } = source
  return {
    format: 1,
    version: packageVersion(),
    export: {
      dtype,
      model: { name, reference, hash },
      adapter: adapter && { folder: adapter.folder, hash: adapter.hash },
    },
    template: template.describe(),
  }
}

async function sizeOf(files: string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}
