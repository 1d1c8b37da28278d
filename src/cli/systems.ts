// Which prediction files make which system: `--predictions first.jsonl other=second.jsonl`.
import { existsSync } from 'node:fs'
import { plainName } from '../paths.js'

export interface SystemFiles {
  name: string
  files: string[]
}

/**
 * Each file is a system of its own, called as it is or as `name=file` says; files of one name are one system. A file whose
 * own name holds "=" is taken for what it is. Two files that would be called alike keep their paths as names.
 * @param together all files are one system
 */
export function systemsOf(given: readonly string[], together: boolean, exists = existsSync): SystemFiles[] {
  const files = given.map((text) => namedFile(text, exists))
  if (together) return [{ name: files[0]?.name ?? plainName(files[0]!.path), files: files.map(({ path }) => path) }]
  const plain = files.map(({ name, path }) => name ?? plainName(path))
  const systems: SystemFiles[] = []
  for (const [at, { name, path }] of files.entries()) {
    const alike = name === undefined && plain.some((other, place) => place !== at && other === plain[at])
    const called = alike ? path : plain[at]!
    const known = systems.find((system) => system.name === called)
    if (known) known.files.push(path)
    else systems.push({ name: called, files: [path] })
  }
  return systems
}

function namedFile(text: string, exists: (path: string) => boolean): { name?: string; path: string } {
  const at = text.indexOf('=')
  if (at <= 0 || at === text.length - 1 || exists(text)) return { path: text }
  return { name: text.slice(0, at), path: text.slice(at + 1) }
}
