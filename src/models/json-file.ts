// Reads the JSON files of a model folder, with errors that name the file and the field.
import { readFile } from 'node:fs/promises'
import type { z } from 'zod'
import { BtError, hasCode, messageOf } from '../errors.js'

/** The file's text, or undefined when there is no such file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return undefined
    throw error
  }
}

/**
 * The file's content held to `schema`, or undefined when there is no such file.
 * @throws {BtError} BT_MODEL_CONFIG naming file and field
 */
export async function readJsonIfThere<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S> | undefined> {
  const text = await readIfThere(path)
  return text === undefined ? undefined : parseJson(path, text, schema)
}

/** @throws {BtError} BT_MODEL_CONFIG naming file and field */
export function parseJson<S extends z.ZodType>(path: string, text: string, schema: S): z.output<S> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new BtError('BT_MODEL_CONFIG', `${path}: not JSON: ${messageOf(error)}`, { cause: error })
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const { path: field, message } = parsed.error.issues[0]!
  throw new BtError('BT_MODEL_CONFIG', `${path}: ${field.join('.') || 'content'}: ${message}`)
}
