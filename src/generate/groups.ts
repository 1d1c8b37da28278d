// Rows that are computed apart from all others, by their place in the input: a resumed run makes the batches that an
// uninterrupted one makes, and so the same bits.

export interface Group<Row> {
  rows: Row[]
  /** Of these the first so many are in the output already. */
  done: number
}

/** What a sitting goes on after: `waiting` are the rows of the group in whose midst it stopped. */
export interface Resumed<Row> {
  done: number
  waiting: Row[]
}

/** Place of the first row of the group, one of `size` rows, that a row belongs to. */
export function groupStart(index: number, size: number): number {
  return index - (index % size)
}

/** Rows in the groups that their places make, the first of them filled up with what was computed before. */
export async function* groupsOf<Row extends { index: number }>(
  rows: AsyncIterable<Row>,
  resumed: Resumed<Row>,
  size: number,
): AsyncGenerator<Group<Row>> {
  let group: Group<Row> | undefined
  for await (const row of rows) {
    group ??= { rows: resumed.waiting, done: resumed.waiting.length }
    group.rows.push(row)
    if ((row.index + 1) % size !== 0) continue
    yield group
    group = undefined
    resumed.waiting = []
  }
  if (group) yield group
}
