// Every option of rewriting, once: its type, default, limits and words, for flags and for the API.
import { z } from 'zod'
import { curateFields, scorerFields } from '../curate/options.js'
import { scoreNames } from '../curate/types.js'
import { field, objectOf } from '../fields.js'
import { generateFields } from '../generate/options.js'

const count = z.int().positive()
const writing = 'Writing:'
const keeping = 'What stands:'

const { batchTokens, precision, device, threads, maxTokens, reasoning, cycleTokens, ...models } = scorerFields

/** The table. Order is the order of the help. */
export const rewriteFields = {
  ...models,
  input: curateFields.input,
  columns: curateFields.columns,
  limit: generateFields.limit,
  output: field(
    { group: 'Rows:', value: '<file>' },
    z
      .string()
      .min(1)
      .regex(/\.jsonl$/, 'a name in .jsonl was expected')
      .optional()
      .describe('all rows, with the new responses that stand; INPUT.rewritten.jsonl if not given'),
  ),
  force: generateFields.force,
  temperature: field(
    { group: writing, value: '<x>', shapesResult: true },
    z.number().min(0).max(10).default(0.7).describe('0 always takes the likeliest token'),
  ),
  topP: field({ group: writing, value: '<share>', shapesResult: true }, generateFields.topP.schema),
  topK: field({ group: writing, value: '<n>', shapesResult: true }, generateFields.topK.schema),
  seed: field({ group: writing, value: '<n>', shapesResult: true }, generateFields.seed.schema),
  guardRetries: field(
    { group: writing, value: '<n>', shapesResult: true },
    z.int().min(0).max(100).default(1).describe('attempts after one that loops, leaks its prompt or does not end'),
  ),
  maxNewTokens: field(
    { group: writing, value: '<n>', shapesResult: true },
    count.default(640).describe('longest response that is written; and a quarter and 64 tokens more than it had'),
  ),
  maxTokens: field(
    { group: writing, value: '<n>', shapesResult: true },
    z.int().min(64).default(1024).describe('longest prompt; a pair that does not fit keeps its response'),
  ),
  by: field(
    { group: keeping, value: '<score>', shapesResult: true },
    z
      .enum(scoreNames)
      .optional()
      .describe(
        'score of curate that must not fall; fit where --calibration is given, backwardPmi where a backward model is, else pmi',
      ),
  ),
  calibration: field(
    { group: keeping, value: '<file>' },
    z.string().min(1).optional().describe('what curate --calibrate wrote: gives the score fit'),
  ),
  minShare: field(
    { group: keeping, value: '<share>', shapesResult: true },
    z.number().min(0).max(1).default(0.5).describe('least characters of a new response, as a share of the old one'),
  ),
  reasoning,
  cycleTokens,
  batchSize: generateFields.batchSize,
  ...{ batchTokens, precision, device, threads },
}

export const rewriteSchema = objectOf(rewriteFields)

/**
 * As a caller writes them: an adapter (or a model) and an input are needed.
 * @interface
 */
export type RewriteInput = z.input<typeof rewriteSchema>
/**
 * With every default filled in.
 * @interface
 */
export type RewriteOptions = z.output<typeof rewriteSchema>
