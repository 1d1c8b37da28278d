// Every option of writing a data set, once: its type, default, limits and words, for flags and for the API.
import { z } from 'zod'
import { field, objectOf } from '../fields.js'

const data = 'Data:'
const card = 'Card:'
const output = 'Output:'

/** Forms of a data set, in the order in which they are written. */
export const formatNames = ['messages', 'alpaca', 'sharegpt', 'parquet'] as const

/** One of the forms. */
export type DatasetFormat = (typeof formatNames)[number]

/** The table. Order is the order of the help. */
export const datasetFields = {
  input: field(
    { group: data, value: '<files...>' },
    z.array(z.string().min(1)).min(1).describe('pairs or conversations in any known form; one after the other'),
  ),
  formats: field(
    { group: data, value: '<list>', shapesResult: true },
    z
      .array(z.enum(formatNames))
      .min(1)
      .transform((names) => formatNames.filter((name) => names.includes(name)))
      .default([...formatNames])
      .describe('of messages, alpaca, sharegpt, parquet'),
  ),
  run: field(
    { group: card, value: '<folder>', shapesResult: true },
    z.string().min(1).optional().describe('run that the rows come from: the card tells how they were made'),
  ),
  lineage: field(
    { group: card, value: '<file>', shapesResult: true },
    z.string().min(1).optional().describe("its lineage.parquet, where it is not the run's own"),
  ),
  title: field(
    { group: card, value: '<text>', shapesResult: true },
    z.string().min(1).max(200).optional().describe("name on the card; the output folder's"),
  ),
  license: field(
    { group: card, value: '<id>', shapesResult: true },
    z.string().min(1).max(100).optional().describe("of the whole, as the Hub names it; the rows' own licences"),
  ),
  samples: field(
    { group: card, value: '<n>', shapesResult: true },
    z.int().min(0).max(100).default(3).describe('rows shown on the card'),
  ),
  output: field({ group: output, value: '<folder>' }, z.string().min(1).describe('folder of the data set')),
  force: field({ group: output }, z.boolean().default(false).describe('replace files and card that are there')),
}

export const datasetSchema = objectOf(datasetFields)

/**
 * As a caller writes them.
 * @interface
 */
export type DatasetInput = z.input<typeof datasetSchema>
/**
 * With every default filled in.
 * @interface
 */
export type DatasetOptions = z.output<typeof datasetSchema>
