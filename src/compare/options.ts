// Every option of the comparison of models, once: its type, default, limits and words, for flags and for the API.
import { z } from 'zod'
import { field, objectOf } from '../fields.js'
import { generateFields } from '../generate/options.js'

const count = z.int().positive()
const models = 'Models:'
const rows = 'Rows:'
const writing = 'Writing and scoring:'
const judging = 'Judge:'
const statistics = 'Intervals:'

/** The table. Order is the order of the help. */
export const compareFields = {
  models: field(
    { group: models, value: '<name=model...>' },
    z
      .array(z.string().min(1))
      .min(1)
      .describe(
        'forward adapters or models, any number; name= may be left out; their base model is added as a control',
      ),
  ),
  base: field(
    { group: models, value: '<name>' },
    z.string().min(1).optional().describe('base model of the adapters, where it is not the one that they name'),
  ),
  baseline: field(
    { group: models, value: '<names...>' },
    z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe('the model that the others are held against, or several; the first if not given'),
  ),
  system: field(
    { group: models, value: '<text>', shapesResult: true },
    z
      .string()
      .optional()
      .describe("system text for every model; if not given, each has those of its training rows; '' for none"),
  ),
  data: field(
    { group: rows, value: '<file>' },
    z.string().min(1).describe('pairs that no model was trained on: JSONL, JSON or Parquet, gzip too'),
  ),
  columns: field(
    { group: rows, value: '<map>' },
    z.string().min(1).optional().describe('which column holds what: instruction=a,response=b'),
  ),
  limit: generateFields.limit,
  output: field(
    { group: rows, value: '<folder>' },
    z
      .string()
      .min(1)
      .optional()
      .describe('what is written, scored and judged, and the report; DATA.compared if not given'),
  ),
  force: generateFields.force,
  writeRows: field(
    { group: writing, value: '<n>', shapesResult: true },
    z
      .int()
      .min(0)
      .optional()
      .describe('pairs that each model writes a response for, the first so many; 0: it only scores; all if not given'),
  ),
  maxNewTokens: field(
    { group: writing, value: '<n>', shapesResult: true },
    count.default(256).describe('longest response that is written'),
  ),
  maxTokens: field(
    { group: writing, value: '<n>', shapesResult: true },
    z
      .int()
      .min(16)
      .default(1024)
      .describe('longest row, instruction and response together; the end of a longer instruction is cut'),
  ),
  batchSize: field({ group: writing, value: '<rows>' }, count.default(16).describe('rows that are written at once')),
  judge: field(
    { group: judging, value: '<url>' },
    z
      .url({ protocol: /^https?$/, message: 'an http:// or https:// address was expected' })
      .optional()
      .describe('OpenAI-compatible endpoint that judges, http://host/v1; its key from BT_JUDGE_KEY; off if not given'),
  ),
  judgeModel: field(
    { group: judging, value: '<name>', shapesResult: true },
    z.string().min(1).optional().describe('model that the endpoint is asked for'),
  ),
  judgeMaxTokens: field(
    { group: judging, value: '<n>', shapesResult: true },
    count.default(16).describe('longest verdict; a judge that reasons first needs more'),
  ),
  judgeConcurrency: field(
    { group: judging, value: '<n>' },
    z.int().min(1).max(256).default(4).describe('questions under way at once'),
  ),
  judgeRetries: field(
    { group: judging, value: '<n>' },
    z
      .int()
      .min(0)
      .max(100)
      .default(6)
      .describe('further tries after 429, 5xx, a broken connection or no answer in time'),
  ),
  judgeTimeout: field(
    { group: judging, value: '<seconds>' },
    z.number().positive().max(3600).default(120).describe('how long an answer may take'),
  ),
  bootstrap: field(
    { group: statistics, value: '<n>', shapesResult: true },
    z.int().min(0).default(1000).describe('resamples for intervals and p-values; 0 for none'),
  ),
  seed: field(
    { group: statistics, value: '<n>', shapesResult: true },
    z.int().min(0).max(0x7fffffff).default(0).describe('for resamples and shuffled controls'),
  ),
  precision: generateFields.precision,
  device: generateFields.device,
  threads: generateFields.threads,
}

export const compareSchema = objectOf(compareFields)

/** Fewest tokens that are left for an instruction. */
const leastPrompt = 16

/** What is wrong with options that are each right, and the option that it is said of; in the words of whoever names them. */
export function conflictOf(
  options: Pick<CompareOptions, 'judge' | 'judgeModel' | 'writeRows' | 'maxTokens' | 'maxNewTokens'>,
  name: (option: keyof CompareOptions) => string,
): { option: keyof CompareOptions; words: string } | undefined {
  const { judge, judgeModel, writeRows, maxTokens, maxNewTokens } = options
  if (judge !== undefined && judgeModel === undefined) {
    return { option: 'judge', words: `${name('judge')} without ${name('judgeModel')}` }
  }
  if (judgeModel !== undefined && judge === undefined) {
    return { option: 'judgeModel', words: `${name('judgeModel')} without ${name('judge')}` }
  }
  if (judge !== undefined && writeRows === 0) {
    return { option: 'judge', words: `${name('judge')} has nothing to judge with ${name('writeRows')} 0` }
  }
  if (writeRows === 0 || maxTokens - maxNewTokens >= leastPrompt) return undefined
  const room = `${name('maxTokens')} ${maxTokens} has no room for an instruction and ${name('maxNewTokens')} ${maxNewTokens}`
  return { option: 'maxTokens', words: room }
}

/**
 * As a caller writes them: models and data are needed.
 * @interface
 */
export type CompareInput = z.input<typeof compareSchema>
/**
 * With every default filled in.
 * @interface
 */
export type CompareOptions = z.output<typeof compareSchema>
