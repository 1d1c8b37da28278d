// Eight candidates for each text, the best of them by PMI, and what the others were.
//
//   node examples/best-of-n.mjs runs/first [TEXTS]
import { fileURLToPath } from 'node:url'
import { generate } from 'bt-native'

const [adapter, input = fileURLToPath(new URL('seed.jsonl', import.meta.url))] = process.argv.slice(2)
if (!adapter) throw new Error('usage: node examples/best-of-n.mjs ADAPTER [TEXTS]')

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())

const options = { adapter, input, limit: 3, n: 8, rerank: 'pmi', keepCandidates: true }
for await (const row of generate(options, { signal: stop.signal })) {
  console.log(`\n${row.response.slice(0, 100)}…`)
  for (const { text, score } of row.candidates.toSorted((a, b) => b.score - a.score)) {
    console.log(`${text === row.instruction ? '>' : ' '} ${score.toFixed(1).padStart(6)}  ${text}`)
  }
}
