// What an audit of training data has to show. Made in train/audit.ts; drawn by audit-text.ts and audit-page.ts.
import type { DropCount } from '../data/types.js'
import type { SpelledToken } from '../text/spell.js'
import type { TemplateDescription } from '../text/types.js'

/** scored: the loss counts it; context: read, not learned; cut: left out, no part of the row. */
export type TokenKind = 'scored' | 'context' | 'cut'

export interface AuditToken extends SpelledToken {
  kind: TokenKind
}

/** A row in numbers. */
export interface AuditRowSize {
  set: 'train' | 'validation'
  /** Its number among the rows of its set, from 0: as messages of `bt-native train` have it. */
  row: number
  id: string
  source?: string
  /** Tokens that are trained on, those of them that are scored, and those that were cut. */
  tokens: number
  scored: number
  cut: number
}

/** A row as it is trained on: the tokens that are not `cut`, in this order, are the very ones. */
export interface AuditRow extends AuditRowSize {
  parts: AuditToken[]
}

/** Lengths in tokens. */
export interface Spread {
  shortest: number
  median: number
  /** 95 of 100 rows have at most so many. */
  p95: number
  longest: number
  /** Of equal width, from the shortest to the longest; `to` is included. */
  bins: { from: number; to: number; rows: number }[]
}

/** What a validation row has in common with a training row. */
export type OverlapKind = 'both' | 'target' | 'context' | 'near'

/** Validation rows that training rows repeat. Each counts once, as the first kind that holds. */
export interface Overlap {
  validation: number
  /** Both texts are the same, case and white space aside; the target is, the context is; or both nearly are. */
  rows: Record<OverlapKind, number>
  /** Jaccard similarity of the sets of five words in a row, from which texts are nearly the same. */
  nearFrom: number
  examples: { kind: OverlapKind; validation: string; train: string; text: string }[]
}

/** What training with the same options would be given. */
export interface Audit {
  model: string
  data: string
  validationData?: string
  template: TemplateDescription
  /** Tokens that end a target. */
  ends: { id: number; text: string }[]
  maxTokens: number
  /** Which turns of a conversation are learned. */
  turns: 'all' | 'last' | 'first'
  train: number
  validation: number
  /** Of the training rows: targets are more than rows where conversations hold several. */
  targets: number
  tokens: number
  scoredTokens: number
  cutRows: number
  cutTokens: number
  /** Rows that are trained on and have no scored token: there is none, or training would refuse. */
  rowsWithoutTarget: number
  /** Rows without a target, or whose target alone does not fit: left out. */
  leftOutWithoutTarget: number
  /** Rows without a target that training refuses unless it is told to leave them out. */
  refusedRows: number
  leftOut: DropCount[]
  lengths: Spread
  targetLengths: Spread
  longest: AuditRowSize[]
  mostCut: AuditRowSize[]
  overlap: Overlap
  /** The rows that were asked for, or some of the training rows. */
  rows: AuditRow[]
}

/** Tokens of a row in stretches of one kind. */
export function stretchesOf(parts: readonly AuditToken[]): { kind: TokenKind; tokens: AuditToken[] }[] {
  const stretches: { kind: TokenKind; tokens: AuditToken[] }[] = []
  for (const token of parts) {
    const last = stretches.at(-1)
    if (last?.kind === token.kind) last.tokens.push(token)
    else stretches.push({ kind: token.kind, tokens: [token] })
  }
  return stretches
}

/** Words for people, in the order in which they are told. */
export const overlapWords: Record<OverlapKind, string> = {
  both: 'context and target the same',
  target: 'target the same',
  context: 'context the same',
  near: 'nearly the same',
}
