// Every option of generation, once: its type, default, limits and words, for flags and for the API.
import { z } from 'zod'
import { field, objectOf } from '../fields.js'
import { faultNames } from './guard.js'
import { shardPattern } from './shard.js'

const count = z.int().positive()
const sampling = 'Sampling:'
const penalties = 'Penalties and ends:'
const choosing = 'Best of n and guard:'
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
  system: field(
    { group: 'Model:', value: '<text>', shapesResult: true },
    z
      .string()
      .optional()
      .describe("system text for a forward model; those of its training rows if not given, '' for none"),
  ),
  task: field(
    { group: 'Model:', value: '<task>' },
    z
      .enum(['backward', 'forward'])
      .optional()
      .describe("backward: instructions for responses; forward: the reverse; the adapter's if not given, or backward"),
  ),
  input: field(
    { group: 'Rows:', value: '<file>', aliases: ['--data_path'] },
    z.string().min(1).describe('texts: JSONL, JSON or Parquet, gzip too; - reads JSONL from a pipe'),
  ),
  column: field(
    { group: 'Rows:', value: '<name>', shapesResult: true },
    z.string().min(1).optional().describe('column that holds the text; response or text if not given'),
  ),
  turns: field(
    { group: 'Rows:', value: '<which>', shapesResult: true },
    z
      .enum(['first', 'last'])
      .default('first')
      .describe(
        'of a conversation: write for the first pair, or for the last given all before it, which may be missing',
      ),
  ),
  limit: field({ group: 'Rows:', value: '<n>' }, count.optional().describe('stop after so many rows of the input')),
  output: field(
    { group: 'Rows:', value: '<file>' },
    z
      .string()
      .min(1)
      .optional()
      .describe('.jsonl, .jsonl.gz, .json or .parquet; - writes JSONL to a pipe; INPUT.written.jsonl if not given'),
  ),
  shard: field(
    { group: 'Rows:', value: '<i/n>' },
    z
      .string()
      .regex(shardPattern, 'i/n was expected, with i from 1 to n, or auto')
      .optional()
      .describe("every n-th row from the i-th on, to OUTPUT.shard-i-of-n; auto: a Slurm or Kubernetes array job's"),
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
  typicalP: field(
    { group: sampling, value: '<share>', shapesResult: true },
    z.number().gt(0).max(1).default(1).describe('sample from the most typical tokens of this probability; 1: all'),
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
  logProbs: field(
    { group: sampling, shapesResult: true },
    z.boolean().default(false).describe('write the log-probability of each token, as logProbs'),
  ),
  repetitionPenalty: field(
    { group: penalties, value: '<x>', shapesResult: true },
    z.number().min(0.01).max(100).default(1).describe('above 1 makes tokens of prompt and output less likely'),
  ),
  presencePenalty: field(
    { group: penalties, value: '<x>', shapesResult: true },
    z.number().min(-100).max(100).default(0).describe('off the logit of each token that stands in the output'),
  ),
  frequencyPenalty: field(
    { group: penalties, value: '<x>', shapesResult: true },
    z.number().min(-100).max(100).default(0).describe('the same for each time that it stands there'),
  ),
  uniqueNgram: field(
    { group: penalties, value: '<n>', shapesResult: true },
    z
      .int()
      .min(0)
      .max(1000)
      .default(0)
      .describe('no run of n tokens comes twice in prompt and output (no_repeat_ngram_size); 0: it may'),
  ),
  logitBias: field(
    { group: penalties, value: '<map>', shapesResult: true },
    z
      .record(z.string().regex(/^\d+$/, 'a token id was expected'), z.number().min(-100).max(100))
      .optional()
      .describe('what is added to the logits of tokens, by id: 198=-100,30=1.5'),
  ),
  stop: field(
    { group: penalties, value: '<text>', repeated: true, shapesResult: true },
    z
      .array(z.string().min(1).max(200))
      .max(16)
      .optional()
      .describe('end at this text, which is left out; may be given more than once'),
  ),
  stopTokens: field(
    { group: penalties, value: '<list>', shapesResult: true },
    z
      .array(z.union([z.string().min(1), z.int().min(0)]))
      .max(64)
      .optional()
      .describe("end at these tokens too, by id or text: 198,'<|im_end|>'"),
  ),
  n: field(
    { group: choosing, value: '<n>', shapesResult: true },
    z.int().min(1).max(64).default(1).describe('candidates a row, of which the best by --rerank is kept'),
  ),
  rerank: field(
    { group: choosing, value: '<how>', shapesResult: true },
    z.enum(['pmi', 'likelihood']).default('pmi').describe('pmi: log p(y|x) - log p(y); likelihood: log p(y|x) a token'),
  ),
  keepCandidates: field(
    { group: choosing, shapesResult: true },
    z.boolean().default(false).describe('write all candidates of a row, as candidates'),
  ),
  guard: field(
    { group: choosing, value: '<faults>', shapesResult: true },
    z
      .array(z.enum([...faultNames, 'none']))
      .transform((names) => faultNames.filter((name) => names.includes(name)))
      .default([...faultNames])
      .describe('write again what has one of these faults; none: keep all'),
  ),
  guardRetries: field(
    { group: choosing, value: '<n>', shapesResult: true },
    z.int().min(0).max(100).default(8).describe('attempts after the first; a fault that is left is marked in the row'),
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

/**
 * As a caller writes them: an adapter (or a model) and an input are needed.
 * @interface
 */
export type GenerateInput = z.input<typeof generateSchema>
/**
 * With every default filled in.
 * @interface
 */
export type GenerateOptions = z.output<typeof generateSchema>
