// Which rows are kept, and why: rules over numbers that are there already. Pure: computes nothing with models.
import { BtError } from '../errors.js'
import { nearest } from '../fields.js'
import type { Progress } from '../progress.js'
import { countText } from '../report/numbers.js'
import { directionsOf, farthestPoints, type Vectors } from './diverse.js'
import { lowIsGood, type ScoreName } from './types.js'

/** What is known of all rows, in their order. */
export interface SelectionTable {
  rows: number
  /** [rows] of each score that there is; NaN for a row without it. */
  scores: Partial<Record<ScoreName, Float64Array>>
  /** Faults that generation's guard left, by row. */
  faults: ReadonlyMap<number, readonly string[]>
  /** Rows of which a text is empty. */
  empty: ReadonlySet<number>
  /** [rows] what the keep expression gives: 1 true, 0 false, -1 NULL. */
  expression?: Int8Array
  /** For diversity. */
  vectors?: Vectors
}

export interface SelectionRules {
  min?: Partial<Record<ScoreName, number>> | undefined
  /** The expression, for words. */
  keep?: string | undefined
  top?: number | undefined
  budget?: number | undefined
  diverse?: number | undefined
  by?: ScoreName | undefined
  keepFaulty?: boolean | undefined
}

export interface Selection {
  kept: boolean[]
  why: string[]
  /** Rows left out, by rule. */
  rejected: Record<string, number>
}

/** What is kept where no rule is given: of scores that were calibrated, what is likelier good than bad; else the better half. */
const defaultFit = 0.5
const defaultTop = 0.5

/** The score that "best" is by, where none is named. */
export function defaultBy(scores: SelectionTable['scores']): ScoreName {
  return scores.fit ? 'fit' : 'pmi'
}

/** Rules with what holds where none is named. */
export function completeRules(
  rules: SelectionRules,
  scores: SelectionTable['scores'],
): SelectionRules & { by: ScoreName } {
  const by = rules.by ?? defaultBy(scores)
  const { min, keep, top, budget, diverse } = rules
  const named = [keep, top, budget, diverse].some((rule) => rule !== undefined) || Object.keys(min ?? {}).length > 0
  if (named) return { ...rules, by }
  return scores.fit && by === 'fit' ? { ...rules, by, min: { fit: defaultFit } } : { ...rules, by, top: defaultTop }
}

/**
 * Applies the rules in order: guard and empty texts, least scores, expression, share, budget, diversity. Each narrows what the ones
 * before it left. Ties go to the row that stands first.
 * @throws {BtError} BT_USAGE for a score that the rows have not
 */
export function select(table: SelectionTable, given: SelectionRules): Selection {
  const work = selecting(table, given)
  for (let step = work.next(); ; step = work.next()) if (step.done) return step.value
}

/** The same in short pieces, of which each yields its progress. */
export function* selecting(table: SelectionTable, given: SelectionRules): Generator<Progress, Selection> {
  const rules = completeRules(given, table.scores)
  const sieve = new Sieve(table)
  if (!rules.keepFaulty) sieve.drop('guard', (row) => faultsWords(table.faults.get(row)))
  sieve.drop('no scores', (row) => (table.empty.has(row) ? 'no scores: a text is empty' : undefined))
  for (const [name, least] of Object.entries(rules.min ?? {}) as [ScoreName, number][]) {
    const values = scoreOf(table, name)
    sieve.drop(`min ${name}`, (row) =>
      values[row]! >= least ? undefined : `${words(name, values[row]!)} is below ${least}`,
    )
    sieve.praise((row) => `${words(name, values[row]!)} is at least ${least}`)
  }
  if (table.expression) {
    const { expression } = table
    sieve.drop('keep', (row) =>
      expression[row] === 1 ? undefined : `${expression[row] === 0 ? 'not' : 'not known whether'} ${rules.keep}`,
    )
    sieve.praise(() => rules.keep!)
  }
  if (rules.top !== undefined) {
    const share = `the best ${Number((100 * rules.top).toPrecision(4))} %`
    keepBest(sieve, table, rules.by, 'top', share, (left) => Math.round(rules.top! * left))
  }
  if (rules.budget !== undefined) {
    keepBest(sieve, table, rules.by, 'budget', `the best ${countText(rules.budget)}`, () => rules.budget!)
  }
  if (rules.diverse !== undefined && table.vectors) {
    yield* keepDiverse(sieve, table.scores[rules.by], table.vectors, rules)
  }
  return sieve.selection()
}

/** Begins with the best row. */
function* keepDiverse(
  sieve: Sieve,
  values: Float64Array | undefined,
  vectors: Vectors,
  { by, diverse }: SelectionRules & { by: ScoreName },
): Generator<Progress, void> {
  const left = sieve.left()
  if (left.length === 0) return
  const best = values ? bestFirst(left, values, lowIsGood.has(by))[0]! : left[0]!
  const picks = yield* farthestPoints(directionsOf(vectors, left), diverse!, left.indexOf(best))
  const picked = new Set(picks.map((pick) => left[pick]!))
  sieve.drop('diverse', (row) => (picked.has(row) ? undefined : 'others that are kept are near to it'))
  sieve.praise(() => `among the ${countText(diverse!)} that differ most`)
}

function keepBest(
  sieve: Sieve,
  table: SelectionTable,
  by: ScoreName,
  rule: string,
  share: string,
  countOf: (left: number) => number,
): void {
  const values = scoreOf(table, by)
  const left = sieve.left()
  const best = new Set(bestFirst(left, values, lowIsGood.has(by)).slice(0, countOf(left.length)))
  sieve.drop(rule, (row) => (best.has(row) ? undefined : `${words(by, values[row]!)} is not among ${share}`))
  sieve.praise((row) => `${words(by, values[row]!)} is among ${share}`)
}

/** Rows without the score come last. */
function bestFirst(rows: readonly number[], values: Float64Array, low: boolean): number[] {
  const sign = low ? 1 : -1
  const worth = (row: number) => (Number.isNaN(values[row]) ? Number.POSITIVE_INFINITY : sign * values[row]!)
  return rows.toSorted((a, b) => {
    const [x, y] = [worth(a), worth(b)]
    return x === y ? a - b : x < y ? -1 : 1
  })
}

/** @throws {BtError} BT_USAGE */
export function scoreOf({ scores }: Pick<SelectionTable, 'scores'>, name: ScoreName): Float64Array {
  const values = scores[name]
  if (values) return values
  throw missingScore(name, Object.keys(scores))
}

const flagOfScore: Partial<Record<ScoreName, string>> = {
  cycle: '--cycle-tokens N',
  backward: '--backward ADAPTER',
  backwardPmi: '--backward ADAPTER',
  fit: '--calibrate',
}

export function missingScore(name: ScoreName, known: string[]): BtError {
  const flag = flagOfScore[name]
  return new BtError('BT_USAGE', `there is no score ${name} here; there are ${known.join(', ')}`, {
    remedy: flag ? `${flag} gives it.` : `Did you mean ${nearest(name, known) ?? known[0]}?`,
  })
}

function faultsWords(faults: readonly string[] | undefined): string | undefined {
  return faults && `guard: ${faults.join(', ')}`
}

function words(name: ScoreName, value: number): string {
  return Number.isNaN(value) ? `${name} unknown` : `${name} ${Number(value.toPrecision(4))}`
}

/** Rows that are left, and what was said of each. */
class Sieve {
  private readonly out: (string | undefined)[]
  private readonly reasons: ((row: number) => string)[] = []
  private readonly rejected: Record<string, number> = {}

  constructor({ rows }: SelectionTable) {
    this.out = Array(rows).fill(undefined)
  }

  left(): number[] {
    return this.out.flatMap((reason, row) => (reason === undefined ? [row] : []))
  }

  drop(rule: string, reasonOf: (row: number) => string | undefined): void {
    for (const row of this.left()) {
      const reason = reasonOf(row)
      if (reason === undefined) continue
      this.out[row] = reason
      this.rejected[rule] = (this.rejected[rule] ?? 0) + 1
    }
  }

  /** What is said of every row that is kept. */
  praise(reasonOf: (row: number) => string): void {
    this.reasons.push(reasonOf)
  }

  selection(): Selection {
    const why = this.out.map((reason, row) => reason ?? this.reasons.map((reasonOf) => reasonOf(row)).join('; '))
    return { kept: this.out.map((reason) => reason === undefined), why, rejected: this.rejected }
  }
}
