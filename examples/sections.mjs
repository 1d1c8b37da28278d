// A conversation of each long text: its sections are the replies, and the messages before them are written one after the
// other, each given all that was said so far.
//
//   node examples/sections.mjs runs/first [TEXT.md]
import { fileURLToPath } from 'node:url'
import { converse } from 'bt-native'

const [adapter, input = fileURLToPath(new URL('../docs/segment.md', import.meta.url))] = process.argv.slice(2)
if (!adapter) throw new Error('usage: node examples/sections.mjs ADAPTER [TEXT.md]')

const conversations = converse({ adapter, input, maxTurns: 4, maxTokens: 900, limit: 2, guardRetries: 2 })
let next = await conversations.next()
for (; !next.done; next = await conversations.next()) {
  const { title, messages } = next.value
  console.log(`\n${title ?? next.value.id}`)
  for (const { role, content } of messages) {
    console.log(`${role.padEnd(10)} ${content.replace(/\s+/g, ' ').slice(0, 100)}`)
  }
}
const { written, turns, faulty, dropped } = next.value
console.log(`\n${written} conversations of ${turns} messages, ${faulty} with a fault left`, dropped)
