// From a text to a data set of which every row can be traced: segments, pairs (here written by hand, as `generate` would), the
// files that others load with their card, the lineage, and one row's story.
//
//   node examples/dataset.mjs [OUTPUT]
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildLineage, renderTrace, segmentCorpus, trace, writeDataset } from 'bt-native'

const [output = 'dataset-example'] = process.argv.slice(2)
const input = [fileURLToPath(new URL('../docs/lineage.md', import.meta.url))]
await mkdir(output, { recursive: true })
const segments = join(output, 'segments.jsonl')
const pairs = join(output, 'pairs.jsonl')

// Segments carry the document and the place in it; pairs keep the id, so that everything can be joined again.
const rows = []
for await (const segment of segmentCorpus({ input, minCharacters: 200, repetition: 0 })) rows.push(segment)
await writeFile(segments, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
const written = rows.map(({ id, text, heading, source, language }) => {
  return {
    id,
    instruction: `Explain: ${heading ?? 'this tool'}.`,
    response: text,
    source,
    language,
    license: 'Apache-2.0',
  }
})
await writeFile(pairs, written.map((row) => `${JSON.stringify(row)}\n`).join(''))

const summary = await writeDataset({
  input: [pairs],
  output: join(output, 'data'),
  title: 'The docs, explained',
  force: true,
})
console.log(`${summary.rows} rows in ${summary.files.length} forms, card ${summary.card}`)

const lineage = join(output, 'lineage.parquet')
const { origins } = await buildLineage({ segments: [segments], pairs: [pairs] }, lineage)
console.log('lineage of', origins)
console.log(renderTrace(await trace({ id: rows[0].id, lineage })))
