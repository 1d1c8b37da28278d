// Segments that repeat an earlier one, letter for letter or nearly, at any number: DuckDB holds the signatures, brings
// together those that share a band, and spills to disk what memory does not hold. The measure is that of
// data/near-duplicates.ts, and so is the answer: a segment goes when an earlier one that stays is as like it.
import { bandRows, signatureLength } from '../data/near-duplicates.js'
import { appendRows, type Store } from './store.js'

/** Segments of one bucket that the later ones are compared with; a bucket is seldom that large but for copies of one. */
const comparedWith = 64
/** Found duplicates that are written at once. */
const atOnce = 10_000

/**
 * Makes the tables `ordered` (key, seq: all segments in corpus order) and `gone` (key, reason, earlier: the key of the one
 * that it repeats).
 * @param threshold Jaccard similarity of the shingle sets from which a segment goes; undefined for exact copies alone
 * @param onBand told after each band, with how many there are
 */
export async function findDuplicates(
  store: Store,
  threshold: number | undefined,
  onBand: (done: number, total: number) => void = () => {},
): Promise<void> {
  const { connection } = store
  await connection.run(`
    CREATE OR REPLACE TABLE ordered AS
      SELECT s.key, row_number() OVER (ORDER BY f.position, s.key) - 1 AS seq
      FROM segments s JOIN files f ON s.file = f.id;
    CREATE OR REPLACE TABLE gone (key BIGINT, reason VARCHAR, earlier BIGINT);
    INSERT INTO gone
      SELECT key, 'duplicate', earlier FROM (
        SELECT o.key, first_value(o.key) OVER same AS earlier, row_number() OVER same AS place
        FROM ordered o JOIN segments s USING (key)
        WINDOW same AS (PARTITION BY s.id ORDER BY o.seq))
      WHERE place > 1`)
  if (threshold === undefined) return
  await connection.run(`
    CREATE OR REPLACE TABLE candidates AS
      SELECT o.key, o.seq, s.signature FROM ordered o JOIN segments s USING (key)
      WHERE s.signature IS NOT NULL AND o.key NOT IN (SELECT key FROM gone);
    CREATE OR REPLACE TABLE pairs (earlier BIGINT, later BIGINT)`)
  const rows = bandRows(threshold)
  const bands = Math.floor(signatureLength / rows)
  for (let band = 0; band < bands; band++) {
    await connection.run(pairsOfBand(band, rows * Uint32Array.BYTES_PER_ELEMENT))
    onBand(band + 1, bands)
  }
  await dropNear(store, threshold)
  await connection.run('DROP TABLE candidates; DROP TABLE pairs')
}

/** Pairs whose signatures agree in this band's bytes. */
function pairsOfBand(band: number, bytes: number): string {
  return `
    INSERT INTO pairs
      WITH bucketed AS MATERIALIZED (
        SELECT seq, hash(signature[${band * bytes + 1}:${(band + 1) * bytes}]) AS bucket FROM candidates),
      shared AS MATERIALIZED (
        SELECT * FROM bucketed WHERE bucket IN (SELECT bucket FROM bucketed GROUP BY bucket HAVING count(*) > 1)),
      firsts AS (
        SELECT * FROM shared QUALIFY row_number() OVER (PARTITION BY bucket ORDER BY seq) <= ${comparedWith})
      SELECT a.seq, b.seq FROM firsts a JOIN shared b ON a.bucket = b.bucket AND a.seq < b.seq`
}

/** Goes through the pairs in corpus order: what an earlier one took with it takes nothing itself. */
async function dropNear(store: Store, threshold: number): Promise<void> {
  const least = Math.ceil(threshold * signatureLength - 1e-9)
  const dropped = new Uint8Array(Math.ceil((await store.number('SELECT count(*) FROM ordered')) / 8))
  const isDropped = (seq: number) => (dropped[seq >> 3]! & (1 << (seq & 7))) !== 0
  const found: { key: bigint; earlier: bigint }[] = []
  // Written through a connection of its own: this one is busy with its answer.
  const writer = await store.another()
  const flush = () =>
    appendRows(writer, 'gone', found.splice(0), (row, { key, earlier }) => {
      row.appendBigInt(key)
      row.appendVarchar('near-duplicate')
      row.appendBigInt(earlier)
    })
  try {
    const result = await store.connection.stream(`
      SELECT a.seq, b.seq, a.key, b.key, a.signature, b.signature
      FROM (SELECT DISTINCT earlier, later FROM pairs) p
        JOIN candidates a ON a.seq = p.earlier JOIN candidates b ON b.seq = p.later
      ORDER BY b.seq, a.seq`)
    for await (const rows of result.yieldRows()) {
      for (const [earlier, later, earlierKey, laterKey, one, other] of rows) {
        if (isDropped(Number(earlier)) || isDropped(Number(later))) continue
        if (equalEntries(bytesOf(one), bytesOf(other)) < least) continue
        dropped[Number(later) >> 3]! |= 1 << (Number(later) & 7)
        found.push({ key: laterKey as bigint, earlier: earlierKey as bigint })
      }
      if (found.length >= atOnce) await flush()
    }
    await flush()
  } finally {
    writer.closeSync()
  }
}

function bytesOf(value: unknown): Uint8Array {
  return (value as { bytes: Uint8Array }).bytes
}

/** Of two signatures of 32-bit entries. */
function equalEntries(one: Uint8Array, other: Uint8Array): number {
  let equal = 0
  for (let at = 0; at < one.length; at += 4) {
    if (
      one[at] === other[at] &&
      one[at + 1] === other[at + 1] &&
      one[at + 2] === other[at + 2] &&
      one[at + 3] === other[at + 3]
    )
      equal++
  }
  return equal
}
