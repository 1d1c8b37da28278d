// Validation rows that training has seen: they make the validation loss look better than it is.
import { NearDuplicates } from '../data/near-duplicates.js'
import type { DataRow } from '../data/types.js'
import { sha256 } from '../files.js'
import type { Overlap, OverlapKind } from '../report/audit.js'
import type { Pair, Task } from '../text/types.js'

/** As preprocess takes rows for near-duplicates. */
const nearFrom = 0.85
const mostExamples = 10

/**
 * Compares each validation row with all training rows; linear in the number of rows. A conversation is compared as a whole,
 * all of one side's texts together, and by its first pair.
 */
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
    both: (pair: Pair) => `${keyOf(pair[contextSide])} ${keyOf(pair[targetSide])}`,
    target: (pair: Pair) => keyOf(pair[targetSide]),
    context: (pair: Pair) => keyOf(pair[contextSide]),
  }
  const kinds = Object.keys(keys) as (keyof typeof keys)[]
  const known = Object.fromEntries(kinds.map((kind) => [kind, new Map<string, string>()]))
  const near = new NearDuplicates(nearFrom)
  for (const row of train) {
    for (const pair of pairsOf(row)) {
      for (const kind of kinds) {
        const key = keys[kind](pair)
        if (!known[kind]!.has(key)) known[kind]!.set(key, row.id)
      }
      near.seenAt(textOf(pair), row.id)
    }
  }
  return (row) => {
    const pairs = pairsOf(row)
    for (const kind of kinds) {
      for (const pair of pairs) {
        const id = known[kind]!.get(keys[kind](pair))
        if (id !== undefined) return { kind, id }
      }
    }
    const id = pairs.map((pair) => near.find(textOf(pair))).find((found) => found !== undefined)
    return id === undefined ? undefined : { kind: 'near', id }
  }
}

const textOf = (pair: Pair) => `${pair.instruction}\n${pair.response}`

/** The first pair and, of a conversation, the texts of each side. */
function pairsOf({ instruction, response, conversation }: DataRow): Pair[] {
  const first = { instruction, response }
  if (!conversation || conversation.exchanges.length < 2) return [first]
  const side = (name: keyof Pair) => conversation.exchanges.map((pair) => pair[name]).join('\n')
  return [{ instruction: side('instruction'), response: side('response') }, first]
}

/** One for texts that differ in case and white space alone. */
function keyOf(text: string): string {
  return sha256(text.replace(/\s+/g, ' ').trim().toLowerCase())
}
