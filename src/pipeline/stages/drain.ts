// Of long work that yields its rows, the summary alone: the rows are in its output.

/** Runs a generator to its end. */
export async function drain<Summary>(rows: AsyncGenerator<unknown, Summary>): Promise<Summary> {
  let next = await rows.next()
  while (!next.done) next = await rows.next()
  return next.value
}
