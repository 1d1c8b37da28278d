// Typed reading of GGUF metadata: a missing entry or one of the wrong kind is an error that names its key.
import { BtError } from '../errors.js'

/** As @huggingface/gguf gives it; 64-bit integers are BigInt. */
export type Metadata = Readonly<Record<string, unknown>>

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
