// Learns from whole conversations: looks at what each row scores, then trains a few steps on them.
//
//   node examples/conversations.mjs [DATA] [OUTPUT] [MODEL]
import { audit, train } from 'bt-native'

const [data = 'examples/conversations.jsonl', output = 'runs/conversations', model = 'smollm2-135m'] =
  process.argv.slice(2)
// turns: 'all' is the default; 'last' learns the last reply alone, 'first' the first pair as if nothing followed.
const options = { model, data, task: 'forward', turns: 'all', maxTokens: 384, validation: 0.2 }

const found = await audit(options, { rows: 3 })
console.log(`${found.train} rows with ${found.targets} replies to learn, ${found.cutRows} rows cut`)
for (const { id, parts } of found.rows) {
  console.log(`\nrow ${id}`)
  for (const [at, { kind, text }] of parts.entries()) {
    if (kind !== 'scored') continue
    if (parts[at - 1]?.kind !== 'scored') process.stdout.write('  learns: ')
    process.stdout.write(text.replaceAll('\n', ' '))
    if (parts[at + 1]?.kind !== 'scored') process.stdout.write('\n')
  }
}

const short = { epochs: 4, batchSize: 4, gradAccumSteps: 1, samples: 1 }
for await (const event of train({ ...options, ...short, output })) {
  if (event.type === 'data')
    console.log(`\n${event.train} rows, ${event.targets} targets, ${event.scoredTokens} scored tokens`)
  if (event.type === 'validation')
    console.log(`validation loss ${event.loss.toFixed(3)} (base ${event.baseLoss.toFixed(3)})`)
  if (event.type === 'finished') console.log(`adapter: ${event.output}`)
}
