// Every option of curation, once: its type, default, limits and words, for flags and for the API.
import { z } from 'zod'
import { field, objectOf } from '../fields.js'
import { generateFields } from '../generate/options.js'
import { type ScoreName, scoreNames } from './types.js'

const count = z.int().positive()
const model = 'Model:'
const rows = 'Rows:'
const scoring = 'Scores:'
const choosing = 'Selection:'
const machine = 'Machine:'

/** What scores depend on: curation's, and whatever else asks for scores of pairs. */
export const scorerFields = {
  adapter: field(
    { group: model, value: '<folder>' },
    z.string().min(1).optional().describe('PEFT folder of the forward model, which answers instructions'),
  ),
  model: field(
    { group: model, value: '<name>' },
    z.string().min(1).optional().describe('base model, where it is not the one that the adapter names'),
  ),
  system: generateFields.system,
  backward: field(
    { group: model, value: '<folder>', shapesResult: true },
    z.string().min(1).optional().describe('adapter of a backward model: adds the scores backward and backwardPmi'),
  ),
  backwardModel: field(
    { group: model, value: '<name>', shapesResult: true },
    z.string().min(1).optional().describe('its base model, where it is not the one that its adapter names'),
  ),
  reasoning: field(
    { group: scoring, value: '<n>', shapesResult: true },
    z.int().min(0).max(1024).default(0).describe('let the model write up to so many tokens before it rates; 0: none'),
  ),
  cycleTokens: field(
    { group: scoring, value: '<n>', shapesResult: true },
    z
      .int()
      .min(0)
      .max(4096)
      .default(0)
      .describe('let the model answer in so many tokens, and add the score cycle; 0: do not'),
  ),
  maxTokens: field(
    { group: scoring, value: '<n>', shapesResult: true },
    z.int().min(64).default(1024).describe('longest row; a longer response is read up to there, and counted'),
  ),
  batchTokens: field(
    { group: machine, value: '<n>', shapesResult: true },
    count.default(4096).describe('tokens that are scored at once'),
  ),
  precision: generateFields.precision,
  device: generateFields.device,
  threads: generateFields.threads,
}

export const scorerSchema = objectOf(scorerFields)
/**
 * As a caller writes them: an adapter or a model is needed.
 * @interface
 */
export type ScorerInput = z.input<typeof scorerSchema>
/**
 * With every default filled in.
 * @interface
 */
export type ScorerOptions = z.output<typeof scorerSchema>

/** What scores depend on, of the options of whoever asks for scores. */
export function scorerOptionsOf(options: ScorerOptions): ScorerOptions {
  const names = Object.keys(scorerFields) as (keyof ScorerOptions)[]
  return Object.fromEntries(names.map((name) => [name, options[name]])) as unknown as ScorerOptions
}

/** The scores that rows get. @param calibrated whether there is a fit */
export function scoresOf(
  { cycleTokens, backward, backwardModel }: Pick<ScorerOptions, 'cycleTokens' | 'backward' | 'backwardModel'>,
  calibrated: boolean,
): ScoreName[] {
  const hasBackward = backward !== undefined || backwardModel !== undefined
  return scoreNames.filter((name) => {
    if (name === 'cycle') return cycleTokens > 0
    if (name === 'fit') return calibrated
    return hasBackward || (name !== 'backward' && name !== 'backwardPmi')
  })
}

/** Good pairs of a calibration that does not say how many. */
export const defaultCalibration = 200

const scoreName = z.enum(scoreNames)

const { batchTokens, precision, device, threads, ...scoreFields } = scorerFields
const { adapter, model: baseModel, system, backward, backwardModel, ...scoringFields } = scoreFields

/** The table. Order is the order of the help. */
export const curateFields = {
  ...{ adapter, model: baseModel, system, backward, backwardModel },
  input: field(
    { group: rows, value: '<file>' },
    z
      .string()
      .min(1)
      .describe('pairs, as generate writes them or in any known format: JSONL, JSON or Parquet; -: a pipe'),
  ),
  columns: field(
    { group: rows, value: '<map>', shapesResult: true },
    z.string().min(1).optional().describe('which column holds what: instruction=a,response=b'),
  ),
  limit: generateFields.limit,
  output: field(
    { group: rows, value: '<file>' },
    z
      .string()
      .min(1)
      .regex(/\.(jsonl|parquet)$/, 'a name in .jsonl or .parquet was expected')
      .optional()
      .describe(
        'the kept rows, .jsonl or .parquet; INPUT.curated.jsonl if not given; all rows go to OUTPUT.scored.jsonl',
      ),
  ),
  force: field({ group: rows }, z.boolean().default(false).describe('score again what is scored')),
  ...scoringFields,
  calibrate: field(
    { group: scoring, value: '[n]' },
    z
      .union([z.literal(true), z.int().min(10)])
      .optional()
      .describe(
        'measure the scores on bad pairs that are planted beside so many good ones (200 if not said), and add the score fit',
      ),
  ),
  reference: field(
    { group: scoring, value: '<file>' },
    z
      .string()
      .min(1)
      .optional()
      .describe('pairs that are known to be good, for --calibrate; the input itself if not given'),
  ),
  min: field(
    { group: choosing, value: '<map>' },
    z
      .partialRecord(scoreName, z.number())
      .optional()
      .describe('keep rows whose scores are at least these: quality=3.5,pmi=0.2'),
  ),
  keep: field(
    { group: choosing, value: '<sql>' },
    z.string().min(1).optional().describe('keep rows for which this is true: an SQL expression over the columns'),
  ),
  top: field(
    { group: choosing, value: '<share>' },
    z.number().gt(0).max(1).optional().describe('of those, keep this share with the best score'),
  ),
  budget: field(
    { group: choosing, value: '<n>' },
    count.optional().describe('of those, keep at most so many, with the best score'),
  ),
  diverse: field(
    { group: choosing, value: '<n>' },
    count.optional().describe('of those, keep at most so many that differ most, by hidden states of the base model'),
  ),
  by: field(
    { group: choosing, value: '<score>' },
    scoreName.optional().describe('which score is meant by best; pmi if not given, fit after calibration'),
  ),
  keepFaulty: field(
    { group: choosing },
    z.boolean().default(false).describe('keep rows in which the guard of generate left a fault'),
  ),
  ...{ batchTokens, precision, device, threads },
}

export const curateSchema = objectOf(curateFields)

/**
 * As a caller writes them: an adapter (or a model) and an input are needed.
 * @interface
 */
export type CurateInput = z.input<typeof curateSchema>
/**
 * With every default filled in.
 * @interface
 */
export type CurateOptions = z.output<typeof curateSchema>
