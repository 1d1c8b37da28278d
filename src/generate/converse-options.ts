// Every option of writing conversations, once: its type, default, limits and words, for flags and for the API.
import { z } from 'zod'
import { field, fieldsWithout, objectOf } from '../fields.js'
import { generateFields } from './options.js'

const count = z.int().positive()
const rows = 'Rows:'
const sections = 'Sections:'

const { adapter, model, column, force } = generateFields
const writing = fieldsWithout(generateFields, [
  ...(['adapter', 'model', 'column', 'force', 'input', 'limit', 'output', 'shard'] as const),
  ...(['system', 'task', 'turns', 'maxTokens', 'logProbs', 'keepCandidates'] as const),
])

/** The table. Order is the order of the help. */
export const converseFields = {
  adapter,
  model,
  input: field(
    { group: rows, value: '<file>' },
    z
      .string()
      .min(1)
      .describe('sections, as segment writes them, or whole texts: a page, Markdown, rows; - reads JSONL from a pipe'),
  ),
  column,
  limit: field({ group: rows, value: '<n>' }, count.optional().describe('stop after so many conversations')),
  output: field(
    { group: rows, value: '<file>' },
    z
      .string()
      .min(1)
      .optional()
      .describe(
        '.jsonl, .jsonl.gz, .json or .parquet; - writes JSONL to a pipe; INPUT.conversations.jsonl if not given',
      ),
  ),
  force,
  minTurns: field(
    { group: sections, value: '<n>', shapesResult: true },
    count.default(1).describe('leave out documents with fewer sections'),
  ),
  maxTurns: field(
    { group: sections, value: '<n>', shapesResult: true },
    count.max(64).default(8).describe('sections of one conversation; a longer document gives several'),
  ),
  minCharacters: field(
    { group: sections, value: '<n>', shapesResult: true },
    count.default(200).describe('of whole texts: shorter sections are joined with their neighbours'),
  ),
  maxCharacters: field(
    { group: sections, value: '<n>', shapesResult: true },
    count.default(3000).describe('of whole texts: longer sections are cut between paragraphs, then sentences'),
  ),
  maxTokens: field(
    { group: 'Sampling:', value: '<n>', shapesResult: true },
    z
      .int()
      .min(16)
      .default(1024)
      .describe('longest prompt; of a longer one the oldest turns go, then the end of the section, counted as cut'),
  ),
  ...writing,
}

export const converseSchema = objectOf(converseFields)

/**
 * As a caller writes them: an adapter and an input are needed.
 * @interface
 */
export type ConverseInput = z.input<typeof converseSchema>
/**
 * With every default filled in.
 * @interface
 */
export type ConverseOptions = z.output<typeof converseSchema>
