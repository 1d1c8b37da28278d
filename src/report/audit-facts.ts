// An audit's numbers in words, for terminal and page alike.
import type { Audit, AuditRowSize, Overlap, OverlapKind } from './audit.js'
import { overlapWords } from './audit.js'
import { countOf, countText, percentText } from './numbers.js'

export interface AuditFact {
  name: string
  value: string
  /** Something to look into. */
  bad?: boolean
}

/** What stands above all else. */
export function auditFacts(audit: Audit): AuditFact[] {
  const { tokens, scoredTokens, cutRows, cutTokens, targets, train, overlap } = audit
  const repeated = Object.values(overlap.rows).reduce((sum, rows) => sum + rows, 0)
  const cut = cutRows === 0 ? 'none' : `${countText(cutRows)} (${percentText(cutRows / train)})`
  return [
    { name: 'training rows', value: countText(train) },
    ...(targets > train ? [{ name: 'targets in them', value: countText(targets) }] : []),
    { name: 'validation rows', value: countText(audit.validation) },
    { name: 'tokens', value: countText(tokens) },
    { name: 'scored', value: `${countText(scoredTokens)} (${percentText(scoredTokens / tokens)})` },
    { name: 'rows cut', value: cut },
    { name: 'tokens cut', value: cutTokens === 0 ? 'none' : countText(cutTokens) },
    { name: 'rows without target', value: withoutTarget(audit), bad: audit.rowsWithoutTarget + audit.refusedRows > 0 },
    {
      name: 'validation rows seen in training',
      value: overlap.validation === 0 ? 'no validation rows' : repeated === 0 ? 'none' : countText(repeated),
      bad: repeated > 0,
    },
  ]
}

function withoutTarget({ rowsWithoutTarget, leftOutWithoutTarget, refusedRows }: Audit): string {
  const trained = rowsWithoutTarget === 0 ? 'none' : countText(rowsWithoutTarget)
  const others = leftOutWithoutTarget - refusedRows
  const left = others > 0 ? ` (${countText(others)} left out)` : ''
  const refused = refusedRows > 0 ? `; ${countText(refusedRows)} that train refuses without --skip-empty` : ''
  return `${trained}${left}${refused}`
}

/** The template's task, form and hash, and what ends a target. */
export function templateText({ template, ends }: Audit): string {
  const { task, form, hash } = template
  return `${task}/${form} ${hash}, a target ends with ${ends[0]!.text} (${ends[0]!.id})`
}

/** Which turns of a conversation are learned. */
export function turnsText(turns: Audit['turns']): string {
  return turns === 'all' ? 'every turn is learned' : 'the last turn is learned'
}

/** Kinds of overlap that there are, with their rows. */
export function overlapRows({ rows }: Overlap): { kind: OverlapKind; words: string; rows: number }[] {
  return (Object.keys(overlapWords) as OverlapKind[])
    .filter((kind) => rows[kind] > 0)
    .map((kind) => ({ kind, words: overlapWords[kind], rows: rows[kind] }))
}

/** "row 17 · 3f2a9c0d11e4b7a8 · 212 tokens, 31 scored". */
export function rowText({ set, row, id, source, tokens, scored, cut }: AuditRowSize): string {
  const place = `${set === 'train' ? 'row' : 'validation row'} ${row}`
  const sizes = `${countOf(tokens, 'token')}, ${countText(scored)} scored${cut > 0 ? `, ${countText(cut)} cut` : ''}`
  return [place, id, ...(source === undefined ? [] : [source]), sizes].join(' · ')
}

/** The longest and the most cut rows, each once. */
export function notableRows({ longest, mostCut }: Audit): AuditRowSize[] {
  const key = ({ set, row }: AuditRowSize) => `${set} ${row}`
  return [...new Map([...longest, ...mostCut].map((row) => [key(row), row])).values()]
}
