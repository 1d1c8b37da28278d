// Every option of scoring, once: its type, default, limits and words, for flags and for the API.
import { z } from 'zod'
import { field, objectOf } from '../fields.js'
import { generateFields } from './options.js'

const count = z.int().positive()
const rows = 'Rows:'
const scoring = 'Scoring:'

/** The table. Order is the order of the help. */
export const scoreFields = {
  adapter: generateFields.adapter,
  model: generateFields.model,
  system: generateFields.system,
  input: field(
    { group: rows, value: '<file>', aliases: ['--data_path'] },
    z.string().min(1).describe('pairs (or, with --template raw, texts): JSONL, JSON or Parquet, gzip too; -: a pipe'),
  ),
  columns: field(
    { group: rows, value: '<map>', shapesResult: true },
    z.string().min(1).optional().describe('which column holds what: instruction=a,response=b'),
  ),
  column: field(
    { group: rows, value: '<name>', shapesResult: true },
    z.string().min(1).optional().describe('of raw texts: the column that holds them'),
  ),
  limit: generateFields.limit,
  output: field(
    { group: rows, value: '<file>' },
    z
      .string()
      .min(1)
      .optional()
      .describe('.jsonl, .jsonl.gz, .json or .parquet; - writes JSONL to a pipe; INPUT.scored.jsonl if not given'),
  ),
  force: generateFields.force,
  template: field(
    { group: scoring, value: '<kind>', shapesResult: true },
    z
      .enum(['backward', 'forward', 'raw'])
      .optional()
      .describe(
        "backward: the instruction given the response; forward: the reverse; raw: a text by itself; the adapter's if not given",
      ),
  ),
  tokenLogProbs: field(
    { group: scoring, shapesResult: true },
    z.boolean().default(false).describe('write the log-probability of each scored token, as tokenLogProbs'),
  ),
  maxTokens: field(
    { group: scoring, value: '<n>', shapesResult: true },
    z.int().min(16).default(1024).describe('longest row; of a longer one the end of what is given is cut, and counted'),
  ),
  batchTokens: field(
    { group: 'Machine:', value: '<n>', shapesResult: true },
    count.default(4096).describe('tokens that are scored at once'),
  ),
  precision: generateFields.precision,
  device: generateFields.device,
  threads: generateFields.threads,
}

export const scoreSchema = objectOf(scoreFields)

/**
 * As a caller writes them: an adapter (or a model) and an input are needed.
 * @interface
 */
export type ScoreInput = z.input<typeof scoreSchema>
/**
 * With every default filled in.
 * @interface
 */
export type ScoreOptions = z.output<typeof scoreSchema>
