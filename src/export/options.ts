// Every option of an export, once: its type, default, limits and words, for flags and for the API.
import { z } from 'zod'
import type { ExportType } from '../../binding.js'
import { BtError } from '../errors.js'
import { field, objectOf, resolveOptions } from '../fields.js'
import { plainName } from '../paths.js'

const model = 'Model:'
const output = 'Output:'
const check = 'Comparison with the unmerged model:'
const machine = 'Machine:'

/** Type of the weights that are written. */
export type ExportDtype = 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0'

/** What each --dtype is called in the files. */
export const dtypes: Readonly<Record<ExportDtype, ExportType>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  q8_0: 'Q8_0',
  q4_0: 'Q4_0',
}

/** What a format holds; the first is its default. */
const formats: Readonly<Record<'safetensors' | 'gguf', readonly ExportDtype[]>> = {
  safetensors: ['bf16', 'f16', 'f32'],
  gguf: ['f16', 'bf16', 'f32', 'q8_0', 'q4_0'],
}

/** The table. Order is the order of the help. */
export const exportFields = {
  adapter: field(
    { group: model, value: '<folder>' },
    z.string().min(1).optional().describe('PEFT folder to merge, from bt-native train or elsewhere'),
  ),
  model: field(
    { group: model, value: '<name>' },
    z
      .string()
      .min(1)
      .optional()
      .describe('base model, where it is not the one that the adapter names; alone: as it is'),
  ),
  to: field(
    { group: output, value: '<format>' },
    z
      .enum(['safetensors', 'gguf'])
      .describe("safetensors: a Hugging Face folder, for transformers; gguf: one file, for llama.cpp's kin"),
  ),
  dtype: field(
    { group: output, value: '<type>' },
    z
      .enum(['f32', 'f16', 'bf16', 'q8_0', 'q4_0'])
      .optional()
      .describe('of the weights; bf16 for safetensors and f16 for gguf if not given; q8_0 and q4_0 are for gguf'),
  ),
  output: field(
    { group: output, value: '<path>' },
    z.string().min(1).optional().describe('folder or .gguf file; NAME-DTYPE in the working folder if not given'),
  ),
  force: field({ group: output }, z.boolean().default(false).describe('replace what an export wrote there before')),
  prompts: field(
    { group: check, value: '<file>' },
    z
      .string()
      .min(1)
      .optional()
      .describe("rows to compare on; the adapter's own validation rows if not given, else some examples"),
  ),
  rows: field(
    { group: check, value: '<n>' },
    z.int().min(0).default(8).describe('rows that are compared; 0: no comparison'),
  ),
  maxTokens: field(
    { group: check, value: '<n>' },
    z.int().min(16).default(512).describe('longest row; the end of the context is cut'),
  ),
  precision: field(
    { group: check, value: '<type>' },
    z
      .enum(['auto', 'fp32', 'bf16', 'fp16'])
      .default('fp32')
      .describe('that both models are computed in; bf16 halves the memory, and its own rounding is seen too'),
  ),
  device: field(
    { group: machine, value: '<kind>' },
    z.enum(['auto', 'cpu', 'cuda']).default('auto').describe('of the comparison; auto: cuda where there is one'),
  ),
  threads: field(
    { group: machine, value: '<n>' },
    z.int().min(0).default(0).describe('of the CPU; 0: all that may be used'),
  ),
}

export const exportSchema = objectOf(exportFields)

/**
 * As a caller writes them: an adapter (or a model) and a format are needed.
 * @interface
 */
export type ExportInput = z.input<typeof exportSchema>
/**
 * With every default filled in.
 * @interface
 */
export type ExportOptions = z.output<typeof exportSchema> & { dtype: ExportDtype; output: string }

/**
 * Fills in what is not given.
 * @param name how an option is called where it was given, for messages
 * @throws {BtError} BT_USAGE for a wrong value, a type that the format cannot hold, or a name that does not fit it
 */
export function completeExport(input: ExportInput, name?: (option: string) => string): ExportOptions {
  const options = resolveOptions(exportSchema, input, undefined, name)
  const { to } = options
  const known = formats[to]
  const dtype = options.dtype ?? known[0]!
  if (!known.includes(dtype)) {
    throw new BtError('BT_USAGE', `${to} cannot hold ${dtype}`, {
      remedy: `Give --dtype ${known.join(', ')}, or --to gguf.`,
    })
  }
  const bare = `${plainName(options.adapter ?? options.model ?? 'model')}-${dtype}`
  const output = options.output ?? (to === 'gguf' ? `${bare}.gguf` : bare)
  if (to === 'gguf' && !/\.gguf$/i.test(output)) {
    throw new BtError('BT_USAGE', `${output}: the name of a GGUF file ends in .gguf`, {
      remedy: `Give --output ${output}.gguf`,
    })
  }
  return { ...options, dtype, output }
}
