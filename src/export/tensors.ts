// The weights of an export: of which type each is written, what of the adapter is added to it, and its bytes, computed
// natively a piece at a time.
import type { ExportTensorOptions, ExportType, ModelConfig, TensorEntry } from '../../binding.js'
import { BtError } from '../errors.js'
import type { Adapter } from '../models/adapter.js'
import { ggufName } from '../models/gguf-tables.js'
import { elementsOf, storedBytes, storedTypes } from '../models/layout.js'
import type { ModelSource, OutgoingTensor } from '../models/types.js'

export interface TensorPlan {
  source: ModelSource
  adapter?: Adapter
  to: 'safetensors' | 'gguf'
  type: ExportType
  /** GGUF of the Llama family: rows of q and k go out for interleaved rotary embedding. */
  interleaved: boolean
  /** Elements of a piece at most, but for one row or one head; 64 MB of FP32 by default. */
  pieceElements?: number
}

/** Computes a piece: runtime.exportTensor, with whatever is done around it. */
export type ExportPiece = (options: ExportTensorOptions) => Promise<Uint8Array>

/**
 * All weights under the format's names, in the order of the forward pass.
 * @throws {BtError} BT_ADAPTER_TENSOR when a matrix of the adapter fits none of them
 */
export function outgoingTensors(plan: TensorPlan, exportPiece: ExportPiece): OutgoingTensor[] {
  const { source, to } = plan
  const updates = updatesOf(plan.adapter, source)
  return source.tensors.map((entry) => ({
    name: to === 'gguf' ? ggufName(entry.name) : entry.name,
    type: typeOf(entry, plan),
    shape: entry.shape,
    bytes: () => pieces(entry, plan, updates.get(entry.name), exportPiece),
  }))
}

/** Weights that the adapter changes. */
export function mergedCount({ source, adapter }: TensorPlan): number {
  return updatesOf(adapter, source).size
}

/**
 * Norms and biases stay FP32 in GGUF, as its readers expect. Rows that are not whole blocks are written in F16; beside
 * Q4_0, the matrix that gives the logits keeps 8 bits: it is the most sensitive one.
 */
function typeOf({ name, shape }: TensorEntry, { source, to, type }: TensorPlan): ExportType {
  if (to === 'safetensors') return type
  if (shape.length === 1) return 'F32'
  const head = source.config.tieWordEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight'
  const wanted = type === 'Q4_0' && name === head ? 'Q8_0' : type
  return shape.at(-1)! % storedTypes[wanted].elements === 0 ? wanted : 'F16'
}

type Update = NonNullable<ExportTensorOptions['update']>

/** By the weight's name. */
function updatesOf(adapter: Adapter | undefined, source: ModelSource): Map<string, Update> {
  const updates = new Map<string, Update>()
  if (adapter === undefined) return updates
  const { r, alpha, rsLora, tensors } = adapter
  const scale = alpha / (rsLora ? Math.sqrt(r) : r)
  const shapes = new Map(source.tensors.map(({ name, shape }) => [name, shape]))
  for (let i = 0; i < tensors.length; i += 2) {
    const [a, b] = [tensors[i]!, tensors[i + 1]!]
    const name = `model.${a.name.replace(/\.lora_A$/, '')}.weight`
    const shape = shapes.get(name)
    if (shape?.[0] !== b.shape[0] || shape?.[1] !== a.shape[1]) {
      const found = shape === undefined ? `${source.name} has no ${name}` : `${name} is [${shape}]`
      throw new BtError('BT_ADAPTER_TENSOR', `${adapter.folder}: ${a.name} does not fit: ${found}`, {
        remedy: 'Name the model that the adapter was trained on with --model.',
      })
    }
    updates.set(name, { scale, r, a: a.data, b: b.data })
  }
  return updates
}

async function* pieces(
  entry: TensorEntry,
  plan: TensorPlan,
  update: Update | undefined,
  exportPiece: ExportPiece,
): AsyncGenerator<Uint8Array> {
  const { source, pieceElements = 1 << 24 } = plan
  const type = typeOf(entry, plan)
  const rows = entry.shape[0]!
  const width = elementsOf(entry.shape) / rows
  const heads = headsOf(entry.name, source.config)
  // Rows change places within their head.
  const turned = heads > 0 && (plan.interleaved || entry.interleavedHeads !== undefined)
  const unit = turned ? rows / heads : entry.shape.length === 1 ? rows : 1
  const step = Math.max(unit, Math.floor(pieceElements / width / unit) * unit)
  const rowBytes = storedBytes(entry.type, entry.shape)! / rows
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first)
    const part: TensorEntry = {
      ...entry,
      shape: [count, ...entry.shape.slice(1)],
      offset: entry.offset + first * rowBytes,
      byteLength: count * rowBytes,
    }
    if (part.interleavedHeads !== undefined) part.interleavedHeads = count / unit
    yield await exportPiece({
      path: source.files[entry.file]!,
      tensor: part,
      type,
      ...(turned && plan.interleaved && { interleavedHeads: count / unit }),
      ...(update && { update: { ...update, b: update.b.subarray(first * update.r, (first + count) * update.r) } }),
    })
  }
}

/** Rotary heads of a weight's rows: of q and k, none of others. */
function headsOf(name: string, { heads, kvHeads }: ModelConfig): number {
  if (/\.q_proj\.(weight|bias)$/.test(name)) return heads
  return /\.k_proj\.(weight|bias)$/.test(name) ? kvHeads : 0
}
