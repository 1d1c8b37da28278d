// Instructions for texts, without those that copy, leak, loop or do not end: the guard writes them again, and what it cannot
// mend is told apart here.
//
//   node examples/guard.mjs runs/first [TEXTS]
import { fileURLToPath } from 'node:url'
import { generate } from 'bt-native'

const [adapter, input = fileURLToPath(new URL('seed.jsonl', import.meta.url))] = process.argv.slice(2)
if (!adapter) throw new Error('usage: node examples/guard.mjs ADAPTER [TEXTS]')

const rows = generate({
  adapter,
  input,
  limit: 20,
  greedy: true,
  guard: ['copy', 'leak', 'loop', 'end'],
  guardRetries: 3,
})
let next = await rows.next()
for (; !next.done; next = await rows.next()) {
  const { instruction, attempt = 0, guard = [] } = next.value
  const mark = guard.length > 0 ? `still: ${guard.join(', ')}` : attempt > 0 ? `attempt ${attempt}` : ''
  console.log(mark.padEnd(14), instruction)
}
const { written, rewritten, faulty, faults } = next.value
console.log(`\n${written} rows, ${rewritten} written again, ${faulty} with a fault left`, faults)
