// Every option of a training run, once: its type, default, limits and words. Flags, config files and the JSON Schema
// are all made from this table. Reading flags and files is in cli/flags.ts and config.ts.
import { z } from 'zod'
import type { TargetModule } from '../../binding.js'
import { BtError } from '../errors.js'
import { field, objectOf, resolveOptions } from '../fields.js'
import { plainName } from '../paths.js'

export const targetModules = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const satisfies readonly TargetModule[]

const count = z.int().positive()
const share = z.number().min(0).lt(1)
const shapes = true

/** Steps, or a stretch of time: "30s", "10min", "1h". */
const every = z.union([
  z.int().min(0),
  z.string().regex(/^\d+(\.\d+)?(s|min|h)$/, 'a number of steps, or a time like 10min, was expected'),
])

const targets = z
  .union([z.literal('all-linear'), z.array(z.enum(targetModules)).min(1)])
  .transform((value): TargetModule[] =>
    value === 'all-linear' ? [...targetModules] : targetModules.filter((name) => value.includes(name)),
  )

/** The table. Order is the order of the help. */
export const trainFields = {
  model: field(
    { group: 'Model and data:', value: '<name>', aliases: ['--model_path'], shapesResult: shapes },
    z.string().min(1).describe('Hugging Face folder, .gguf file, Hub id, or smollm2-135m'),
  ),
  data: field(
    { group: 'Model and data:', value: '<file>', aliases: ['--data_path'], shapesResult: shapes },
    z.string().min(1).describe('(instruction, response) rows: JSONL, JSON or Parquet, gzip too'),
  ),
  validationData: field(
    { group: 'Model and data:', value: '<file>', shapesResult: shapes },
    z.string().min(1).optional().describe('rows to validate on, in place of a split of the data'),
  ),
  validation: field(
    { group: 'Model and data:', value: '<share>', shapesResult: shapes },
    share.default(0.05).describe('share of the rows kept for validation, chosen by content; 0 for none'),
  ),
  columns: field(
    { group: 'Model and data:', value: '<map>', shapesResult: shapes },
    z.string().min(1).optional().describe('which column holds what, where that is not known: instruction=a,response=b'),
  ),
  task: field(
    { group: 'Model and data:', value: '<task>', shapesResult: shapes },
    z.enum(['backward', 'forward']).default('backward').describe('backward: response to instruction'),
  ),
  ask: field(
    { group: 'Model and data:', value: '<text>', shapesResult: shapes },
    z.string().min(1).optional().describe('the line in the prompt that asks for the target'),
  ),
  form: field(
    { group: 'Model and data:', value: '<form>', shapesResult: shapes },
    z.enum(['chat', 'plain']).optional().describe("of the prompt: chat, by the model's template, or plain headings"),
  ),
  turns: field(
    { group: 'Model and data:', value: '<which>', shapesResult: shapes },
    z
      .enum(['all', 'last', 'first'])
      .default('all')
      .describe('of a conversation that are learned, each with all before it as context; first: the first pair alone'),
  ),
  maxTokens: field(
    { group: 'Model and data:', value: '<n>', shapesResult: shapes },
    z.int().min(16).default(512).describe('longest row; oldest turns and the end of the context go, never the target'),
  ),
  skipEmpty: field(
    { group: 'Model and data:' },
    z.boolean().default(false).describe('leave out rows without a target, which are an error otherwise'),
  ),
  output: field(
    { group: 'Output:', value: '<folder>' },
    z
      .string()
      .min(1)
      .optional()
      .describe('where adapter, checkpoints and metrics go; runs/TASK-MODEL-DATA if not given'),
  ),
  saveEvery: field(
    { group: 'Output:', value: '<steps>' },
    every
      .default(50)
      .describe('checkpoint each n steps, or so much time (10min), and at each validation; 0: there alone'),
  ),
  keep: field({ group: 'Output:', value: '<n>' }, count.default(2).describe('checkpoints kept, newest first')),
  select: field(
    { group: 'Output:', value: '<which>', shapesResult: shapes },
    z.enum(['best', 'last']).default('best').describe('which adapter is handed over; best/ and last/ hold both'),
  ),
  logEvery: field({ group: 'Output:', value: '<steps>' }, count.default(1).describe('a line in metrics.jsonl each n')),
  samples: field(
    { group: 'Output:', value: '<n>' },
    z.int().min(0).default(4).describe('held-back rows to write for at the end of each epoch, to look at; 0 for none'),
  ),
  tensorboard: field(
    { group: 'Output:' },
    z.boolean().default(false).describe("write TensorBoard's event files into OUTPUT/tensorboard"),
  ),
  force: field({ group: 'Output:' }, z.boolean().default(false).describe('start over in a folder that holds a run')),
  validateEvery: field(
    { group: 'Validation:', value: '<steps>', shapesResult: shapes },
    z.int().min(0).default(0).describe('validate each n steps and at the end of each epoch; 0: there alone'),
  ),
  bestBy: field(
    { group: 'Validation:', value: '<score>', shapesResult: shapes },
    z
      .enum(['loss', 'rouge-l'])
      .default('loss')
      .describe('what makes an adapter the best: validation loss, or ROUGE-L of what it writes for validation rows'),
  ),
  bestRows: field(
    { group: 'Validation:', value: '<rows>', shapesResult: shapes },
    count.default(32).describe('rows that are written for at each validation with --best-by rouge-l'),
  ),
  patience: field(
    { group: 'Validation:', value: '<n>', shapesResult: shapes },
    z.int().min(0).default(0).describe('stop early when so many validations in a row brought nothing better; 0: never'),
  ),
  minChange: field(
    { group: 'Validation:', value: '<x>', shapesResult: shapes },
    z.number().min(0).default(0).describe('what --patience takes for better: nats of loss, or points of ROUGE-L'),
  ),
  r: field({ group: 'LoRA:', value: '<n>', shapesResult: shapes }, count.default(16).describe('rank of the update')),
  alpha: field(
    { group: 'LoRA:', value: '<x>', shapesResult: shapes },
    z.number().positive().default(32).describe('the update counts alpha / r'),
  ),
  targets: field(
    { group: 'LoRA:', value: '<names>', shapesResult: shapes },
    targets.prefault('all-linear').describe('projections that are adapted, separated by commas, or all-linear'),
  ),
  dropout: field(
    { group: 'LoRA:', value: '<share>', shapesResult: shapes },
    share.default(0).describe('of the input features of the update; 0.05 to 0.1 helps small data over many epochs'),
  ),
  rsLora: field(
    { group: 'LoRA:', shapesResult: shapes },
    z.boolean().default(false).describe('the update counts alpha / sqrt(r)'),
  ),
  epochs: field(
    { group: 'Optimization:', value: '<n>', shapesResult: shapes },
    count.default(3).describe('passes over the data'),
  ),
  maxSteps: field(
    { group: 'Optimization:', value: '<n>', shapesResult: shapes },
    count.optional().describe('ends after so many optimizer steps, whatever the epochs'),
  ),
  batchSize: field(
    { group: 'Optimization:', value: '<rows>', shapesResult: shapes },
    count.default(4).describe('rows that are computed together'),
  ),
  gradAccumSteps: field(
    { group: 'Optimization:', value: '<n>', shapesResult: shapes },
    count.default(4).describe('such batches in one optimizer step'),
  ),
  tokensPerStep: field(
    { group: 'Optimization:', value: '<tokens>', shapesResult: shapes },
    count.optional().describe('fill each optimizer step to so many tokens, in place of a number of rows'),
  ),
  learningRate: field(
    { group: 'Optimization:', value: '<x>', shapesResult: shapes },
    z.number().positive().max(1).default(1e-3).describe('at its peak'),
  ),
  schedule: field(
    { group: 'Optimization:', value: '<form>', shapesResult: shapes },
    z.enum(['linear', 'cosine', 'constant']).default('linear').describe('how it falls to zero after the warm-up'),
  ),
  warmup: field(
    { group: 'Optimization:', value: '<steps>', shapesResult: shapes },
    z.number().min(0).default(0.05).describe('steps over which it rises; below 1 a share of all steps'),
  ),
  weightDecay: field(
    { group: 'Optimization:', value: '<x>', shapesResult: shapes },
    z.number().min(0).default(0).describe("AdamW's"),
  ),
  beta1: field(
    { group: 'Optimization:', value: '<x>', shapesResult: shapes },
    share.default(0.9).describe("AdamW's, for the mean of the gradient"),
  ),
  beta2: field(
    { group: 'Optimization:', value: '<x>', shapesResult: shapes },
    share.default(0.999).describe("AdamW's, for its square"),
  ),
  eps: field(
    { group: 'Optimization:', value: '<x>', shapesResult: shapes },
    z.number().positive().default(1e-8).describe("AdamW's"),
  ),
  maxGradNorm: field(
    { group: 'Optimization:', value: '<x>', shapesResult: shapes },
    z.number().min(0).default(1).describe('gradients are scaled down to this norm; 0 leaves them'),
  ),
  seed: field(
    { group: 'Optimization:', value: '<n>', shapesResult: shapes },
    z.int().min(0).max(0x7fffffff).default(0).describe('of initialisation, data order and dropout'),
  ),
  precision: field(
    { group: 'Machine:', value: '<type>' },
    z.enum(['auto', 'fp32', 'bf16', 'fp16']).default('auto').describe('auto: bf16 where it is fast, else fp32'),
  ),
  engine: field(
    { group: 'Machine:', value: '<which>', shapesResult: shapes },
    z
      .enum(['fused', 'reference'])
      .default('fused')
      .describe('fused: the decoder layer and its backward by hand; reference: plain autograd, slower'),
  ),
  recompute: field(
    { group: 'Machine:' },
    z
      .boolean()
      .default(false)
      .describe('compute activations again in backward: less memory, more time, the same result'),
  ),
  device: field(
    { group: 'Machine:', value: '<kind>' },
    z.enum(['auto', 'cpu', 'cuda']).default('auto').describe('auto: cuda where there is one'),
  ),
  threads: field(
    { group: 'Machine:', value: '<n>' },
    z.int().min(0).default(0).describe('of the CPU; 0: all that may be used'),
  ),
}

/** The options that rows and their tokens depend on, and no other: for commands that look at them. */
export const rowFields = Object.fromEntries(
  Object.entries(trainFields).filter(([, { meta }]) => meta.group === 'Model and data:'),
)

/** Options of a run; unknown keys are refused. */
export const trainSchema = objectOf(trainFields).meta({ title: 'Options of bt-native train' })

/**
 * As a caller writes them: only model and data are needed.
 * @interface
 */
export type TrainInput = z.input<typeof trainSchema>
/**
 * With every default filled in.
 * @interface
 */
export type TrainOptions = z.output<typeof trainSchema> & { output: string }

/**
 * Fills in what is not given.
 * @throws {BtError} BT_USAGE for a wrong value, or for two that exclude each other
 */
export function completeOptions(input: TrainInput): TrainOptions {
  const options = resolveOptions(trainSchema, input)
  if (options.recompute && options.engine === 'reference') {
    throw new BtError('BT_USAGE', 'recompute: the reference engine keeps all activations', {
      remedy: 'Leave out one of --recompute and --engine reference.',
    })
  }
  const { task, model, data } = options
  return { ...options, output: options.output ?? `runs/${task}-${plainName(model)}-${plainName(data)}` }
}

/** Options that shape the trained weights, in the table's order. */
export const resultOptions = (Object.keys(trainFields) as (keyof TrainOptions)[]).filter(
  (name) => trainFields[name].meta.shapesResult,
)

/** The JSON Schema that editors use for config files. Nothing is required there: flags may give the rest. */
export function trainJsonSchema(): Record<string, unknown> {
  const { required: _, ...schema } = z.toJSONSchema(trainSchema, { io: 'input', target: 'draft-7' })
  const properties = { $schema: { type: 'string' }, ...schema.properties }
  return { ...schema, properties }
}
