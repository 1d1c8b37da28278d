// Flags of a command from a table of options. Values stay as typed but for numbers, lists and switches: the table's own
// schema judges them, so that flags, config files and the API refuse the same things in the same words.
import { type Command, Option } from 'commander'
import type { z } from 'zod'
import { BtError } from '../errors.js'
import { type Fields, flagOf } from '../fields.js'

export { flagOf }

/** Adds a flag for each row of the table, in its groups, and hidden ones for the old names. */
export function addFlags(command: Command, fields: Fields): void {
  for (const [name, { schema, meta }] of Object.entries(fields)) {
    const option = new Option(`${flagOf(name)}${meta.value ? ` ${meta.value}` : ''}`, descriptionOf(schema))
    const parser = meta.repeated ? collect : parserOf(schema, meta.value)
    command.addOption(option.helpGroup(meta.group).argParser(parser))
    for (const alias of meta.aliases ?? []) {
      command.addOption(
        new Option(`${alias} ${meta.value}`).hideHelp().helpGroup(meta.group).argParser(parserOf(schema, meta.value)),
      )
    }
  }
}

/** The table's options out of what commander parsed; an old name counts where the new one is not given. */
export function givenOptions<T extends object>(parsed: Record<string, unknown>, fields: Fields): Partial<T> {
  const given: Record<string, unknown> = {}
  for (const [name, { meta }] of Object.entries(fields)) {
    const names = [name, ...(meta.aliases ?? []).map((alias) => new Option(alias).attributeName())]
    given[name] = names.map((candidate) => parsed[candidate]).find((value) => value !== undefined)
  }
  return given as Partial<T>
}

/** The words of the table and the default, where there is one to show. */
function descriptionOf(schema: z.ZodType): string {
  const { type, defaultValue } = schema.def as Partial<z.core.$ZodDefaultDef> & { type: string }
  const fallback = ['default', 'prefault'].includes(type) ? defaultValue : undefined
  if (fallback === undefined || fallback === false) return schema.description ?? ''
  return `${schema.description ?? ''} (default: ${Array.isArray(fallback) ? fallback.join(',') : fallback})`
}

/** A count that is typed as a flag; 0 where it is not. @throws {BtError} BT_USAGE */
export function countOption(flag: string, text: unknown): number {
  if (text === undefined) return 0
  const count = Number(text)
  if (Number.isSafeInteger(count) && count >= 0) return count
  throw new BtError('BT_USAGE', `${flag}: ${text} is no count`)
}

/** Adds to what the same flag gave before. */
function collect(text: string, before: unknown): string[] {
  return [...((before as string[] | undefined) ?? []), text]
}

/** Turns the text of a flag into what the schema judges: a number where it wants one, a list where it takes one. */
function parserOf(schema: z.ZodType, value: string | undefined): (text: string, before: unknown) => unknown {
  const kinds = kindsOf(schema)
  if (value === undefined) return () => true
  // Words one after the other, as a shell makes them of a pattern: a name may hold a comma.
  if (value.endsWith('...>')) return (text, before) => [...(Array.isArray(before) ? before : []), text]
  if (kinds.has('array')) return (text) => (text === 'all-linear' ? text : text.split(',').map((part) => part.trim()))
  if (kinds.has('record')) return recordOf
  if (kinds.has('number')) return (text) => (text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text))
  return (text) => text
}

/** "198=-1,30=2.5" as an object; text that is none stays as it is. */
function recordOf(text: string): unknown {
  const entries = text.split(',').map((part) => part.split('=').map((word) => word.trim()))
  if (entries.some(([name, value, ...rest]) => !name || !value || rest.length > 0)) return text
  return Object.fromEntries(entries.map(([name, value]) => [name, Number(value)]))
}

/** Zod's kinds that a value of this schema may have, looking through defaults, unions and transforms. */
function kindsOf(schema: z.ZodType): Set<string> {
  const { def } = schema as unknown as { def: Record<string, unknown> & { type: string } }
  const inner = [def.innerType, def.in, ...((def.options as unknown[]) ?? [])].filter((part) => part !== undefined)
  return new Set([def.type, ...inner.flatMap((part) => [...kindsOf(part as z.ZodType)])])
}
