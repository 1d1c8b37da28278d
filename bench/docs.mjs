// The tables of the docs: each stands between two comments that carry its key, and is replaced whole.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../dist/paths.js'
import { progress } from './progress.mjs'

/** @throws {Error} when the text has no place for the key */
export function replaceTable(text, key, markdown) {
  const [begin, end] = [`<!-- bench:${key} -->`, `<!-- /bench:${key} -->`]
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`the docs have no ${begin} ... ${end}`)
  return `${text.slice(0, from + begin.length)}\n${markdown}\n${text.slice(to)}`
}

export function writeDocs({ key, markdown, file = 'performance.md' }) {
  const path = join(packageRoot, 'docs', file)
  writeFileSync(path, replaceTable(readFileSync(path, 'utf8'), key, markdown))
  progress(`wrote the table ${key} into ${path}`)
}
