// Every option of corpus preparation, once: its type, default, limits and words, for flags and for the API.
import { z } from 'zod'
import { field, objectOf } from '../fields.js'
import { piiKinds } from './pii.js'

const count = z.int().positive()
const corpus = 'Corpus:'
const segments = 'Segments:'
const filters = 'Filters:'
const output = 'Output:'

/** The table. Order is the order of the help. */
export const segmentFields = {
  input: field(
    { group: corpus, value: '<files...>' },
    z.array(z.string().min(1)).min(1).describe('files, folders and globs; - reads JSONL from a pipe'),
  ),
  column: field(
    { group: corpus, value: '<name>', shapesResult: true },
    z.string().min(1).optional().describe('column of JSONL or Parquet that holds the document'),
  ),
  format: field(
    { group: corpus, value: '<kind>', shapesResult: true },
    z
      .enum(['auto', 'html', 'markdown', 'text'])
      .default('auto')
      .describe('what documents in columns are; auto: told from column and content'),
  ),
  limit: field(
    { group: corpus, value: '<n>', shapesResult: true },
    count.optional().describe('stop after so many documents'),
  ),
  strict: field(
    { group: corpus, shapesResult: true },
    z.boolean().default(false).describe('stop at the first unreadable line, document or file'),
  ),
  minCharacters: field(
    { group: segments, value: '<n>', shapesResult: true },
    count.default(600).describe('shortest segment'),
  ),
  maxCharacters: field(
    { group: segments, value: '<n>', shapesResult: true },
    count.default(3000).describe('longest segment; longer texts are cut between paragraphs, then sentences'),
  ),
  lang: field(
    { group: filters, value: '<codes>', shapesResult: true },
    z
      .array(z.string().regex(/^[a-z]{2,3}$/, 'codes have two letters: en, de, zh'))
      .min(1)
      .optional()
      .describe('keep these languages alone: en or en,de'),
  ),
  nearDuplicates: field(
    { group: filters, value: '<s>', shapesResult: true },
    z
      .union([z.number().gt(0).max(1), z.literal('off')])
      .default(0.85)
      .describe('leave out segments this similar to an earlier one, 0 to 1, or "off"'),
  ),
  against: field(
    { group: filters, value: '<files...>', shapesResult: true },
    z.array(z.string().min(1)).min(1).optional().describe('evaluation sets whose text must not be in the corpus'),
  ),
  overlapWords: field(
    { group: filters, value: '<n>', shapesResult: true },
    z.int().min(5).max(50).default(13).describe('so many words in a row that stand in --against are an overlap'),
  ),
  repetition: field(
    { group: filters, value: '<x>', shapesResult: true },
    z.number().min(0).default(1).describe('factor on the shares of repeated text that are allowed; 0: no such filter'),
  ),
  maskPii: field(
    { group: 'Privacy:', value: '<kinds>', shapesResult: true },
    z
      .array(z.enum(['all', ...piiKinds]))
      .min(1)
      .optional()
      .describe(`replace by [EMAIL] and the like: all, or of ${piiKinds.join(',')}`),
  ),
  phoneCountry: field(
    { group: 'Privacy:', value: '<code>', shapesResult: true },
    z
      .string()
      .regex(/^[A-Z]{2}$/, 'a country has two capital letters: US, DE')
      .default('US')
      .describe('country of phone numbers that name none'),
  ),
  output: field(
    { group: output, value: '<path>' },
    z.string().min(1).optional().describe('.jsonl, .jsonl.gz or .parquet; with --partitions a folder'),
  ),
  partitions: field(
    { group: output, value: '<n>', shapesResult: true },
    z.int().min(1).max(100_000).optional().describe('so many Parquet files of equal size, for array jobs'),
  ),
  dropped: field(
    { group: output, value: '<file>' },
    z.string().min(1).optional().describe('JSONL that lists what was left out, and why'),
  ),
  force: field({ group: output }, z.boolean().default(false).describe('start over, and replace what is there')),
  memory: field(
    { group: output, value: '<GB>' },
    z.number().min(0.25).default(1).describe('memory for DuckDB; what is more goes to disk, beside the output'),
  ),
}

export const segmentSchema = objectOf(segmentFields)

/**
 * As a caller writes them: an input is needed.
 * @interface
 */
export type SegmentInput = z.input<typeof segmentSchema>
/**
 * With every default filled in.
 * @interface
 */
export type SegmentOptions = z.output<typeof segmentSchema>
