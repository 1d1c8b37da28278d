// Validation rows that training has seen: they make the validation loss look better than it is.
import { NearDuplicates } from '../data/near-duplicates.js'
import type { DataRow } from '../data/types.js'
import { sha256 } from '../files.js'
import type { Overlap, OverlapKind } from '../report/audit.js'
import type { Task } from '../text/types.js'

/** As preprocess takes rows for near-duplicates. */
const nearFrom = 0.85
const mostExamples = 10

/** Compares each validation row with all training rows; linear in the number of rows. */
export function overlapOf(train: readonly DataRow[], validation: readonly DataRow[], task: Task): Overlap {
  const rows: Record<OverlapKind, number> = { both: 0, target: 0, context: 0, near: 0 }
  const examples: Overlap['examples'] = []
  if (validation.length > 0) {
    const find = finder(train, task)
    for (const row of validation) {
      const found = find(row)
      if (!found) continue
      rows[found.kind]++
      const text = row[task === 'backward' ? 'instruction' : 'response']
      if (examples.length < mostExamples) {
        examples.push({ kind: found.kind, validation: row.id, train: found.id, text: text.slice(0, 200) })
      }
    }
  }
  return { validation: validation.length, rows, nearFrom, examples }
}

/** Answers which training row a row repeats, and how. */
function finder(
  train: readonly DataRow[],
  task: Task,
): (row: DataRow) => { kind: OverlapKind; id: string } | undefined {
  const [contextSide, targetSide] =
    task === 'backward' ? (['response', 'instruction'] as const) : (['instruction', 'response'] as const)
  const keys = {
    both: (row: DataRow) => `${keyOf(row[contextSide])} ${keyOf(row[targetSide])}`,
    target: (row: DataRow) => keyOf(row[targetSide]),
    context: (row: DataRow) => keyOf(row[contextSide]),
  }
  const kinds = Object.keys(keys) as (keyof typeof keys)[]
  const known = Object.fromEntries(kinds.map((kind) => [kind, new Map<string, string>()]))
  const near = new NearDuplicates(nearFrom)
  for (const row of train) {
    for (const kind of kinds) {
      const key = keys[kind](row)
      if (!known[kind]!.has(key)) known[kind]!.set(key, row.id)
    }
    near.seenAt(textOf(row), row.id)
  }
  return (row) => {
    for (const kind of kinds) {
      const id = known[kind]!.get(keys[kind](row))
      if (id !== undefined) return { kind, id }
    }
    const id = near.find(textOf(row))
    return id === undefined ? undefined : { kind: 'near', id }
  }
}

const textOf = (row: DataRow) => `${row.instruction}\n${row.response}`

/** One for texts that differ in case and white space alone. */
function keyOf(text: string): string {
  return sha256(text.replace(/\s+/g, ' ').trim().toLowerCase())
}
