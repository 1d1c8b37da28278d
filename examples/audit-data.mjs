// Looks at what would be trained on from a program, and stops where something is wrong with it. Needs no libtorch.
//
//   node examples/audit-data.mjs [DATA] [PAGE] [MODEL]
import { writeFile } from 'node:fs/promises'
import { audit, auditPage } from 'bt-native'

const [data = 'examples/seed.jsonl', page = 'audit.html', model = 'smollm2-135m'] = process.argv.slice(2)

const found = await audit({ model, data, maxTokens: 256 }, { rows: 20 })
const share = (100 * found.scoredTokens) / found.tokens
console.log(`${found.train} rows, ${found.tokens} tokens, ${share.toFixed(1)} % scored`)
for (const { reason, count, examples } of found.leftOut) console.log(`left out: ${count} ${reason} (${examples[0]})`)
for (const { row, id, cut } of found.mostCut) console.log(`row ${row} (${id}) lost ${cut} tokens of its context`)

// The target of the first row, token by token.
const scored = found.rows[0].parts.filter(({ kind }) => kind === 'scored')
console.log(scored.map(({ text }) => JSON.stringify(text)).join(' '))

await writeFile(page, auditPage(found))
console.log(`page: ${page}`)

const seen = Object.values(found.overlap.rows).reduce((sum, rows) => sum + rows, 0)
if (seen > 0.01 * found.overlap.validation) {
  console.error(`${seen} of ${found.overlap.validation} validation rows were seen in training`)
  process.exitCode = 1
}
