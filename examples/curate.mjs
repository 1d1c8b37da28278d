// Which scores tell good pairs from bad ones for this model, and what is kept by all of them together: the worst pairs last.
//
//   node examples/curate.mjs MODEL_OR_ADAPTER [PAIRS] [OUTPUT]
import { fileURLToPath } from 'node:url'
import { curate } from 'bt-native'

const [model, input = fileURLToPath(new URL('seed.jsonl', import.meta.url)), output = 'curated.jsonl'] =
  process.argv.slice(2)
if (!model) throw new Error('usage: node examples/curate.mjs MODEL_OR_ADAPTER [PAIRS] [OUTPUT]')

const pairs = curate({ model, input, output, limit: 40, calibrate: 20, top: 0.5, maxTokens: 512 })
const rows = []
let next = await pairs.next()
for (; !next.done; next = await pairs.next()) rows.push(next.value)

const { kept, rows: all, calibration } = next.value
for (const { score, all: separation } of calibration.scores) {
  const [low, high] = separation.interval.map((value) => value.toFixed(2))
  console.log(`${score.padEnd(12)} AUC ${separation.auc.toFixed(2)} (${low} to ${high})`)
}
console.log(`kept ${kept} of ${all} in ${output}`)
for (const row of rows.toSorted((a, b) => b.fit - a.fit)) {
  console.log(row.kept ? '+' : '-', row.fit.toFixed(2), row.instruction.replace(/\s+/g, ' ').slice(0, 90))
}
