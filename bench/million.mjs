// Time and memory of each command's reader over a million tiny rows: node bench/million.mjs [ROWS]. Needs npm run build:ts.
// Each reader runs in a process of its own, so that its peak is its own.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = (name) => import(new URL(`../dist/${name}.js`, import.meta.url).href)

async function countOf(rows) {
  let count = 0
  for await (const _ of rows) count++
  return count
}

/** Rows that each command's reader gives. */
const readers = {
  preprocess: async (file, folder) =>
    (await (await dist('data/preprocess')).preprocess({ inputs: [file], output: join(folder, 'rows.jsonl') })).kept,
  segment: async (file) => {
    const { prepareCorpus } = await dist('segment/run')
    const prepared = await prepareCorpus({ input: [file], minCharacters: 1, nearDuplicates: 'off' })
    await prepared.close()
    return prepared.summary.documents
  },
  train: async (file) => (await (await dist('data/load')).loadPairs(file)).rows.length,
  generate: async (file) => countOf((await dist('generate/input')).readInput({ input: file, task: 'backward' }).rows),
  score: async (file) => {
    const { scoreSchema } = await dist('generate/score-options')
    return countOf((await dist('generate/score-rows')).readScorable(scoreSchema.parse({ input: file })).rows)
  },
  evaluate: async (file) =>
    (await (await dist('metrics/predictions')).readEvaluation({ predictions: [file], task: 'backward' })).rows.length,
  curate: async (file) => countOf((await dist('curate/rows')).readCandidates(file, {}).rows),
  dataset: async (file, folder) =>
    (await (await dist('dataset/write')).writeDataset({ input: [file], output: folder, samples: 0 })).rows,
}

async function measure(name, file, folder) {
  const started = performance.now()
  const rows = await readers[name](file, folder)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const peak = (process.resourceUsage().maxRSS / 1e6).toFixed(2)
  process.stdout.write(`| \`${name}\` | ${rows.toLocaleString('en-US')} | ${seconds} s | ${peak} GB |\n`)
}

async function writeRows(file, count) {
  const out = createWriteStream(file)
  for (let at = 0; at < count; at++) {
    const row = { id: `r${at}`, instruction: `What is ${at}?`, response: `It is ${at}.`, reference: 'What?' }
    if (!out.write(`${JSON.stringify(row)}\n`)) await once(out, 'drain')
  }
  out.end()
  await once(out, 'finish')
}

const [name, file] = process.argv.slice(2)
if (name in readers) {
  const folder = mkdtempSync(join(tmpdir(), 'bt-million-'))
  await measure(name, file, folder).finally(() => rmSync(folder, { recursive: true, force: true }))
} else {
  const folder = mkdtempSync(join(tmpdir(), 'bt-million-'))
  const rows = join(folder, 'million.jsonl')
  try {
    await writeRows(rows, Number(name ?? 1_000_000))
    process.stdout.write(
      `${statSync(rows).size} bytes\n| reader of | rows | time | peak memory |\n|---|---:|---:|---:|\n`,
    )
    for (const one of Object.keys(readers)) {
      spawnSync(process.execPath, [fileURLToPath(import.meta.url), one, rows], { stdio: 'inherit' })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
