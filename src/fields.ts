// Tables of options: a type, limits, default and words for each, from which flags, config files and schemas are made.
// The tables themselves stand beside what they configure (train/options.ts, generate/options.ts).
import { z } from 'zod'
import { BtError } from './errors.js'

/** What an option is beside its schema: where it stands in the help, how it is typed as a flag. */
export interface FieldMeta {
  group: string
  /** Stands for the value in the help: "<folder>". None for a switch. */
  value?: string
  /** Old names, accepted and not shown. */
  aliases?: string[]
  /** A list of which each flag gives one entry, commas and all. */
  repeated?: boolean
  /** Changing it changes what comes out: unfinished work cannot go on with another value. */
  shapesResult?: boolean
}

export interface Field<S extends z.ZodType = z.ZodType> {
  schema: S
  meta: FieldMeta
}

export type Fields = Record<string, Field>

/** A row of a table. */
export function field<S extends z.ZodType>(meta: FieldMeta, schema: S): Field<S> {
  return { schema, meta }
}

/** "learningRate" -> "--learning-rate". */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/** A table without some of its rows. */
export function fieldsWithout<F extends Fields, Name extends keyof F>(
  fields: F,
  names: readonly Name[],
): Omit<F, Name> {
  const left = Object.entries(fields).filter(([name]) => !(names as readonly string[]).includes(name))
  return Object.fromEntries(left) as Omit<F, Name>
}

/** The object that a table describes; unknown keys are refused. */
export function objectOf<F extends Fields>(fields: F): z.ZodObject<{ [K in keyof F]: F[K]['schema'] }, z.core.$strict> {
  const shape = Object.fromEntries(Object.entries(fields).map(([name, { schema }]) => [name, schema]))
  return z.strictObject(shape) as unknown as z.ZodObject<{ [K in keyof F]: F[K]['schema'] }, z.core.$strict>
}

/** Options as found in a file, and where each stands: for messages. */
export interface ConfigFile<Input extends object> {
  path: string
  values: Partial<Input>
  /** Line of each option, from 1. */
  lines: Map<string, number>
}

/**
 * Joins a config file with flags, which win, and fills in the defaults.
 * @param name how an option is called where it was given ("--learning-rate"), for messages
 * @throws {BtError} BT_CONFIG for a value in the file, BT_USAGE for any other
 */
export function resolveOptions<S extends z.ZodObject>(
  schema: S,
  given: Partial<z.input<S>>,
  config?: ConfigFile<z.input<S>>,
  name: (option: string) => string = (option) => option,
): z.output<S> {
  const result = schema.safeParse({ ...config?.values, ...definedOf(given) })
  if (result.success) return result.data
  const issue = result.error.issues[0]!
  if (issue.code === 'unrecognized_keys') throw unknownOption(issue.keys[0]!, Object.keys(schema.shape))
  const option = String(issue.path[0])
  const has = (values: object | undefined) => (values as Record<string, unknown> | undefined)?.[option] !== undefined
  if (has(given)) throw new BtError('BT_USAGE', `${name(option)}: ${wordsOf(issue)}`)
  if (config?.lines.has(option)) {
    throw new BtError('BT_CONFIG', `${config.path}:${config.lines.get(option)}: ${option}: ${wordsOf(issue)}`)
  }
  throw new BtError('BT_USAGE', `${name(option)} is missing`)
}

function unknownOption(option: string, names: string[]): BtError {
  const near = nearest(option, names)
  return new BtError('BT_USAGE', `there is no option "${option}"`, { remedy: near && `Did you mean ${near}?` })
}

/** Zod's message; of a union, that of the branch that came furthest. */
export function wordsOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_key' && issue.issues[0]) return wordsOf(issue.issues[0])
  if (issue.code !== 'invalid_union') return issue.message
  const branches = issue.errors.flatMap((branch) => branch.slice(0, 1))
  const furthest = branches.toSorted((a, b) => b.path.length - a.path.length)[0]
  return furthest ? wordsOf(furthest) : issue.message
}

/** What is there of an object. */
export function definedOf<T extends object>(object: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}

/** The name closest to `wanted`, if any is close: the same but for case, "-" and "_", or at most a third of it edited. */
export function nearest(wanted: string, names: string[]): string | undefined {
  const plain = (text: string) => text.replace(/[-_\s]/g, '').toLowerCase()
  const ranked = names.map((name) => ({ name, distance: editDistance(plain(wanted), plain(name)) }))
  const best = ranked.toSorted((a, b) => a.distance - b.distance)[0]
  return best && best.distance <= Math.max(1, wanted.length / 3) ? best.name : undefined
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
