// The counts of a corpus that was prepared, from the work database.
import type { LengthSummary } from '../data/lengths.js'
import type { DropCount } from '../data/types.js'
import type { Store } from './store.js'
import type { SegmentSummary } from './types.js'

/** Places that are named for each reason, and unreadable records that are listed. */
const examples = 5
const listed = 100

type Counts = Pick<
  SegmentSummary,
  'documents' | 'kept' | 'droppedTotal' | 'dropped' | 'malformed' | 'languages' | 'characters' | 'masked'
>

/** Needs the tables `gone` and `kept`. */
export async function countAll(store: Store): Promise<Counts> {
  const dropped = await droppedByReason(store, true)
  const masked: Record<string, number> = {}
  for (const [counts, times] of await store.rows(
    'SELECT masked, count(*) FROM kept JOIN segments USING (key) WHERE masked IS NOT NULL GROUP BY masked',
  )) {
    for (const [kind, count] of Object.entries(JSON.parse(counts as string) as Record<string, number>)) {
      masked[kind] = (masked[kind] ?? 0) + count * Number(times)
    }
  }
  const languages = await store.rows(
    'SELECT language, count(*) AS count FROM kept JOIN segments USING (key) GROUP BY language ORDER BY count DESC, language',
  )
  return {
    documents: await store.number('SELECT sum(documents) FROM files'),
    kept: await store.number('SELECT count(*) FROM kept'),
    droppedTotal: dropped.reduce((sum, { count }) => sum + count, 0),
    dropped,
    malformed: await malformedOf(store),
    languages: languages.map(([language, count]) => ({ language: language as string | null, count: Number(count) })),
    characters: await lengthsOf(store),
    masked,
  }
}

/** @param compared whether the table `gone` is there */
export async function droppedByReason(store: Store, compared: boolean): Promise<DropCount[]> {
  const repeated = compared
    ? 'UNION ALL SELECT g.reason, s.place, f.position, s.key FROM gone g JOIN segments s USING (key) JOIN files f ON s.file = f.id'
    : ''
  const rows = await store.rows(`
    SELECT reason, count(*) AS count, min_by(place, (position, key), ${examples})
    FROM (SELECT d.reason, d.place, f.position, d.key FROM dropped d JOIN files f ON d.file = f.id ${repeated})
    GROUP BY reason ORDER BY count DESC, reason`)
  return rows.map(([reason, count, places]) => ({
    reason: reason as string,
    count: Number(count),
    examples: places as string[],
  }))
}

async function malformedOf(store: Store): Promise<SegmentSummary['malformed']> {
  const rows = await store.rows(`
    SELECT d.place, d.detail FROM dropped d JOIN files f ON d.file = f.id
    WHERE d.reason = 'malformed' ORDER BY f.position, d.key LIMIT ${listed}`)
  return rows.map(([place, why]) => ({ place: place as string, why: why as string }))
}

async function lengthsOf(store: Store): Promise<LengthSummary> {
  const [row] = await store.rows(`
    SELECT avg(characters), quantile_disc(characters, 0.5), quantile_disc(characters, 0.95), max(characters)
    FROM kept JOIN segments USING (key)`)
  const [mean, median, p95, max] = row!.map((value) => Number(value ?? 0))
  return { mean: mean!, median: median!, p95: p95!, max: max! }
}
