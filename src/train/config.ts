// Options from a config file: read, names checked against the table, each with its line for messages. Values are checked
// by fields.ts when the file is joined with flags.
import { readFile } from 'node:fs/promises'
import { type Document, isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import { BtError, hasCode } from '../errors.js'
import { type ConfigFile, nearest } from '../fields.js'
import { type TrainInput, trainSchema } from './options.js'

/**
 * Reads a YAML or JSON file of options (JSON is read as YAML, of which it is a part).
 * @throws {BtError} BT_CONFIG naming file and line: not there, not YAML, an unknown option, not a table of options
 */
export async function readConfig(path: string): Promise<ConfigFile<TrainInput>> {
  const lineCounter = new LineCounter()
  const document = parseDocument(await readText(path), { lineCounter, prettyErrors: false })
  const fault = document.errors[0]
  if (fault) throw new BtError('BT_CONFIG', `${path}:${lineCounter.linePos(fault.pos[0]).line}: ${fault.message}`)
  const lines = optionLines(path, document, lineCounter)
  const { $schema: _, ...values } = (document.toJS() ?? {}) as Record<string, unknown>
  for (const [name, line] of lines) {
    if (name in trainSchema.shape) continue
    const near = nearest(name, Object.keys(trainSchema.shape))
    throw new BtError('BT_CONFIG', `${path}:${line}: there is no option "${name}"`, {
      remedy: near ? `Did you mean ${near}?` : 'bt-native train --help lists the options.',
    })
  }
  return { path, values: values as Partial<TrainInput>, lines }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
    throw new BtError('BT_CONFIG', `${path}: no such file`, { remedy: 'Give --config a YAML or JSON file.' })
  }
}

/** Line of every key of the file's top level but "$schema". */
function optionLines(path: string, document: Document, lineCounter: LineCounter): Map<string, number> {
  const lines = new Map<string, number>()
  if (document.contents === null) return lines
  if (!isMap(document.contents)) {
    throw new BtError('BT_CONFIG', `${path}: a table of options was expected, for instance "epochs: 3"`)
  }
  for (const { key } of document.contents.items) {
    if (!isScalar(key) || key.value === '$schema') continue
    lines.set(String(key.value), lineCounter.linePos(key.range?.[0] ?? 0).line)
  }
  return lines
}
