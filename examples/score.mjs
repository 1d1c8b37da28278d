// How well each instruction fits its response: its likelihood with the response against that by itself. The worst pairs first.
//
//   node examples/score.mjs runs/first [PAIRS]
import { fileURLToPath } from 'node:url'
import { score } from 'bt-native'

const [adapter, input = fileURLToPath(new URL('seed.jsonl', import.meta.url))] = process.argv.slice(2)
if (!adapter) throw new Error('usage: node examples/score.mjs ADAPTER [PAIRS]')

const limit = 40
const given = []
for await (const row of score({ adapter, input, limit })) given.push(row)
const alone = []
for await (const row of score({ adapter, input, limit, template: 'raw', column: 'instruction' })) alone.push(row)

const gains = given.flatMap((row, at) =>
  row.logProb === null || !alone[at]?.logProb ? [] : [{ gain: row.logProb - alone[at].logProb, row }],
)
for (const { gain, row } of gains.toSorted((a, b) => a.gain - b.gain).slice(0, 10)) {
  console.log(gain.toFixed(2).padStart(6), row.perplexity.toFixed(1).padStart(8), row.instruction.slice(0, 90))
}
