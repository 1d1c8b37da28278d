// What a card tells of the rows: counted while they are written, numbers alone are kept.
import { scoreNames } from '../curate/types.js'
import { characterCount } from '../data/normalise.js'
import type { DatasetRow } from './forms.js'

export interface DatasetCounts {
  rows: number
  conversations: number
  withSystem: number
  /** Rows by value, most first; null where a row has none. */
  sources: Count[]
  languages: Count[]
  licenses: Count[]
  /** Sources of each licence, as "source", in the order of their rows. */
  sourcesByLicense: { license: string | null; source: string | null; rows: number }[]
}

/** Rows by a name: a language, an origin; null where it is not known. */
export interface Count {
  name: string | null
  rows: number
}

/** A row of the card. */
export interface CardSample {
  id: string
  instruction: string
  response: string
}

export class Counter {
  private rows = 0
  private conversations = 0
  private withSystem = 0
  private readonly languages = new Map<string | null, number>()
  private readonly origins = new Map<string, number>()
  /** Characters of instructions and responses, and each score. */
  readonly numbers = new Map<string, number[]>()
  private chosen: { hash: string; sample: CardSample }[] = []

  constructor(private readonly samples: number) {}

  /** @param hash of the row's texts */
  add(row: DatasetRow, hash: string): void {
    this.rows++
    if (row.exchanges.length > 1) this.conversations++
    if (row.system !== undefined) this.withSystem++
    const { source, license, language } = row.columns as Record<string, string | null>
    add(this.languages, language)
    add(this.origins, JSON.stringify([source, license]))
    for (const { instruction, response } of row.exchanges) {
      this.note('instruction', characterCount(instruction))
      this.note('response', characterCount(response))
    }
    for (const name of scoreNames) {
      const value = row.columns[name]
      if (name !== 'length' && typeof value === 'number') this.note(name, value)
    }
    this.choose(row, hash)
  }

  private note(name: string, value: number): void {
    const values = this.numbers.get(name)
    if (values) values.push(value)
    else this.numbers.set(name, [value])
  }

  /** The lowest hashes: a choice at random, and the same again. */
  private choose({ id, exchanges }: DatasetRow, hash: string): void {
    if (this.samples === 0 || (this.chosen.length === this.samples && hash >= this.chosen.at(-1)!.hash)) return
    this.chosen = [...this.chosen, { hash, sample: { id, ...exchanges[0]! } }]
      .toSorted((a, b) => (a.hash < b.hash ? -1 : 1))
      .slice(0, this.samples)
  }

  get chosenSamples(): CardSample[] {
    return this.chosen.map(({ sample }) => sample)
  }

  counts(): DatasetCounts {
    const pairs = [...this.origins].map(([key, rows]) => {
      const [source, license] = JSON.parse(key) as [string | null, string | null]
      return { source, license, rows }
    })
    const by = (name: 'source' | 'license') => {
      const counts = new Map<string | null, number>()
      for (const pair of pairs) add(counts, pair[name], pair.rows)
      return ordered(counts)
    }
    return {
      rows: this.rows,
      conversations: this.conversations,
      withSystem: this.withSystem,
      sources: by('source'),
      languages: ordered(this.languages),
      licenses: by('license'),
      sourcesByLicense: pairs.toSorted((a, b) => b.rows - a.rows || compare(a.source, b.source)),
    }
  }
}

function add<K>(counts: Map<K, number>, name: K, rows = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + rows)
}

function ordered(counts: Map<string | null, number>): Count[] {
  return [...counts]
    .map(([name, rows]) => ({ name, rows }))
    .toSorted((a, b) => b.rows - a.rows || compare(a.name, b.name))
}

function compare(a: string | null, b: string | null): number {
  return (a ?? '') < (b ?? '') ? -1 : (a ?? '') > (b ?? '') ? 1 : 0
}
