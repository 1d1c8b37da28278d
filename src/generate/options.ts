// Every option of generation, once: its type, default, limits and words, for flags and for the API.
import { z } from 'zod'
import { field, objectOf } from '../fields.js'

const count = z.int().positive()
const sampling = 'Sampling:'
const machine = 'Machine:'

/** The table. Order is the order of the help. */
export const generateFields = {
  adapter: field(
    { group: 'Model:', value: '<folder>' },
    z.string().min(1).optional().describe('PEFT folder, from bt-native train or elsewhere'),
  ),
  model: field(
    { group: 'Model:', value: '<name>', aliases: ['--model_path'] },
    z.string().min(1).optional().describe('base model, where it is not the one that the adapter names'),
  ),
  input: field(
    { group: 'Rows:', value: '<file>', aliases: ['--data_path'] },
    z.string().min(1).describe('texts: JSONL, JSON or Parquet, gzip too; - reads JSONL from a pipe'),
  ),
  column: field(
    { group: 'Rows:', value: '<name>', shapesResult: true },
    z.string().min(1).optional().describe('column that holds the text; response or text if not given'),
  ),
  limit: field({ group: 'Rows:', value: '<n>' }, count.optional().describe('stop after so many rows of the input')),
  output: field(
    { group: 'Rows:', value: '<file>' },
    z
      .string()
      .min(1)
      .optional()
      .describe('.jsonl or .json; - writes JSONL to a pipe; INPUT.written.jsonl if not given'),
  ),
  force: field({ group: 'Rows:' }, z.boolean().default(false).describe('start over where the output holds rows')),
  temperature: field(
    { group: sampling, value: '<x>', shapesResult: true },
    z.number().min(0).max(10).default(0.7).describe('0 always takes the likeliest token'),
  ),
  greedy: field(
    { group: sampling, shapesResult: true },
    z.boolean().default(false).describe('always take the likeliest token: --temperature 0'),
  ),
  topP: field(
    { group: sampling, value: '<share>', shapesResult: true },
    z.number().gt(0).max(1).default(0.9).describe('sample from the likeliest tokens of this probability; 1: all'),
  ),
  topK: field(
    { group: sampling, value: '<n>', shapesResult: true },
    z.int().min(0).default(50).describe('sample from so many tokens; 0: all'),
  ),
  minP: field(
    { group: sampling, value: '<share>', shapesResult: true },
    z.number().min(0).lt(1).default(0).describe('leave tokens below this share of the likeliest one; 0: none'),
  ),
  repetitionPenalty: field(
    { group: sampling, value: '<x>', shapesResult: true },
    z.number().positive().default(1).describe('above 1 makes tokens that stand in prompt or output less likely'),
  ),
  maxNewTokens: field(
    { group: sampling, value: '<n>', shapesResult: true },
    count.default(96).describe('longest output of a row'),
  ),
  maxTokens: field(
    { group: sampling, value: '<n>', shapesResult: true },
    z.int().min(16).default(512).describe('longest prompt; the end of a longer text is cut, and counted'),
  ),
  seed: field(
    { group: sampling, value: '<n>', shapesResult: true },
    z.int().min(0).max(0x7fffffff).default(0).describe('the same seed and text give the same output'),
  ),
  batchSize: field({ group: machine, value: '<rows>' }, count.default(16).describe('rows that are written at once')),
  precision: field(
    { group: machine, value: '<type>' },
    z.enum(['auto', 'fp32', 'bf16', 'fp16']).default('auto').describe('auto: bf16 where it is fast, else fp32'),
  ),
  weights: field(
    { group: machine, value: '<bits>', shapesResult: true },
    z
      .enum(['model', 'int8', 'int4'])
      .default('model')
      .describe(
        "model: in the precision; int8, int4: in blocks of 32 with a scale, a GGUF's own as they are; CPU only",
      ),
  ),
  keepAdapter: field(
    { group: machine, shapesResult: true },
    z.boolean().default(false).describe('multiply the adapter beside the base in place of adding it to the weights'),
  ),
  cacheMemory: field(
    { group: machine, value: '<GB>' },
    z
      .number()
      .positive()
      .optional()
      .describe('for keys and values at most; what is needed, up to half of what is free'),
  ),
  lookup: field(
    { group: machine, value: '<n>' },
    z
      .int()
      .min(0)
      .max(64)
      .optional()
      .describe('tokens proposed at a time from the words before; the output is the same; where it is faster'),
  ),
  device: field(
    { group: machine, value: '<kind>' },
    z.enum(['auto', 'cpu', 'cuda']).default('auto').describe('auto: cuda where there is one'),
  ),
  threads: field(
    { group: machine, value: '<n>' },
    z.int().min(0).default(0).describe('of the CPU; 0: all that may be used'),
  ),
}

export const generateSchema = objectOf(generateFields)

/** As a caller writes them: an adapter (or a model) and an input are needed. */
export type GenerateInput = z.input<typeof generateSchema>
/** With every default filled in. */
export type GenerateOptions = z.output<typeof generateSchema>
