// Which rows of several systems belong together: those with the same id, or else the same given text.
import { normaliseText } from '../data/normalise.js'
import { BtError } from '../errors.js'
import type { EvaluationRow } from './types.js'

/** A row that can be matched. */
export interface SystemRow extends EvaluationRow {
  id?: string
  /** "file.jsonl:12", for messages. */
  place?: string
}

/** What one model, or one setting of it, wrote. */
export interface System {
  name: string
  rows: readonly SystemRow[]
}

/** Rows of a system that another one lacks. */
export interface Unmatched {
  system: string
  count: number
  /** Where each of them stands: its place, id, or number in the system. */
  rows: string[]
}

/** Rows that all systems have, and those that some lack. */
export interface Matched {
  /** Of each system the rows that all have, in the order of the first. */
  systems: { name: string; rows: EvaluationRow[] }[]
  /** Systems that have rows which another lacks. */
  unmatched: Unmatched[]
  /** How they were found; 'order' only where no row has an id or a given text. */
  matchedBy: 'id' | 'text' | 'order'
}

/**
 * Matches the rows of all systems. Where an id (or text) comes more than once, its first row is matched with the first of
 * the others, its second with the second. A true or given text that one system lacks is taken from another.
 * @throws {BtError} BT_UNMATCHED when a system has no row in common with the first; BT_REFERENCES when matched rows have
 * different true texts
 */
export function matchSystems(systems: readonly System[]): Matched {
  const [first, ...others] = systems
  if (!first) return { systems: [], unmatched: [], matchedBy: 'id' }
  const finders = others.map((system) => new Finder(first, system))
  const taken = systems.map((): number[] => [])
  for (const index of first.rows.keys()) {
    const found = finders.map((finder) => finder.find(index))
    if (found.includes(undefined)) continue
    for (const [which, row] of [index, ...(found as number[])].entries()) taken[which]!.push(row)
  }
  for (const [which, finder] of finders.entries()) if (finder.found === 0) throw noneInCommon(first, others[which]!)
  if (taken[0]!.length === 0 && first.rows.length > 0) throw noneInCommon(first, { name: 'all the others together' })
  return {
    systems: completed(systems.map(({ name, rows }, which) => ({ name, rows: taken[which]!.map((at) => rows[at]!) }))),
    unmatched: systems.flatMap(({ name, rows }, which) => {
      const matched = new Set(taken[which])
      const left = [...rows.keys()].filter((at) => !matched.has(at)).map((at) => placeOf(rows[at]!, at))
      return left.length === 0 ? [] : [{ system: name, count: left.length, rows: left }]
    }),
    matchedBy: howOf(finders),
  }
}

function howOf(finders: readonly Finder[]): Matched['matchedBy'] {
  if (finders.some(({ byText }) => byText)) return 'text'
  return finders.some(({ byOrder }) => byOrder) ? 'order' : 'id'
}

/** Finds the rows of one system that belong to those of another; each is given once. */
class Finder {
  /** Rows that have been found, and whether some were by text. */
  found = 0
  byText = false
  /** Neither system has anything to tell rows by, and both have as many. */
  readonly byOrder: boolean
  /** Places by id and by text, the first last. */
  private readonly ids: Map<string, number[]>
  private readonly texts: Map<string, number[]>
  private readonly used = new Set<number>()

  constructor(
    private readonly one: System,
    private readonly other: System,
  ) {
    this.ids = placesBy(other.rows, ({ id }) => id)
    this.texts = placesBy(other.rows, textOf)
    const bare = [...one.rows, ...other.rows].every((row) => row.id === undefined && row.response === undefined)
    this.byOrder = bare && one.rows.length === other.rows.length
  }

  /** Place in the other system of what belongs to row `index` of the one. */
  find(index: number): number | undefined {
    const place = this.byOrder ? index : this.search(this.one.rows[index]!)
    if (place === undefined) return undefined
    this.found++
    this.used.add(place)
    return place
  }

  private search(row: SystemRow): number | undefined {
    const free = (places: number[] | undefined) => {
      while (places && places.length > 0 && this.used.has(places.at(-1)!)) places.pop()
      return places?.at(-1)
    }
    const sameId = free(row.id === undefined ? undefined : this.ids.get(row.id))
    if (sameId !== undefined && !differ(textOf(row), textOf(this.other.rows[sameId]!))) return sameId
    const text = textOf(row)
    const sameText = text === undefined ? undefined : free(this.texts.get(text))
    if (sameText !== undefined) this.byText = true
    return sameText
  }
}

function placesBy(rows: readonly SystemRow[], key: (row: SystemRow) => string | undefined): Map<string, number[]> {
  const places = new Map<string, number[]>()
  for (let at = rows.length - 1; at >= 0; at--) {
    const name = key(rows[at]!)
    if (name === undefined) continue
    const known = places.get(name)
    if (known) known.push(at)
    else places.set(name, [at])
  }
  return places
}

/** Rows with the true and the given text that any of the systems has for them. */
function completed(systems: { name: string; rows: SystemRow[] }[]): Matched['systems'] {
  const count = systems[0]!.rows.length
  const shared = Array.from({ length: count }, (_, at) => {
    const rows = systems.map(({ rows }) => rows[at]!)
    const known = rows.find(({ reference }) => reference !== undefined)
    const stray = rows.find(({ reference }) => differ(reference, known?.reference))
    if (stray) throw otherTruth(known!, stray, at)
    return {
      reference: known?.reference,
      response: rows.find(({ response }) => response !== undefined)?.response,
      source: rows.find(({ source }) => source !== undefined)?.source,
    }
  })
  return systems.map(({ name, rows }) => ({
    name,
    rows: rows.map((row, at) => ({ ...row, ...shared[at] }) as EvaluationRow),
  }))
}

function textOf({ response }: SystemRow): string | undefined {
  return response === undefined ? undefined : normaliseText(response)
}

/** Whether both are there and are not the same. */
function differ(one: string | undefined, other: string | undefined): boolean {
  return one !== undefined && other !== undefined && one !== other
}

function placeOf({ place, id }: SystemRow, at: number): string {
  return place ?? id ?? `row ${at + 1}`
}

function noneInCommon(first: { name: string }, other: { name: string }): BtError {
  return new BtError(
    'BT_UNMATCHED',
    `no row of ${other.name} belongs to one of ${first.name}, by id or by given text`,
    {
      remedy:
        'Compare what was written for the same texts, name the id column with --columns id=NAME, or read the files as one set with --together.',
    },
  )
}

function otherTruth(one: SystemRow, other: SystemRow, at: number): BtError {
  const places = `${placeOf(one, at)} and ${placeOf(other, at)}`
  return new BtError('BT_REFERENCES', `${places} belong together, but have different true texts`, {
    remedy: 'Give the true texts of all in one file, with --references.',
  })
}
