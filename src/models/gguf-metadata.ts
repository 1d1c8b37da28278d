// Typed reading of GGUF metadata, where a missing entry or one of the wrong kind is an error that names its key; and
// entries with their types, as they are written.
import { BtError } from '../errors.js'
import { valueType } from './gguf-tables.js'

/** As @huggingface/gguf gives it; 64-bit integers are BigInt. */
export type Metadata = Readonly<Record<string, unknown>>

/** An entry as it is written: types are GGUF's numbers (valueType of gguf-tables.ts), `subType` that of a list. */
export interface TypedEntry {
  type: number
  subType?: number
  value: unknown
}

export type TypedMetadata = Readonly<Record<string, TypedEntry>>

const list = (subType: number, value: readonly unknown[]): TypedEntry => ({ type: valueType.array, subType, value })

/** Entries of each type that a model needs. */
export const entry = {
  uint: (value: number): TypedEntry => ({ type: valueType.uint32, value }),
  float: (value: number): TypedEntry => ({ type: valueType.float32, value }),
  flag: (value: boolean): TypedEntry => ({ type: valueType.bool, value }),
  text: (value: string): TypedEntry => ({ type: valueType.string, value }),
  ints: (values: readonly number[]) => list(valueType.int32, values),
  floats: (values: readonly number[]) => list(valueType.float32, values),
  texts: (values: readonly string[]) => list(valueType.string, values),
}

/** Metadata as a reader of the file will have it: 32-bit floats are rounded. */
export function plainMetadata(typed: TypedMetadata): Metadata {
  const plain = ({ type, subType, value }: TypedEntry) => {
    if (type === valueType.float32) return Math.fround(value as number)
    return subType === valueType.float32 ? (value as number[]).map(Math.fround) : value
  }
  return Object.fromEntries(Object.entries(typed).map(([key, one]) => [key, plain(one)]))
}

interface Kinds {
  string: string
  number: number
  boolean: boolean
  strings: string[]
  numbers: number[]
}

/** @throws {BtError} BT_GGUF when the entry is missing or of another kind */
export function required<K extends keyof Kinds>(metadata: Metadata, key: string, kind: K): Kinds[K] {
  const value = optional(metadata, key, kind)
  if (value === undefined) throw new BtError('BT_GGUF', `the metadata has no ${key}`)
  return value
}

/** undefined when there is no such entry. @throws {BtError} BT_GGUF when it is of another kind */
export function optional<K extends keyof Kinds>(metadata: Metadata, key: string, kind: K): Kinds[K] | undefined {
  const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined
  if (value === undefined) return undefined
  const plain = convert(value, kind)
  if (plain === undefined) throw new BtError('BT_GGUF', `the metadata's ${key} is not of kind ${kind}`)
  return plain as Kinds[K]
}

function convert(value: unknown, kind: keyof Kinds): Kinds[keyof Kinds] | undefined {
  if (kind === 'number') return toNumber(value)
  if (kind === 'string' || kind === 'boolean') {
    return typeof value === kind ? (value as string | boolean) : undefined
  }
  if (!Array.isArray(value)) return undefined
  if (kind === 'strings') return value.every((item) => typeof item === 'string') ? (value as string[]) : undefined
  const numbers = value.map(toNumber)
  return numbers.every((item) => item !== undefined) ? numbers : undefined
}

function toNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'bigint' && value <= Number.MAX_SAFE_INTEGER ? Number(value) : undefined
}
